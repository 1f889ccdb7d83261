"""helmCharts in kustomizations, built by the engine with Helm behind its port."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared import kustomize
from shared.charts.inflate import Inflator
from shared.kustomize import BuildError, BuildOptions, MemoryTree
from shared.text import yaml
from tests.kit.charts import ChartRepository

CHART = {
    "charts/app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 0.1.0\n",
    "charts/app/values.yaml": "a: chart\nb: chart\nlist: [1]\n",
    "charts/app/crds/crd.yaml": "apiVersion: x/v1\nkind: CustomResourceDefinition\nmetadata: {name: crd}\n",
    "charts/app/templates/map.yaml": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: '{{ .Release.Name }}'\n"
        "  namespace: '{{ .Release.Namespace }}'\n"
        "data: {values: '{{ omit .Values \"global\" | toJson }}'}\n"
    ),
    "charts/app/templates/hook.yaml": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: hook, annotations: {helm.sh/hook: pre-install}}\n"
    ),
    "charts/app/templates/test.yaml": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: test, annotations: {helm.sh/hook: test}}\n"
    ),
    "values.yaml": "b: file\nc: file\n",
    "more.yaml": "c: more\nd: null\n",
}


def build(entry: dict[str, Any], files: dict[str, str] | None = None, *, helm: Any = None, **more: Any) -> list[Any]:
    kustomization = yaml.dump({"helmCharts": [{"name": "app", **entry}], **more})
    tree = MemoryTree({**CHART, **(files or {}), "kustomization.yaml": kustomization})
    options = BuildOptions(enable_helm=True, helm=helm or Inflator(may_pull=False))
    return kustomize.build(tree, "/", options).values


def values(entry: dict[str, Any], files: dict[str, str] | None = None) -> Any:
    return yaml.load(build({**entry, "skipHooks": True}, files)[0]["data"]["values"])


INLINE = {"a": "inline", "c": "inline", "b": None}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, {"a": "chart", "b": "chart", "list": [1]}),
        ({"valuesFile": "values.yaml"}, {"a": "chart", "b": "file", "c": "file", "list": [1]}),
        (
            {"valuesFile": "values.yaml", "additionalValuesFiles": ["more.yaml"]},
            {"a": "chart", "b": "file", "c": "more", "d": None, "list": [1]},
        ),
        ({"valuesInline": {"list": [2]}}, {"a": "chart", "b": "chart", "list": [2]}),
        ({"valuesInline": INLINE}, {"a": "inline", "b": "chart", "c": "inline", "list": [1]}),
        (
            {"valuesInline": INLINE, "valuesMerge": "merge", "valuesFile": "values.yaml"},
            {"a": "inline", "b": "file", "c": "file", "list": [1]},
        ),
        ({"valuesInline": INLINE, "valuesMerge": "replace"}, {"a": "inline", "c": "inline", "list": [1]}),
    ],
)
def test_values_come_from_the_chart_files_and_inline(entry: dict[str, Any], expected: Any) -> None:
    assert values(entry) == expected


@pytest.mark.parametrize(
    ("entry", "names"),
    [
        ({}, ["release-name", "hook", "test"]),
        ({"includeCRDs": True}, ["crd", "release-name", "hook", "test"]),
        ({"skipTests": True}, ["release-name", "hook"]),
        ({"skipHooks": True, "releaseName": "r"}, ["r"]),
        ({"skipHooks": True, "nameTemplate": "{{ `N` | lower }}"}, ["n"]),
    ],
)
def test_crds_hooks_tests_and_the_name_are_what_the_entry_says(entry: dict[str, Any], names: list[str]) -> None:
    assert sorted(each["metadata"]["name"] for each in build(entry)) == sorted(names)


def test_a_chart_is_rendered_for_the_namespace_of_its_entry_or_else_of_the_kustomization() -> None:
    def namespace(entry: dict[str, Any], **more: Any) -> str:
        return str(build({**entry, "skipHooks": True}, **more)[0]["metadata"]["namespace"])

    assert namespace({}) == "default"
    assert namespace({"namespace": "own"}) == "own"
    assert namespace({}, namespace="all") == "all"


def test_what_a_chart_renders_is_patched_like_anything_else() -> None:
    patch = {"patch": '[{"op": "replace", "path": "/data", "value": {"x": "y"}}]', "target": {"kind": "ConfigMap"}}
    made = build({"skipHooks": True}, patches=[patch], namePrefix="p-")
    assert (made[0]["metadata"]["name"], made[0]["data"]) == ("p-release-name", {"x": "y"})


@pytest.mark.parametrize(
    ("entry", "files", "problem"),
    [
        ({"name": ""}, {}, "a chart needs a name"),
        ({"name": "--help"}, {}, "must not begin with '-'"),
        ({"name": "missing"}, {}, "no chart at charts/missing, and no repo"),
        ({"valuesMerge": "mix"}, {}, "valuesMerge must be one of"),
        ({"releaseName": "a", "nameTemplate": "b"}, {}, "not both"),
        ({"valuesFile": "absent.yaml"}, {}, "absent.yaml"),
        ({"valuesFile": "../outside.yaml"}, {}, "outside"),
        ({"additionalValuesFiles": ["absent.yaml"]}, {}, "absent.yaml"),
        ({}, {"charts/app/values.yaml": "a: ["}, "charts/app/values.yaml"),
        ({}, {"charts/app/values.yaml": "- a"}, "values must be a mapping"),
        ({"valuesInline": {"a": 1}}, {"charts/app/values.yaml": "- a"}, "values must be a mapping"),
        ({"valuesInline": {"a": 1}}, {"charts/app/values.yaml": "a: ["}, "charts/app/values.yaml"),
        ({}, {"charts/app/templates/bad.yaml": "{{"}, r"cannot render the chart app: .*bad\.yaml"),
        ({"name": "gone", "repo": "https://charts.example.com"}, {}, "remote bases are disabled"),
    ],
)
def test_an_error_says_what_is_wrong_and_where(entry: dict[str, Any], files: dict[str, str], problem: str) -> None:
    with pytest.raises(BuildError, match=problem) as caught:
        build(entry, files)
    assert str(caught.value).startswith(("kustomization.yaml: helmCharts[0]", "charts/app/values.yaml:"))


def test_a_chart_may_have_its_links_but_none_that_leads_outside(tmp_path: Path) -> None:
    for name, text in CHART.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    (tmp_path / "tree/kustomization.yaml").write_text("helmCharts: [{name: app}]")
    options = BuildOptions(enable_helm=True, helm=Inflator())
    assert kustomize.build(tmp_path / "tree", "/", options).values
    (tmp_path / "secret").write_text("x")
    (tmp_path / "tree/charts/app/link").symlink_to(tmp_path / "secret")
    with pytest.raises(BuildError, match="leads outside the source"):
        kustomize.build(tmp_path / "tree", "/", options)
    (tmp_path / "tree/charts/app/link").unlink()
    (tmp_path / "tree/charts/app/link").symlink_to(".")
    with pytest.raises(BuildError, match="a link to itself"):
        kustomize.build(tmp_path / "tree", "/", options)


def test_a_chart_that_is_not_there_is_pulled_once_a_build() -> None:
    with ChartRepository() as server:
        server.add("far", "1.0.0")
        entry = {"name": "far", "repo": server.url, "version": "1.0.0", "releaseName": "one"}
        both = [entry, {**entry, "releaseName": "two", "valuesFile": "charts/far-1.0.0/far/values.yaml"}]
        tree = MemoryTree({"kustomization.yaml": yaml.dump({"helmCharts": both})})
        made = kustomize.build(tree, "/", BuildOptions(enable_helm=True, helm=Inflator())).values
        assert [each["metadata"]["name"] for each in made] == ["one", "two"]
        assert [path for path, _ in server.requests if path.endswith(".tgz")] == ["/far-1.0.0.tgz"]


def test_the_command_line_renders_charts_when_told_to(tmp_path: Path) -> None:
    for name, text in {**CHART, "kustomization.yaml": "helmCharts: [{name: app, skipHooks: true}]"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def run(*flags: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fluvial", "build", *flags, str(tmp_path)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert yaml.load(run("--enable-helm").stdout)["metadata"]["name"] == "release-name"
    refused = run()
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "--enable-helm" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "charts",
        "kustomization.yaml",
        "more.yaml",
        "values.yaml",
    ]
