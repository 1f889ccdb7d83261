"""The real helm command installs, upgrades and rolls back on the embedded API as on any cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubeapi.command_kit import Tool, start, tool

CHART = {
    "Chart.yaml": "apiVersion: v2\nname: shop\nversion: 0.1.0\nappVersion: '1'\n",
    "values.yaml": "replicas: 1\nimage: app:1\n",
    "crds/thing.yaml": """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
""",
    "templates/web.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: main, image: {{ .Values.image | quote }}}]}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: {{ .Release.Name }}}, ports: [{port: 80}]}
---
apiVersion: shop.example.com/v1
kind: Thing
metadata: {name: {{ .Release.Name }}}
""",
    "templates/migrate.yaml": """
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-migrate
  annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: before-hook-creation}
spec:
  template: {spec: {restartPolicy: Never, containers: [{name: main, image: migrate}]}}
""",
    "templates/test.yaml": """
apiVersion: v1
kind: Pod
metadata: {name: {{ .Release.Name }}-test, annotations: {helm.sh/hook: test}}
spec: {restartPolicy: Never, containers: [{name: main, image: test}]}
""",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kubeconfig for a running server."""
    process, kubeconfig = start(tmp_path_factory.mktemp("kubeapi"))
    yield kubeconfig
    process.terminate()
    assert process.wait(10) == 0


@pytest.fixture
def helm(cluster: Path) -> Tool:
    return tool("helm", cluster)


@pytest.fixture
def kubectl(cluster: Path) -> Tool:
    return tool("kubectl", cluster)


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart with a CRD, an object of it, hooks and a test."""
    for name, text in CHART.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "shop"


def image(kubectl: Tool, name: str) -> str:
    return kubectl("get", "deploy", name, "-o", "jsonpath={.spec.template.spec.containers[0].image}")


def test_a_release_is_installed_upgraded_rolled_back_and_removed(helm: Tool, kubectl: Tool, chart: Path):
    helm("install", "web", str(chart), "--wait", "--timeout=30s")
    assert image(kubectl, "web") == "app:1"
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.status.readyReplicas}") == "1"
    assert kubectl("get", "things", "-o", "name") == "thing.shop.example.com/web\n"

    helm("upgrade", "web", str(chart), "--set=image=app:2,replicas=2", "--wait", "--timeout=30s")
    assert image(kubectl, "web") == "app:2"
    (listed,) = json.loads(helm("list", "-o", "json"))
    assert (listed["name"], listed["revision"], listed["status"]) == ("web", "2", "deployed")

    helm("rollback", "web", "1", "--wait", "--timeout=30s")
    assert image(kubectl, "web") == "app:1"
    history = json.loads(helm("history", "web", "-o", "json"))
    assert [one["status"] for one in history] == ["superseded", "superseded", "deployed"]
    assert "STATUS: deployed" in helm("status", "web")
    helm("test", "web", "--timeout=30s")

    helm("uninstall", "web", "--wait", "--timeout=30s")
    assert json.loads(helm("list", "-o", "json")) == []
    assert kubectl("get", "deploy,svc,things", "-o", "name", "--field-selector=metadata.name=web") == ""


def test_an_upgrade_that_never_gets_ready_fails_and_is_rolled_back(helm: Tool, kubectl: Tool, chart: Path):
    helm("install", "bad", str(chart), "--wait", "--timeout=30s")
    template = chart / "templates" / "web.yaml"
    never = "metadata: {labels: {app: {{ .Release.Name }}}, annotations: {kubeapi.fluvial.dev/fail: ImagePullBackOff}}"
    template.write_text(template.read_text().replace("metadata: {labels: {app: {{ .Release.Name }}}}", never))
    refused = helm.run("upgrade", "bad", str(chart), "--set=image=app:3", "--rollback-on-failure", "--timeout=3s")
    assert refused.returncode == 1
    assert image(kubectl, "bad") == "app:1"
    assert json.loads(helm("history", "bad", "-o", "json"))[-1]["status"] == "deployed"
    helm("uninstall", "bad")


def test_a_dry_run_on_the_server_changes_nothing(helm: Tool, kubectl: Tool, chart: Path):
    shown = helm("install", "dry", str(chart), "--dry-run=server")
    assert "kind: Deployment" in shown
    assert json.loads(helm("list", "-o", "json")) == []
