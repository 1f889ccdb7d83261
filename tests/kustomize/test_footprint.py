"""Whether another tree builds the same is told from what the build asked of the first one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import kustomize
from shared.kustomize import BuildError, BuildOptions, DiskTree, Footprint, MemoryTree, Survey, Trace
from tests.kustomize.random_builds import trees

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {colour: blue}\n"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: made}\nstringData: {a: b}\n"
PREFIX = """apiVersion: builtin
kind: PrefixTransformer
metadata: {name: x}
prefix: p-
fieldSpecs: [{path: metadata/name}]
"""
GENERATOR = "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: made}\nliterals: [a=b]\n"
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: c-\n"
PATCH = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {size: L}\n"
REPLACEMENT = (
    "source: {kind: ConfigMap, name: app, fieldPath: data.colour}\n"
    "targets: [{select: {kind: ConfigMap, name: app}, fieldPaths: [data.other], options: {create: true}}]\n"
)
ALONE = {"other/unused.yaml": "unused", "app/README.md": "unused"}
"""Files that no build of these tests has to do with."""

FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "a resource": ("", {}),
    "a base": (
        "resources: [a.yaml, ../base]",
        {"base/kustomization.yaml": "resources: [b.yaml]", "base/b.yaml": SECRET},
    ),
    "a component": ("components: [../c]", {"c/kustomization.yaml": COMPONENT}),
    "files of a generator": ("configMapGenerator: [{name: g, files: [x.txt]}]", {"app/x.txt": "x"}),
    "environment files": ("secretGenerator: [{name: g, envs: [x.env]}]", {"app/x.env": "a=b"}),
    "a patch": ("patches: [{path: p.yaml}]", {"app/p.yaml": PATCH}),
    "a strategic merge": ("patchesStrategicMerge: [p.yaml]", {"app/p.yaml": PATCH}),
    "a replacement": ("replacements: [{path: r.yaml}]", {"app/r.yaml": REPLACEMENT}),
    "a configuration": ("configurations: [c.yaml]", {"app/c.yaml": "namePrefix: [{path: metadata/name}]"}),
    "a schema": ("openapi: {path: s.json}", {"app/s.json": '{"definitions": {}}'}),
    "a transformer": ("transformers: [t.yaml]", {"app/t.yaml": PREFIX}),
    "a generator": ("generators: [g.yaml]", {"app/g.yaml": GENERATOR}),
}


def build(tree: kustomize.Tree) -> list[dict[str, Any]]:
    """As the controller builds: the kustomization of the directory, or one that lists all manifests."""
    return kustomize.build(tree, "/app", BuildOptions.flux(), kustomization=kustomize.generate(tree, "/app")).values


def footprint(files: Mapping[str, str]) -> Footprint:
    tree = Trace(Survey(MemoryTree(files)))
    assert build(tree)
    return tree.footprint()


def holds(made: Footprint, files: Mapping[str, str]) -> bool:
    return made.holds(Survey(MemoryTree(files)))


@pytest.mark.parametrize("what", FIELDS)
def test_a_change_of_any_file_that_a_kustomization_names_is_seen(what: str) -> None:
    said, named = FIELDS[what]
    kustomization = said if "resources:" in said else f"resources: [a.yaml]\n{said}"
    files = {"app/kustomization.yaml": kustomization, "app/a.yaml": CONFIG_MAP, **named, **ALONE}
    made = footprint(files)
    assert holds(made, dict(files))
    for name in files:
        assert holds(made, {**files, name: files[name] + "\n# changed"}) == (name in ALONE), name
        left = {other: content for other, content in files.items() if other != name}
        assert holds(made, left) == (name in ALONE), name


def test_a_directory_without_a_kustomization_is_seen_to_get_or_lose_files() -> None:
    files = {"app/a.yaml": CONFIG_MAP, "app/below/b.yaml": SECRET, "other/c.yaml": SECRET}
    made = footprint(files)
    assert holds(made, {**files, "other/new.yaml": SECRET})
    assert not holds(made, {**files, "app/new.yaml": SECRET})
    assert not holds(made, {**files, "app/below/new.yaml": SECRET})
    assert not holds(made, {**files, "app/kustomization.yaml": "resources: [a.yaml]"})
    assert not holds(made, {**files, "app/below/kustomization.yaml": "resources: [b.yaml]"})
    assert not holds(made, {"app/a.yaml": CONFIG_MAP})


def test_a_missing_component_is_seen_to_come() -> None:
    files = {"app/kustomization.yaml": "resources: [a.yaml]", "app/a.yaml": CONFIG_MAP}
    tree = Trace(Survey(MemoryTree(files)))
    kustomize.generate(tree, "/app", components=["../c"], ignore_missing_components=True)
    assert holds(tree.footprint(), files)
    assert not holds(tree.footprint(), {**files, "c/kustomization.yaml": COMPONENT})


def test_a_link_that_leads_elsewhere_is_seen(tmp_path: Path) -> None:
    for name, target in (("one", "a.yaml"), ("two", "a.yaml"), ("three", "b.yaml"), ("four", "../../secret.yaml")):
        app = tmp_path / name / "app"
        app.mkdir(parents=True)
        for file in ("a.yaml", "b.yaml"):
            (app / file).write_text(CONFIG_MAP)
        (app / "kustomization.yaml").write_text("resources: [link.yaml]")
        (app / "link.yaml").symlink_to(target)
    (tmp_path / "secret.yaml").write_text(CONFIG_MAP)
    tree = Trace(Survey(DiskTree(tmp_path / "one")))
    assert build(tree)
    found = {name: tree.footprint().holds(Survey(DiskTree(tmp_path / name))) for name in ("two", "three", "four")}
    assert found == {"two": True, "three": False, "four": False}


def test_a_file_of_many_builds_is_read_once_to_compare(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CONFIG_MAP)
    tree = DiskTree(tmp_path)
    survey, made = Survey(tree), Trace(Survey(tree))
    made.read("/a.yaml")
    footprints = [made.footprint() for _ in range(3)]
    assert footprints[0].holds(survey)
    (tmp_path / "a.yaml").unlink()
    assert all(one.holds(survey) for one in footprints)
    assert not footprints[0].holds(Survey(tree))


def test_any_name_of_a_file_can_be_asked_for(tmp_path: Path) -> None:
    names = ["new\nline.yaml", "ümlaut.yaml", os.fsdecode(b"latin-\xfc.yaml"), " .yaml"]
    for name in names:
        (tmp_path / name).write_text(CONFIG_MAP)
    tree = Trace(Survey(DiskTree(tmp_path)))
    assert sorted(tree.list("/")) == sorted(names)
    for name in names:
        tree.read(f"/{name}")
    assert tree.footprint().holds(Survey(DiskTree(tmp_path)))
    (tmp_path / names[2]).write_text("changed")
    assert not tree.footprint().holds(Survey(DiskTree(tmp_path)))


@settings(max_examples=60, deadline=None)
@given(files=trees(), data=st.data())
def test_where_a_footprint_holds_the_same_is_built(files: dict[str, str], data: st.DataObject) -> None:
    tree = Trace(Survey(MemoryTree(files)))
    built = None
    with suppress(BuildError):
        built = kustomize.build(tree, "overlay", BuildOptions.flux()).values
    name = data.draw(st.sampled_from([*sorted(files), "overlay/new.yaml", "component/kustomization.yaml"]))
    change = data.draw(st.sampled_from(["removed", "commented", "replaced"]))
    changed = {other: content for other, content in files.items() if other != name}
    if change != "removed":
        changed[name] = files.get(name, "") + "\n# a comment\n" if change == "commented" else CONFIG_MAP
    if not tree.footprint().holds(Survey(MemoryTree(changed))):
        return
    again = None
    with suppress(BuildError):
        again = kustomize.build(MemoryTree(changed), "overlay", BuildOptions.flux()).values
    assert again == built
