"""The real kubectl works on the embedded API as on any cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubeapi.command_kit import ROOT, Tool, start, tool

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: nginx}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: "1"}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kubeconfig for a running server."""
    process, kubeconfig = start(tmp_path_factory.mktemp("kubeapi"))
    yield kubeconfig
    process.terminate()
    assert process.wait(10) == 0


@pytest.fixture
def kubectl(cluster: Path) -> Iterator[Tool]:
    found = tool("kubectl", cluster)
    yield found
    found("delete", "all,configmaps,secrets,pvc", "--all", "--wait=false")


def test_kubectl_applies_waits_and_reads_back(kubectl: Tool):
    assert kubectl("apply", "-f", "-", stdin=WEB) == "deployment.apps/web created\nconfigmap/settings created\n"
    assert kubectl("apply", "-f", "-", stdin=WEB) == "deployment.apps/web unchanged\nconfigmap/settings unchanged\n"
    changed = WEB.replace('"1"', '"2"')
    assert "configmap/settings configured" in kubectl("apply", "-f", "-", stdin=changed)
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=20s")
    lines = kubectl("get", "deployments").splitlines()
    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert lines[1].split()[:4] == ["web", "2/2", "2", "2"]
    assert kubectl("get", "cm", "settings", "-o", "jsonpath={.data.a}") == "2"
    assert "Replicas:               2 desired | 2 updated | 2 total | 2 available" in kubectl("describe", "deploy/web")


