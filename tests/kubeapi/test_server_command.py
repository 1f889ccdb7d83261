"""`fluvial kubeapi` as its users meet it: help, files, and the real kubectl and flux where they are built."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.upstream.controlplane import build

ROOT = Path(__file__).parents[2]
LAUNCH = [sys.executable, "-m", "kubeapi.command"]

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


def environment(**more: str) -> dict[str, str]:
    return {**build.environment(), **os.environ, "PYTHONPATH": str(ROOT), **more}


def start(folder: Path, *options: str) -> tuple[subprocess.Popen[str], Path]:
    kubeconfig = folder / "kubeconfig"
    command = [*LAUNCH, f"--kubeconfig-out={kubeconfig}", "--workload-delay=0.05", *options]
    process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while not kubeconfig.exists():
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < end, "the server doesn't start"
        time.sleep(0.02)
    return process, kubeconfig


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kubeconfig for a running server."""
    process, kubeconfig = start(tmp_path_factory.mktemp("kubeapi"))
    yield kubeconfig
    process.terminate()
    assert process.wait(10) == 0


class Tool:
    """kubectl or flux on that server."""

    def __init__(self, name: str, kubeconfig: Path):
        self.path = build.path(name)
        self.env = environment(KUBECONFIG=str(kubeconfig), HOME=str(kubeconfig.parent), EDITOR="sed -i /a:/s/1/2/")

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(self.path), *arguments]
        return subprocess.run(
            command, env=self.env, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout


def tool(name: str, kubeconfig: Path) -> Tool:
    if not build.available(name):
        pytest.skip(f"{name} isn't built: `make tools` does that")
    return Tool(name, kubeconfig)


@pytest.fixture
def kubectl(cluster: Path) -> Iterator[Tool]:
    found = tool("kubectl", cluster)
    yield found
    found("delete", "all,configmaps,secrets,pvc", "--all", "--wait=false")


def test_help_says_what_it_is_and_how_to_use_it():
    done = subprocess.run([*LAUNCH, "--help"], env=environment(), cwd=ROOT, capture_output=True, text=True, check=True)
    assert "usage: fluvial kubeapi" in done.stdout
    for word in ("--data", "--port", "--kubeconfig-out", "examples:", "kubectl get"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--port", "70000"], "--port must be between 0 and 65535"),
        (["--workload-delay", "-1"], "--workload-delay must not be negative"),
        (["--token-file", "/nonexistent"], "--token-file can't be read"),
    ],
)
def test_a_wrong_option_is_explained(options: list[str], problem: str):
    done = subprocess.run([*LAUNCH, *options], env=environment(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert problem in done.stderr


def test_a_taken_port_is_named(cluster: Path):
    port = yaml.safe_load(cluster.read_text())["clusters"][0]["cluster"]["server"].rpartition(":")[2]
    command = [*LAUNCH, f"--port={port}", f"--kubeconfig-out={cluster.parent / 'other'}"]
    done = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"can't serve on 127.0.0.1:{port}" in done.stderr
    assert not (cluster.parent / "other").exists()


def test_the_kubeconfig_is_for_its_owner_only(cluster: Path):
    assert cluster.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well_even_with_a_watch_open(tmp_path: Path, how: signal.Signals):
    process, kubeconfig = start(tmp_path)
    kubectl = tool("kubectl", kubeconfig)
    watch = subprocess.Popen([str(kubectl.path), "get", "cm", "-w"], env=kubectl.env, stdout=subprocess.PIPE, text=True)
    assert watch.stdout is not None
    watch.stdout.readline()
    process.send_signal(how)
    assert process.wait(10) == 0
    watch.kill()
    watch.wait()


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


def test_flux_lists_suspends_and_shows_trees(cluster: Path):
    kubectl, flux = tool("kubectl", cluster), tool("flux", cluster)
    kubectl("apply", "--server-side", "-f", str(ROOT / "deploy" / "crds"))
    kubectl("wait", "crd", "--all", "--for=condition=Established", "--timeout=20s")
    source = ["--url=https://example.com/app.git", "--branch=main", "--interval=1m", "--export"]
    kubectl("apply", "-f", "-", stdin=flux("create", "source", "git", "app", "--namespace=default", *source))
    ks = ["--source=GitRepository/app", "--path=./deploy", "--prune", "--interval=5m", "--export"]
    kubectl("apply", "-f", "-", stdin=flux("create", "kustomization", "app", "--namespace=default", *ks))
    listed = flux("get", "all", "-A")
    assert "gitrepository/app" in listed
    assert "kustomization/app" in listed
    flux("suspend", "kustomization", "app", "--namespace=default")
    assert kubectl("get", "ks", "app", "-o", "jsonpath={.spec.suspend}") == "true"
    inventory = '{"status":{"inventory":{"entries":[{"id":"default_settings__ConfigMap","v":"v1"}]}}}'
    kubectl("create", "configmap", "settings")
    kubectl("patch", "ks", "app", "--subresource=status", "--type=merge", "-p", inventory)
    assert "ConfigMap/default/settings" in flux("tree", "kustomization", "app", "--namespace=default")
    flux("create", "secret", "git", "key", "--namespace=default", "--url=https://x.io", "--username=a", "--password=b")
    assert kubectl("get", "secret", "key", "-o", "jsonpath={.data.username}") == "YQ=="
    flux("delete", "kustomization", "app", "--namespace=default", "--silent")
    assert kubectl("get", "ks", "-o", "name") == ""
