"""What is said about input that is wrong: the file from the root of the tree, the line, field and what was expected."""

from __future__ import annotations

import pytest

from shared import kustomize
from shared.kustomize import BuildError, BuildOptions, MemoryTree

OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n"

# kustomization in apps/shop, other files in apps/shop, the errors
CASES: dict[str, tuple[str, dict[str, str | bytes], list[str]]] = {
    "an object without a name": (
        "resources: [o.yaml]",
        {"o.yaml": OBJECT + "---\nkind: Service\n"},
        ["apps/shop/o.yaml:6: metadata.name: the Service has no name"],
    ),
    "a resource that is no YAML": (
        "resources: [o.yaml]",
        {"o.yaml": OBJECT + "data: [\n"},
        ["apps/shop/o.yaml:6: "],
    ),
    "a resource that is missing": (
        "resources: [o.yaml, none.yaml]",
        {"o.yaml": OBJECT},
        ["apps/shop/kustomization.yaml: resources[1]: no such file or directory: apps/shop/none.yaml"],
    ),
    "several fields of the wrong type": (
        "resources: o.yaml\nnamePrefix: 1\nlabels: [{pairs: {a: 1}}]\nimage: []",
        {},
        [
            "apps/shop/kustomization.yaml: image: unknown field",
            "apps/shop/kustomization.yaml: labels[0].pairs.a: expected text, found a number",
            "apps/shop/kustomization.yaml: namePrefix: expected text, found a number",
            "apps/shop/kustomization.yaml: resources: expected a list, found text",
        ],
    ),
    "a kustomization that is no YAML": ("resources: [\n", {}, ["apps/shop/kustomization.yaml:2: "]),
    "a patch that names nothing": (
        "resources: [o.yaml]\npatches: [{path: p.yaml}]",
        {"o.yaml": OBJECT, "p.yaml": "\n" + OBJECT.replace("name: c", "name: other")},
        ["apps/shop/p.yaml:2: no object ConfigMap other (v1)"],
    ),
    "a patch that is no YAML": (
        "resources: [o.yaml]\npatches: [{path: p.yaml}]",
        {"o.yaml": OBJECT, "p.yaml": "a: b\nc: ]\n"},
        ["apps/shop/p.yaml"],
    ),
    "a patch of another type than the object's": (
        "resources: [o.yaml]\npatches: [{path: p.yaml}]",
        {"o.yaml": OBJECT + "data: {a: b}\n", "p.yaml": OBJECT + "data: {a: [1]}\n"},
        ["apps/shop/p.yaml:1: data.a is a single value, but the patch has a list there"],
    ),
    "a JSON patch that does not fit": (
        "resources: [o.yaml]\npatches: [{path: p.json, target: {kind: ConfigMap}}]",
        {"o.yaml": OBJECT, "p.json": '[{"op": "remove", "path": "/data/none"}]'},
        ["apps/shop/p.json: operation 0: /data/none"],
    ),
    "an old patch that names nothing": (
        "resources: [o.yaml]\npatchesStrategicMerge: [p.yaml]",
        {"o.yaml": OBJECT, "p.yaml": OBJECT.replace("name: c", "name: other")},
        ["apps/shop/p.yaml:1: no object ConfigMap other (v1)"],
    ),
    "two objects that are the same one": (
        "resources: [o.yaml, p.yaml]",
        {"o.yaml": OBJECT, "p.yaml": "# here\n" + OBJECT},
        ["apps/shop/p.yaml:2: resources: may not add resource with an already registered id: ConfigMap c (v1)"],
    ),
    "a configuration with an unknown field": (
        "resources: [o.yaml]\nconfigurations: [conf.yaml]",
        {"o.yaml": OBJECT, "conf.yaml": "nameRef: []\n"},
        ["apps/shop/conf.yaml: nameRef: unknown field"],
    ),
    "a configuration that is no YAML": (
        "resources: [o.yaml]\nconfigurations: [conf.yaml]",
        {"o.yaml": OBJECT, "conf.yaml": "a: [\n"},
        ["apps/shop/conf.yaml:2: "],
    ),
    "definitions of CRDs that are empty": (
        "resources: [o.yaml]\ncrds: [crd.yaml]",
        {"o.yaml": OBJECT, "crd.yaml": ""},
        ["apps/shop/crd.yaml: crds: the file is empty"],
    ),
    "a replacement in a file": (
        "resources: [o.yaml]\nreplacements: [{path: r.yaml}]",
        {"o.yaml": OBJECT, "r.yaml": "- source: [a]\n"},
        ["apps/shop/r.yaml: [0].source: expected a mapping, found a list"],
    ),
    "a replacement without its source": (
        "resources: [o.yaml]\nreplacements: [{source: {kind: Secret}, targets: [{select: {kind: ConfigMap}}]}]",
        {"o.yaml": OBJECT},
        ["apps/shop/kustomization.yaml: replacements[0]: the source (kind 'Secret') selects nothing"],
    ),
    "an env file that is no text": (
        "configMapGenerator: [{name: c, envs: [e.env]}]",
        {"e.env": b"A=1\nB=\xff\n"},
        ["apps/shop/e.env:2: the line is not UTF-8 text"],
    ),
    "a generated file that is missing": (
        "secretGenerator: [{name: c, files: [key=none]}]",
        {},
        ["apps/shop/kustomization.yaml: secretGenerator[0]: no such file or directory: apps/shop/none"],
    ),
    "a transformer with a field of the wrong type": (
        "resources: [o.yaml]\ntransformers: [t.yaml]",
        {"o.yaml": OBJECT, "t.yaml": "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: t}\nprefix: []\n"},
        ["apps/shop/t.yaml:1: prefix: expected text, found a list"],
    ),
    "a field that does not hold what a transformer changes": (
        "resources: [o.yaml]\ncommonLabels: {a: b}",
        {"o.yaml": OBJECT + "  labels: text\n"},
        ["apps/shop/o.yaml:1: ConfigMap c (v1): metadata/labels: expected a mapping"],
    ),
    "a directory without a kustomization": (
        "resources: [below]",
        {"below/a.txt": ""},
        ["apps/shop/below: no kustomization.yaml, kustomization.yml or Kustomization here"],
    ),
    "Helm that is not enabled": (
        "helmCharts: [{name: chart}]",
        {},
        ["apps/shop/kustomization.yaml: helmCharts[0]: helmCharts: Helm is not enabled: build with --enable-helm"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_error_names_the_place_and_what_was_expected(name: str) -> None:
    kustomization, files, wanted = CASES[name]
    tree = {f"apps/shop/{path}": content for path, content in files.items()}
    with pytest.raises(BuildError) as caught:
        kustomize.build(MemoryTree({**tree, "apps/shop/kustomization.yaml": kustomization}), "apps/shop")
    found = str(caught.value).splitlines()
    assert len(found) == len(wanted), found
    assert [(line, start) for line, start in zip(found, wanted, strict=True) if not line.startswith(start)] == []


def test_helm_without_a_renderer_is_an_error_and_no_gap() -> None:
    tree = MemoryTree({"kustomization.yaml": "helmCharts: [{name: chart}]"})
    with pytest.raises(BuildError, match="this build has no Helm"):
        kustomize.build(tree, "/", BuildOptions(enable_helm=True))
