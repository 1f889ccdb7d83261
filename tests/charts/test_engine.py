"""Helm's engine in a process of its own: it renders what Helm renders, and what a chart does stays in there."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from shared.charts.engine import Engine, Release
from shared.charts.errors import ChartError
from shared.processes import Stopped
from shared.text import yaml
from tests.kit import charts as kit
from tests.kit.charts import ChartRepository
from tests.kit.gitserver import Certificates
from tests.kit.registry import Registry

CONTENT = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


def chart(template: str = "", *, version: str = "0.1.0", **files: str) -> dict[str, bytes]:
    made = {"Chart.yaml": f"apiVersion: v2\nname: app\nversion: {version}\n", "templates/it.yaml": template}
    made |= {name.replace("__", "/"): content for name, content in files.items()}
    return {name: content.encode() for name, content in made.items()}


def rendered(files: dict[str, bytes], values: dict[str, Any] | None = None, **release: Any) -> Any:
    return yaml.load(Engine().render(files, values or {}, Release(**release)).text())


def test_templates_see_release_values_files_and_capabilities() -> None:
    template = (
        "release: {{ .Release.Name }}/{{ .Release.Namespace }}/{{ .Release.IsInstall }}\n"
        'value: {{ .Values.a.b }}/{{ .Values.a.c }}\nfile: {{ .Files.Get "f.txt" }}\n'
        "kubernetes: {{ .Capabilities.KubeVersion.Version }}\n"
        'has: {{ .Capabilities.APIVersions.Has "x/v1" }}\nfound: {{ lookup "v1" "Secret" "a" "b" | toJson }}\n'
    )
    files = chart(template) | {"values.yaml": b"a: {b: 1, c: 2}", "f.txt": b"content"}
    made = rendered(files, {"a": {"c": 3}}, name="r", namespace="n", kube_version="1.29.3", api_versions=("x/v1",))
    assert made == {
        "release": "r/n/true",
        "value": "1/3",
        "file": "content",
        "kubernetes": "v1.29.3",
        "has": True,
        "found": {},
    }


@pytest.mark.parametrize(
    ("release", "name"), [({}, "release-name"), ({"name": "a"}, "a"), ({"name_template": '{{ "A" | lower }}-b'}, "a-b")]
)
def test_a_release_has_the_name_that_it_is_given_or_makes(release: dict[str, str], name: str) -> None:
    assert rendered(chart("name: {{ .Release.Name }}"), **release)["name"] == name


def test_charts_below_a_chart_are_switched_and_fed_by_its_values() -> None:
    files = chart("kind: Parent\n") | {
        "Chart.yaml": b"apiVersion: v2\nname: app\nversion: 0.1.0\ndependencies:\n"
        b"- {name: used, version: 0.1.0, alias: other}\n- {name: unused, version: 0.1.0, condition: unused.enabled}\n",
        "values.yaml": b"unused: {enabled: false}\nother: {v: given}\nglobal: {g: shared}\n",
    }
    for name in ("used", "unused"):
        files |= {
            f"charts/{name}/Chart.yaml": f"apiVersion: v2\nname: {name}\nversion: 0.1.0\n".encode(),
            f"charts/{name}/templates/a.yaml": b"kind: Child\nv: {{ .Values.v }}{{ .Values.global.g }}\n",
            f"charts/{name}/crds/crd.yaml": b"kind: CustomResourceDefinition\n",
        }
    made = Engine().render(files, {}, Release())
    assert [each.kind for each in made.objects] == ["Child", "Parent"]
    assert "v: givenshared" in made.objects[0].text
    assert len(made.crds) == 1


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (chart("{{ fail \"no way\" }}"), r"app/templates/it\.yaml:1:3\): no way"),
        (chart("{{ env \"HOME\" }}"), r'function "env" not defined'),
        (chart("{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}"), "error calling include"),
        ({"values.yaml": b""}, "Chart.yaml file is missing"),
        (chart() | {"Chart.yaml": b"apiVersion: v2\nname: app\nversion: 1.0.0\ntype: library\n"}, "not installable"),
        (
            chart() | {"Chart.yaml": b"apiVersion: v2\nname: app\nversion: 1.0.0\nkubeVersion: <1.20\n"},
            "requires kubeVersion: <1.20",
        ),
        (
            chart()
            | {"Chart.yaml": b"apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies: [{name: x, version: 1.0.0}]\n"},
            "missing in charts/ directory: x",
        ),
        (chart() | {"values.schema.json": b'{"required": ["needed"]}'}, "missing property 'needed'"),
    ],
)  # fmt: skip
def test_what_helm_refuses_is_refused_in_its_words(files: dict[str, bytes], problem: str) -> None:
    with pytest.raises(ChartError, match=problem) as caught:
        Engine().render(files, {}, Release())
    assert len(str(caught.value)) <= 2000


def test_a_name_that_no_release_can_have_is_refused() -> None:
    with pytest.raises(ChartError, match="invalid release name"):
        Engine().render(chart(), {}, Release(name="Not_Valid"))


@pytest.mark.parametrize(
    "template",
    [
        '{{ repeat 2000000000 "aaaaaaaaaaaaaaaa" }}',
        "{{ range untilStep 0 2000000000 1 }}{{ end }}",
        '{{ $x := "aaaaaaaa" }}{{ range until 40 }}{{ $x = printf "%s%s" $x $x }}{{ end }}',
    ],
)
def test_a_chart_that_takes_all_memory_is_ended(template: str) -> None:
    with pytest.raises(ChartError, match="more than 512 MiB of memory"):
        Engine().render(chart(template), {}, Release())


def test_a_chart_that_never_ends_is_ended() -> None:
    with pytest.raises(ChartError, match="longer than 1 seconds"):
        Engine(seconds=1).render(
            chart("{{ range until 30000 }}{{ range until 30000 }}{{ end }}{{ end }}"), {}, Release()
        )


def test_a_chart_sees_nothing_of_this_process_and_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:hunter2@127.0.0.1:1")
    with ChartRepository() as server:
        schema = f'{{"$ref": "{server.url}/schema.json"}}'.encode()
        with pytest.raises(ChartError, match="failing loading") as caught:
            Engine().render(chart() | {"values.schema.json": schema}, {}, Release())
        assert "hunter2" not in str(caught.value)
        if os.geteuid() == 0:  # others may lack the right to leave the network
            assert server.requests == []


def test_an_engine_that_is_stopped_ends_what_it_does() -> None:
    engine = Engine()
    threading.Timer(0.3, engine.stop).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        engine.render(chart("{{ range until 30000 }}{{ range until 30000 }}{{ end }}{{ end }}"), {}, Release())
    assert time.monotonic() - began < 20


# Pulling.


@pytest.mark.parametrize(
    ("version", "devel", "pulled"),
    [("", False, "1.2.0"), ("", True, "2.0.0-rc.1"), ("1.0.0", False, "1.0.0"), ("~1.1", False, "1.1.3")],
)
def test_a_pull_takes_the_newest_version_that_is_wanted(version: str, devel: bool, pulled: str) -> None:
    with ChartRepository() as server:
        for each in ("1.0.0", "1.1.3", "1.2.0", "2.0.0-rc.1"):
            server.add("demo", each)
        files = Engine().pull(server.url, "demo", version, devel=devel)
    assert yaml.load(files["Chart.yaml"])["version"] == pulled
    assert "templates/config.yaml" in files


def test_a_pull_from_a_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = Certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    with Registry(certificates.context()) as server:
        for version in ("1.0.0", "1.1.0"):
            package = kit.package(kit.chart("demo", version))
            config = server.descriptor("application/vnd.cncf.helm.config.v1+json", b'{"name": "demo"}')
            layers = [server.descriptor(CONTENT, package)]
            server.put("charts/demo", version, {"schemaVersion": 2, "config": config, "layers": layers})
        files = Engine().pull(f"oci://{server.host}/charts/", "demo", "1.x")
    assert yaml.load(files["Chart.yaml"])["version"] == "1.1.0"


def test_a_pull_that_fails_says_why_without_credentials() -> None:
    with ChartRepository() as server:
        server.add("demo", "1.0.0")
        for name, version in (("demo", "2.0.0"), ("other", "")):
            with pytest.raises(ChartError, match="not found"):
                Engine().pull(server.url, name, version)
        server.require("user", "password")
        with pytest.raises(ChartError, match="401"):
            Engine().pull(server.url, "demo")
    with pytest.raises(ChartError, match="refused"):
        Engine().pull(server.url, "demo")
