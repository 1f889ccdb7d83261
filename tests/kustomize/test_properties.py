"""What holds for every build, whatever the files say."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared import kustomize
from shared.kustomize import BuildError, BuildOptions, MemoryTree
from shared.text import yaml
from tests.kustomize.mutations import DEPLOYMENT, SERVICE, TREES

NAMES = st.sampled_from(["app", "web", "db", "a-very-long-name-for-an-object"])
KINDS = st.sampled_from(["ConfigMap", "Secret", "Service", "ServiceAccount", "Namespace", "Widget"])
TEXTS = st.text(max_size=12).map(lambda text: text.encode("utf-8", "ignore").decode())
SCALARS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.-/", max_size=4), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(KINDS)
    return {
        "apiVersion": "example.com/v1" if kind == "Widget" else "v1",
        "kind": kind,
        "metadata": {"name": draw(NAMES), "labels": draw(st.dictionaries(NAMES, NAMES, max_size=2))},
        draw(st.sampled_from(["data", "spec"])): draw(st.dictionaries(NAMES, VALUES, max_size=3)),
    }


@st.composite
def kustomizations(draw: st.DrawFn, resources: list[str]) -> dict[str, Any]:
    patch = {"apiVersion": "v1", "kind": "Any", "metadata": {"name": "any"}, "spec": draw(VALUES)}
    possible: dict[str, Any] = {
        "namePrefix": draw(NAMES) + "-",
        "nameSuffix": "-" + draw(NAMES),
        "namespace": draw(NAMES),
        "commonLabels": draw(st.dictionaries(NAMES, NAMES, max_size=2)),
        "commonAnnotations": draw(st.dictionaries(NAMES, TEXTS, max_size=2)),
        "configMapGenerator": [{"name": "made", "literals": [f"{draw(NAMES)}={draw(NAMES)}"]}],
        "secretGenerator": [{"name": "hidden", "files": ["kustomization.yaml"]}],
        "images": [{"name": "registry.example.com/app", "newTag": draw(NAMES)}],
        "patches": [{"target": {"kind": draw(KINDS)}, "patch": yaml.dump(patch)}],
        "sortOptions": {"order": draw(st.sampled_from(["fifo", "legacy"]))},
        "buildMetadata": ["originAnnotations"],
    }  # fmt: skip
    chosen = draw(st.sets(st.sampled_from(sorted(possible))))
    return {"resources": resources, **{name: possible[name] for name in sorted(chosen)}}


@st.composite
def trees(draw: st.DrawFn) -> dict[str, str]:
    """A base and an overlay over it; most of them can be built."""
    found = draw(
        st.lists(objects(), min_size=1, max_size=5, unique_by=lambda item: (item["kind"], item["metadata"]["name"]))
    )
    files = {f"base/{number}.yaml": yaml.dump(item) for number, item in enumerate(found)}
    files["base/app.yaml"], files["base/service.yaml"] = DEPLOYMENT.replace("name: app", "name: front", 1), SERVICE
    names = [name.removeprefix("base/") for name in files if name != "base/service.yaml"]
    files["base/kustomization.yaml"] = yaml.dump(draw(kustomizations(names)))
    files["overlay/kustomization.yaml"] = yaml.dump(draw(kustomizations(["../base"])))
    return files


def outcome(tree: kustomize.Tree | Path, path: str = "overlay", **given_: Any) -> str:
    """What the build prints, or why there is nothing to print."""
    try:
        return kustomize.build(tree, path, BuildOptions(), **given_).yaml()
    except BuildError as error:
        return f"error: {error}"


@settings(max_examples=60, deadline=None)
@given(trees())
def test_building_twice_gives_the_same_bytes(files: dict[str, str]) -> None:
    tree = MemoryTree(files)
    first = outcome(tree)
    assert outcome(tree) == first
    assert outcome(MemoryTree(files)) == first


def test_the_trees_of_these_tests_can_be_built() -> None:
    assert [outcome(MemoryTree(files), "/")[:6] for files in TREES] == ["apiVer", "apiVer"]


@settings(max_examples=40, deadline=None)
@given(trees(), st.randoms(use_true_random=False))
def test_the_order_of_files_on_disk_does_not_matter(files: dict[str, str], rng: Any) -> None:
    wanted = outcome(MemoryTree(files))
    shuffled = list(files)
    rng.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as folder:
        for name in shuffled:
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(files[name], encoding="utf-8", newline="")
        assert outcome(Path(folder)) == wanted


@settings(max_examples=30, deadline=None)
@given(st.lists(objects(), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_a_listing_does_not_matter_to_what_is_scanned(found: list[dict[str, Any]], rng: Any) -> None:
    files = {f"{item['metadata']['name']}/{number}.yaml": yaml.dump(item) for number, item in enumerate(found)}
    shuffled = list(files)
    rng.shuffle(shuffled)
    assert kustomize.generate(MemoryTree({name: files[name] for name in shuffled})) == kustomize.generate(
        MemoryTree(files)
    )


# Nothing outside of the root is read. An audit hook sees every file and directory that the process opens.

_OPENED: list[str] | None = None
_PYTHON = tuple({sys.prefix, sys.base_prefix, *(path for path in sys.path if path), str(Path(__file__).parents[2])})


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _OPENED is not None and event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str):
        _OPENED.append(arguments[0])


sys.addaudithook(_watch)


@contextmanager
def opened() -> Iterator[list[str]]:
    """All that is opened inside of the block, but for what Python loads of itself."""
    global _OPENED
    found: list[str] = []
    _OPENED = found
    try:
        yield found
    finally:
        _OPENED = None
        found[:] = [path for path in found if not path.startswith(_PYTHON)]


WAYS = st.lists(
    st.sampled_from(
        ["..", ".", "", "outside", "root", "link", "dirlink", "up", "secret.yaml", "sub", "loop", "%", "~"]
    ),
    min_size=1,
    max_size=6,
).map("/".join)
FIELDS = st.sampled_from(
    [
        "resources",
        "components",
        "bases",
        "crds",
        "configurations",
        "generators",
        "transformers",
        "openapi",
        "patches",
        "patchesStrategicMerge",
        "files",
        "envs",
        "replacements",
        "helm",
        "remote",
    ]
)


def listed(field: str, path: str) -> str:
    entries: dict[str, Any] = {
        "openapi": {"openapi": {"path": path}},
        "patches": {"patches": [{"path": path}]},
        "files": {"configMapGenerator": [{"name": "x", "files": [f"key={path}"]}]},
        "envs": {"secretGenerator": [{"name": "x", "envs": [path]}]},
        "replacements": {"replacements": [{"path": path}]},
        "helm": {"helmCharts": [{"name": "x", "valuesFile": path}], "helmGlobals": {"chartHome": path}},
        "remote": {"resources": [f"file://{path}", f"git::file://{path}"]},
    }
    return yaml.dump(entries.get(field, {field: [path]}))


@settings(max_examples=250, deadline=None)
@given(FIELDS, WAYS, st.booleans(), st.sampled_from(["LoadRestrictionsRootOnly", "LoadRestrictionsNone"]))
def test_a_build_never_reads_outside_of_its_root(field: str, way: str, absolute: bool, restrictor: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root, outside = Path(folder, "root"), Path(folder, "outside")
        for directory in (root / "sub", outside):
            directory.mkdir(parents=True)
        secret = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: outside\ndata:\n  key: canary\n"
        for name in ("secret.yaml", "kustomization.yaml"):
            (outside / name).write_text(secret if name == "secret.yaml" else "resources: [secret.yaml]\n")
        for where in (root, root / "sub"):
            (where / "link").symlink_to(outside / "secret.yaml")
            (where / "dirlink").symlink_to(outside)
            (where / "up").symlink_to("..")
            (where / "loop").symlink_to("loop")
        path = f"{folder}/{way}" if absolute else way
        (root / "kustomization.yaml").write_text(listed(field, path))
        (root / "sub" / "kustomization.yaml").write_text("resources: [link, dirlink, ../dirlink]\n")
        tree = kustomize.DiskTree(root)
        settings_ = BuildOptions(load_restrictor=restrictor, enable_helm=True)
        text = ""
        with opened() as seen, suppress(BuildError):
            text = kustomize.build(tree, "/", settings_).yaml()
        assert [p for p in seen if not os.path.realpath(p).startswith(str(root.resolve()))] == []
        assert "canary" not in text


def test_the_audit_would_notice() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "seen")
        file.write_text("x")
        with opened() as seen:
            file.read_text()
        assert seen == [str(file)]