def test_kubectl_applies_on_the_server_and_meets_conflicts(kubectl: Tool):
    kubectl("apply", "--server-side", "-f", "-", stdin=WEB)
    other = WEB.replace('"1"', '"2"')
    refused = kubectl.run("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=other)
    assert refused.returncode == 1
    assert 'conflict with "kubectl": .data.a' in refused.stderr
    kubectl("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", stdin=other)
    assert kubectl("get", "cm", "settings", "-o", "jsonpath={.data.a}") == "2"


def test_kubectl_diff_shows_what_apply_would_change(kubectl: Tool):
    kubectl("apply", "-f", "-", stdin=WEB)
    done = kubectl.run("diff", "-f", "-", stdin=WEB.replace('"1"', '"3"'))
    assert done.returncode == 1
    assert '-  a: "1"' in done.stdout
    assert '+  a: "3"' in done.stdout
    assert kubectl.run("diff", "-f", "-", stdin=WEB).returncode == 0


def test_kubectl_creates_edits_patches_and_deletes(kubectl: Tool):
    kubectl("create", "configmap", "made", "--from-literal=a=1")
    kubectl("edit", "configmap", "made")
    assert kubectl("get", "cm", "made", "-o", "jsonpath={.data.a}") == "2"
    kubectl("patch", "configmap", "made", "--type=json", "-p", '[{"op":"add","path":"/data/b","value":"x"}]')
    kubectl("label", "configmap", "made", "team=a")
    kubectl("annotate", "configmap", "made", "note=b")
    assert kubectl("get", "cm", "-l", "team=a", "-o", "name") == "configmap/made\n"
    assert kubectl("delete", "configmap", "made").startswith('configmap "made" deleted')
    missing = kubectl.run("get", "configmap", "made")
    assert missing.stderr.strip() == 'Error from server (NotFound): configmaps "made" not found'


def test_kubectl_scales_and_rolls_back(kubectl: Tool):
    kubectl("create", "deployment", "app", "--image=one")
    kubectl("rollout", "status", "deployment/app", "--timeout=20s")
    kubectl("set", "image", "deployment/app", "one=two")
    kubectl("scale", "deployment/app", "--replicas=2")
    kubectl("rollout", "status", "deployment/app", "--timeout=20s")
    kubectl("rollout", "undo", "deployment/app")
    kubectl("rollout", "status", "deployment/app", "--timeout=20s")
    assert kubectl("get", "deploy", "app", "-o", "jsonpath={.spec.template.spec.containers[0].image}") == "one"


def test_kubectl_explains_built_in_and_custom_kinds(kubectl: Tool):
    text = kubectl("explain", "deployment.spec.replicas")
    assert "FIELD: replicas <integer>" in text
    for file in sorted((ROOT / "deploy" / "crds").glob("*kustomiz*.yaml")):
        kubectl("apply", "--server-side", "-f", str(file))
    kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=20s")
    assert "FIELD: interval <string>" in kubectl("explain", "kustomization.spec.interval")


def test_kubectl_finds_unknown_fields_and_kinds(kubectl: Tool):
    refused = kubectl.run("apply", "-f", "-", stdin=WEB.replace("replicas", "replica"))
    assert refused.returncode == 1
    assert 'unknown field "spec.replica"' in refused.stderr
    unknown = "apiVersion: nobody.io/v1\nkind: Thing\nmetadata: {name: a}\n"
    refused = kubectl.run("apply", "-f", "-", stdin=unknown)
    assert 'no matches for kind "Thing" in version "nobody.io/v1"' in refused.stderr


def test_kubectl_asks_what_somebody_may_do(kubectl: Tool):
    kubectl("create", "serviceaccount", "robot")
    kubectl("create", "role", "reader", "--verb=get", "--resource=pods")
    kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:robot")
    robot = "--as=system:serviceaccount:default:robot"
    assert kubectl("auth", "can-i", "get", "pods", robot) == "yes\n"
    assert kubectl.run("auth", "can-i", "delete", "pods", robot).stdout == "no\n"
    token = kubectl("create", "token", "robot").strip()
    assert token.count(".") == 2


def test_kubectl_lists_what_is_served(kubectl: Tool):
    kinds = kubectl("api-resources", "--no-headers")
    assert "deployments" in kinds
    assert any(line.split()[:2] == ["configmaps", "cm"] for line in kinds.splitlines())
    assert "apps/v1" in kubectl("api-versions").split()
    assert "deployments.apps" in kubectl("api-resources", "--verbs=list,watch", "--namespaced", "-o", "name").split()
    assert "Server Version: v1." in kubectl("version")


def test_kubectl_prints_wide_sorted_and_labelled_lists(kubectl: Tool):
    kubectl("apply", "-f", "-", stdin=WEB)
    kubectl("rollout", "status", "deployment/web", "--timeout=20s")
    header, row = kubectl("get", "deployments", "-o", "wide").splitlines()
    assert header.split()[-3:] == ["CONTAINERS", "IMAGES", "SELECTOR"]
    assert row.split()[-3:] == ["main", "nginx", "app=web"]
    pods = kubectl("get", "pods", "--show-labels", "--sort-by=.metadata.name").splitlines()
    assert len(pods) == 3
    assert all("app=web" in line and "Running" in line for line in pods[1:])
    names = kubectl("get", "all", "-o", "name").split()
    assert "deployment.apps/web" in names
    assert any(name.startswith("replicaset.apps/web-") for name in names)


@pytest.mark.parametrize(
    ("kind", "created", "shown"),
    [
        ("configmap", ["configmap", "one", "--from-literal=a=1"], "a:\n----\n1"),
        ("secret", ["secret", "generic", "one", "--from-literal=a=1"], "a:  1 bytes"),
        ("service", ["service", "clusterip", "one", "--tcp=80"], "Type:                     ClusterIP"),
        ("job", ["job", "one", "--image=app"], "Completions:"),
        ("cronjob", ["cronjob", "one", "--image=app", "--schedule=@daily"], "Schedule:"),
        ("serviceaccount", ["serviceaccount", "one"], "Name:                one"),
        ("role", ["role", "one", "--verb=get", "--resource=pods"], "pods       []"),
        ("ingress", ["ingress", "one", "--rule=a.example/=web:80"], "a.example"),
        ("quota", ["quota", "one", "--hard=pods=5"], "Resource    Used  Hard"),
        ("poddisruptionbudget", ["pdb", "one", "--selector=app=web", "--min-available=1"], "Min available:  1"),
        ("namespace", ["namespace", "one"], "Status:       Active"),
    ],
)
def test_kubectl_describes_what_it_creates(kubectl: Tool, kind: str, created: list[str], shown: str):
    kubectl("create", *created)
    try:
        assert shown in kubectl("describe", kind, "one")
    finally:
        kubectl("delete", kind, "one", "--wait=false")


def test_kubectl_waits_for_a_field_and_for_the_end(kubectl: Tool):
    kubectl("create", "job", "once", "--image=app")
    kubectl("wait", "job/once", "--for=condition=Complete", "--timeout=20s")
    kubectl("wait", "job/once", "--for=jsonpath={.status.succeeded}=1", "--timeout=20s")
    kubectl("delete", "job", "once", "--wait=false")
    kubectl("wait", "job/once", "--for=delete", "--timeout=20s")


def test_kubectl_replaces_a_status(kubectl: Tool):
    kubectl("apply", "-f", "-", stdin=WEB)
    patch = '{"status":{"conditions":[{"type":"Checked","status":"True"}]}}'
    kubectl("patch", "deployment", "web", "--subresource=status", "--type=strategic", "-p", patch)
    assert kubectl("get", "deploy", "web", "-o", "jsonpath={.status.conditions[?(@.type=='Checked')].status}") == "True"


def test_kubectl_is_told_what_nothing_here_can_do(kubectl: Tool):
    kubectl("run", "one", "--image=app")
    kubectl("wait", "pod/one", "--for=condition=Ready", "--timeout=20s")
    refused = kubectl.run("logs", "one")
    assert refused.returncode == 1
    assert "(NotImplemented): the embedded Kubernetes API does not implement pods/log" in refused.stderr
