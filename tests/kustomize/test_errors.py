"""What is said about input that is wrong: the file from the root of the tree, the line, field and what was expected."""

from __future__ import annotations

import pytest

from shared import kustomize
from shared.kustomize import BuildError, BuildOptions, MemoryTree
from shared.kustomize.errors import MOST

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
        ["apps/shop/p.json: operation 0: ConfigMap c (v1): /data/none"],
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
    "several objects of a file": (
        "resources: [o.yaml]",
        {"o.yaml": "kind: Service\n---\n" + OBJECT + "---\nmetadata: {name: a}\n---\n- a\n"},
        [
            "apps/shop/o.yaml:1: metadata.name: the Service has no name",
            "apps/shop/o.yaml:8: kind: the object has no kind",
            "apps/shop/o.yaml:10: expected a Kubernetes object",
        ],
    ),
    "resources, generators and patches": (
        "resources: [none.yaml, bad.yaml]\npatches: [{path: p.yaml}, {path: o.yaml}]\nnamePrefix: a-\n"
        "configMapGenerator: [{name: c, files: [lost, gone, o.yaml]}, {name: o, behavior: merge, literals: [a=b]}]\n"
        "configurations: [conf.yaml]",
        {"o.yaml": OBJECT, "bad.yaml": "a: [\n", "p.yaml": "b: ]\n", "conf.yaml": "nameRef: []\n"},
        [
            "apps/shop/kustomization.yaml: resources[0]: no such file or directory: apps/shop/none.yaml",
            "apps/shop/bad.yaml:2: ",
            "apps/shop/conf.yaml: nameRef: unknown field",
            "apps/shop/kustomization.yaml: configMapGenerator[0]: no such file or directory: apps/shop/lost",
            "apps/shop/kustomization.yaml: configMapGenerator[0]: no such file or directory: apps/shop/gone",
            "apps/shop/p.yaml:1: ",
        ],
    ),
    "several patches": (
        "resources: [o.yaml, other.yaml]\npatches:\n- path: p.yaml\n- path: q.json\n  target: {kind: ConfigMap}\n"
        "- target: {name: c}\n  patch: '[{\"op\": \"test\", \"path\": \"/data/a\", \"value\": \"c\"}]'\n"
        "replicas: [{name: absent, count: 1}]",
        {
            "o.yaml": OBJECT,
            "other.yaml": OBJECT.replace("name: c", "name: d"),
            "p.yaml": OBJECT.replace("name: c", "name: x") + "---\n" + OBJECT.replace("name: c", "name: y"),
            "q.json": '[{"op": "remove", "path": "/data/none"}]',
        },
        [
            "apps/shop/p.yaml:1: no object ConfigMap x (v1)",
            "apps/shop/p.yaml:6: no object ConfigMap y (v1)",
            "apps/shop/q.json: operation 0: ConfigMap c (v1): /data/none",
            "apps/shop/q.json: operation 0: ConfigMap d (v1): /data/none",
            "apps/shop/kustomization.yaml: patches[2]: operation 0: ConfigMap c (v1): /data/a",
        ],
    ),
    "the same base twice": (
        "resources: [a, b]",
        {
            **{f"{name}/kustomization.yaml": "resources: [../base]" for name in "ab"},
            "base/kustomization.yaml": "resources: [o.yaml]",
            "base/o.yaml": "kind: Service\n",
        },
        ["apps/shop/base/o.yaml:1: metadata.name: the Service has no name"],
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


def test_more_problems_than_anybody_reads_end_the_build() -> None:
    files = {f"{number}.yaml": "a: [\n" for number in range(MOST + 100)}
    tree = MemoryTree({**files, "kustomization.yaml": f"resources: [{', '.join(files)}]"})
    with pytest.raises(BuildError) as caught:
        kustomize.build(tree)
    assert len(caught.value.problems) == MOST


def test_an_object_knows_where_it_is_written() -> None:
    tree = MemoryTree(
        {
            "base/kustomization.yaml": "resources: [o.yaml]\nconfigMapGenerator: [{name: made, literals: [a=b]}]",
            "base/o.yaml": OBJECT + "---\n" + OBJECT.replace("name: c", "name: d"),
            "prod/kustomization.yaml": "resources: [../base]\nnamePrefix: prod-\n"
            "patches: [{path: p.yaml}, {path: q.json, target: {name: d}}, {patch: '[]', target: {name: d}}]",
            "prod/p.yaml": OBJECT + "data: {a: b}\n",
            "prod/q.json": '[{"op": "add", "path": "/data", "value": {"a": "b"}}]',
        }
    )
    built = kustomize.build(tree, "prod")
    assert dict(zip([item.name for item in built.resources], built.places, strict=True)) == {
        "prod-c": "base/o.yaml:1, patched by prod/p.yaml",
        "prod-d": "base/o.yaml:6, patched by prod/q.json",
        built.resources[-1].name: "base/kustomization.yaml",
    }


def test_a_password_in_a_url_is_not_told() -> None:
    tree = MemoryTree({"kustomization.yaml": "resources: ['https://me:hunter2@git.example.org/org/repo//base']"})
    with pytest.raises(BuildError, match=r"https://git[.]example[.]org/org/repo//base is remote") as caught:
        kustomize.build(tree)
    assert "hunter2" not in str(caught.value)


def test_helm_without_a_renderer_is_an_error_and_no_gap() -> None:
    tree = MemoryTree({"kustomization.yaml": "helmCharts: [{name: chart}]"})
    with pytest.raises(BuildError, match="this build has no Helm"):
        kustomize.build(tree, "/", BuildOptions(enable_helm=True))
