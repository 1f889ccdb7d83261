"""Each controller works with the rights that deploy/rbac gives its ServiceAccount."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp
import pytest

import kubeapi
from fluvial.processes import free_ports
from shared.api.meta import Manifest
from tests.deploy.built import COMMANDS, ROOT, Admin, container, label, manifests, path
from tests.kit.processes import Processes

BROKEN: dict[str, Manifest] = {
    "source-controller": {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "app", "namespace": "default"},
        "spec": {"url": "http://127.0.0.1:1/x.git", "interval": "1h", "secretRef": {"name": "none"}},
    },
    "kustomize-controller": {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "app", "namespace": "default"},
        "spec": {
            "interval": "1h",
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": "none"},
            "healthCheckExprs": [{"apiVersion": "v1", "kind": "ConfigMap", "current": "("}],
        },
    },
    "notification-controller": {
        "apiVersion": "notification.toolkit.fluxcd.io/v1",
        "kind": "Receiver",
        "metadata": {"name": "app", "namespace": "default"},
        "spec": {"type": "generic", "secretRef": {"name": "none"}, "resources": [{"kind": "Bucket", "name": "none"}]},
    },
}
"""An object that can't become Ready, for each controller that is built."""


@pytest.mark.parametrize("deployment", manifests("Deployment"), ids=label)
async def test_a_controller_works_with_the_rights_of_its_account(deployment: Manifest, tmp_path: Path):
    name = deployment["metadata"]["name"]
    server = await kubeapi.start(tls=False)
    with Processes(tmp_path / "logs") as processes:
        log = processes.log(name)
        async with aiohttp.ClientSession() as session:
            admin = Admin(server, session)
            for manifest in manifests():
                status, answer = await admin.apply(manifest)
                assert status in (200, 201), answer
            kubeconfig = tmp_path / "kubeconfig"
            server.kubeconfig(kubeconfig, user=f"flux-system:{name}")
            health, metrics, first, second = (f"127.0.0.1:{port}" for port in free_ports(4))
            flags = [*container(deployment)["args"], f"--health-addr={health}", f"--metrics-addr={metrics}"]
            if name == "source-controller":
                flags += [f"--storage-addr={first}", f"--storage-path={tmp_path}"]
            if name == "notification-controller":
                flags += [f"--events-addr={first}", f"--receiverAddr={second}", f"--storage-path={tmp_path}"]
            module, _, function = COMMANDS[name].partition(":")
            code = f"import sys; from {module} import {function}; sys.exit({function}())"
            settings = {"KUBECONFIG": str(kubeconfig), "RUNTIME_NAMESPACE": "flux-system", "PYTHONPATH": str(ROOT)}
            processes.start(name, [sys.executable, "-c", code, *flags], os.environ | settings)
            async with asyncio.timeout(60):
                while f"{name} works" not in log.read_text():
                    processes.require_running()
                    await asyncio.sleep(0.1)
                await _reports_and_lets_go(admin, BROKEN[name])
        assert await asyncio.to_thread(processes.terminate) == []
        assert "forbidden" not in log.read_text().lower()
    await server.stop()


async def _reports_and_lets_go(admin: Admin, manifest: Manifest) -> None:
    """It gets a finalizer, conditions and an event; once it is deleted, it goes."""
    assert (await admin.apply(manifest))[0] == 201
    while True:
        _, found = await admin.send("GET", path(manifest))
        _, events = await admin.send("GET", "/api/v1/namespaces/default/events")
        told = manifest["kind"] in [event["involvedObject"]["kind"] for event in events["items"]]
        if told and found["metadata"].get("finalizers") and found["status"].get("conditions"):
            break
        await asyncio.sleep(0.1)
    await admin.send("DELETE", path(manifest))
    while (await admin.send("GET", path(manifest)))[0] != 404:
        await asyncio.sleep(0.1)
