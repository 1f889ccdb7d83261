"""The real flux command works on the embedded API as on any cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubeapi.command_kit import ROOT, start, tool


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kubeconfig for a running server."""
    process, kubeconfig = start(tmp_path_factory.mktemp("kubeapi"))
    yield kubeconfig
    process.terminate()
    assert process.wait(10) == 0


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
