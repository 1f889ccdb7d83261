"""The kustomization that is made for a path, and laid under a spec."""

from __future__ import annotations

import pytest

from shared import kustomize
from shared.kustomize import BuildError, BuildOptions, MemoryTree

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n"


def test_without_a_kustomization_all_manifests_are_listed():
    tree = MemoryTree(
        {
            "app/b.yaml": CONFIG_MAP.format(name="b"),
            "app/a/x.yml": CONFIG_MAP.format(name="x"),
            "app/base/kustomization.yaml": "resources: [cm.yaml]",
            "app/base/cm.yaml": CONFIG_MAP.format(name="base"),
            "app/README.md": "text",
            "other/c.yaml": CONFIG_MAP.format(name="c"),
        }
    )
    made = kustomize.generate(tree, "app", target_namespace="shop")
    assert made["resources"] == ["./a/x.yml", "./b.yaml", "./base"]
    built = kustomize.build(tree, "app", BuildOptions.flux(), kustomization=made)
    assert [(item.name, item.namespace) for item in built.resources] == [("x", "shop"), ("b", "shop"), ("base", "shop")]


def test_a_yaml_file_without_kubernetes_objects_is_an_error_that_names_it():
    tree = MemoryTree({"a.yaml": "just: data\n", "b.yaml": "- 1\n", "c.yaml": CONFIG_MAP.format(name="c")})
    with pytest.raises(kustomize.Undecodable, match="the object has no kind") as caught:
        kustomize.generate(tree)
    assert [p.file for p in caught.value.problems] == ["a.yaml", "b.yaml"]


def test_an_empty_directory_builds_to_nothing():
    tree = MemoryTree({"README.md": ""})
    built = kustomize.build(tree, "/", BuildOptions.flux(), kustomization=kustomize.generate(tree))
    assert built.resources == []


def test_the_spec_is_laid_over_the_kustomization_that_is_there():
    tree = MemoryTree(
        {
            "kustomization.yaml": """\
resources: [pod.yaml]
namespace: old
images:
- {name: nginx, newName: mirror/nginx, newTag: "1"}
""",
            "pod.yaml": "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{image: nginx}]}}",
        }
    )
    made = kustomize.generate(
        tree,
        target_namespace="new",
        name_suffix="-v2",
        images=[{"name": "nginx", "digest": "sha256:abc"}],
        patches=[{"patch": "- {op: add, path: /metadata/labels, value: {a: b}}", "target": {"kind": "Pod"}}],
    )
    (pod,) = kustomize.build(tree, "/", BuildOptions.flux(), kustomization=made).values
    assert pod["metadata"] == {"name": "p-v2", "namespace": "new", "labels": {"a": "b"}}
    assert pod["spec"]["containers"][0]["image"] == "mirror/nginx@sha256:abc"


def test_a_missing_component_is_an_error_unless_ignored():
    tree = MemoryTree({"cm.yaml": CONFIG_MAP.format(name="c")})
    assert "components" not in kustomize.generate(tree, components=["none"], ignore_missing_components=True)
    made = kustomize.generate(tree, components=["none"])
    with pytest.raises(BuildError, match="none"):
        kustomize.build(tree, "/", BuildOptions.flux(), kustomization=made)


def test_a_remote_component_is_refused():
    with pytest.raises(BuildError, match="relative path"):
        kustomize.generate(MemoryTree({"a.txt": ""}), components=["https://example.com/x"])
