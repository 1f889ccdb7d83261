"""A source-controller in this process, on an embedded Kubernetes API, with a Git server beside it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

import kubeapi
from shared.api import crd
from shared.api.source import Bucket, GitRepository, HelmChart, HelmRepository, OCIRepository
from shared.kube import config
from shared.kube.client import Client
from shared.kube.errors import NotFound
from shared.loop import process
from source_controller import __main__ as source_controller
from tests.kit.clouds import aws, azurite, entra, google, internet  # noqa: F401
from tests.kit.gitserver import GitServer

ROOT = Path(__file__).parents[2]
GROUP = "source.toolkit.fluxcd.io/v1"


def condition(obj, type_, field="status"):
    found = [each for each in (obj.get("status") or {}).get("conditions") or [] if each["type"] == type_]
    return found[0].get(field) if found else None


def attempts(kind):
    """How often the controllers of this process have looked at objects of a kind that are well."""
    labels = {"controller": kind.lower(), "result": "requeue_after"}
    return REGISTRY.get_sample_value("controller_runtime_reconcile_total", labels) or 0


class World:
    """What a test acts on and looks at. `start` and `stop` the controller as often as needed."""

    namespace = "default"

    def __init__(self, api, folder):
        self.api, self.folder = api, folder
        self.kubeconfig = folder / "kubeconfig"
        api.kubeconfig(self.kubeconfig)
        self.connection = config.load(self.kubeconfig)
        self.kube = Client(self.connection)
        self.storage = folder / "storage"
        self.flags = [
            f"--storage-path={self.storage}",
            "--storage-addr=127.0.0.1:0",
            "--health-addr=0",
            "--metrics-addr=0",
            "--min-retry-delay=100ms",
            "--requeue-dependency=100ms",
        ]
        self._running = None

    @property
    def command(self):
        """What starts the controller as a process of its own, and the environment that it needs."""
        settings = {"KUBECONFIG": str(self.kubeconfig), "PYTHONPATH": str(ROOT)}
        return [sys.executable, "-m", "source_controller", *self.flags], os.environ | settings

    async def start(self, *flags):
        self._running = contextlib.AsyncExitStack()
        options = source_controller.options([*self.flags, *flags])
        running = process.running(source_controller.NAME, self.connection, options, source_controller.build)
        await self._running.enter_async_context(running)

    async def stop(self):
        if self._running:
            await self._running.aclose()
            self._running = None

    async def close(self):
        await self.stop()
        await self.kube.close()

    async def put(self, name, spec, kind="GitRepository"):
        spec = {"interval": "1h", **({"ref": {"branch": "main"}} if kind == "GitRepository" else {}), **spec}
        metadata = {"name": name, "namespace": self.namespace}
        return await self.kube.apply(
            {"apiVersion": GROUP, "kind": kind, "metadata": metadata, "spec": spec}, field_manager="test"
        )

    async def secret(self, name, data, **labels):
        encoded = {
            key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
            for key, value in data.items()
        }
        metadata = {"name": name, "namespace": self.namespace, "labels": labels}
        await self.kube.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded}, field_manager="test"
        )

    async def account(self, name, annotations, **more):
        """A ServiceAccount, which may be somebody at a cloud."""
        metadata = {"name": name, "namespace": self.namespace, "annotations": annotations}
        manifest = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, **more}
        await self.kube.apply(manifest, field_manager="test")

    async def ask(self, name, kind="GitRepository"):
        """Asks for a reconciliation; its token."""
        token = str(time.monotonic_ns())
        patch = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}
        await self.kube.patch(GROUP, kind, name, self.namespace, patch)
        return token

    async def read(self, name, kind="GitRepository"):
        return await self.kube.get(GROUP, kind, name, self.namespace)

    async def until(self, name, holds, kind="GitRepository", within=60.0):
        deadline = time.monotonic() + within
        while True:
            try:
                obj = await self.read(name, kind)
            except NotFound:
                obj = None
            if holds(obj):
                return obj
            assert time.monotonic() < deadline, f"{kind} {name} stays {obj and obj.get('status')}"
            await asyncio.sleep(0.03)

    async def ready(self, name, revision="", kind="GitRepository"):
        return await self.until(
            name,
            lambda obj: (
                condition(obj, "Ready") == "True"
                and condition(obj, "Ready", "observedGeneration") == obj["metadata"]["generation"]
                and revision in obj["status"]["artifact"]["revision"]
            ),
            kind,
        )

    async def failed(self, name, reason, kind="GitRepository"):
        return await self.until(
            name,
            lambda obj: condition(obj, "Ready") == "False" and condition(obj, "Ready", "reason") == reason,
            kind,
        )

    async def events(self, name):
        """The events about an object, once all that were recorded are there."""
        await asyncio.sleep(0.2)
        found = await self.kube.list("v1", "Event", self.namespace)
        return [each for each in found if each["involvedObject"]["name"] == name]

    def stored(self, obj):
        """The file of an object's artifact."""
        url, path = obj["status"]["artifact"]["url"], obj["status"]["artifact"]["path"]
        pinned = obj["status"]["artifact"]["digest"]
        return self.storage / (f"{path}@{pinned}" if f"/{pinned}/" in url else path)


@pytest.fixture
async def api():
    server = await kubeapi.start(tls=False, workloads=False, invariants=True)
    yield server
    await server.stop()


@pytest.fixture
async def world(api, tmp_path):
    made = World(api, tmp_path)
    for kind in (GitRepository, OCIRepository, Bucket, HelmRepository, HelmChart):
        await made.kube.apply(crd.definition(kind), field_manager="test")
    yield made
    await made.close()


@pytest.fixture
async def controller(world):
    """The world with its controller running."""
    await world.start()
    return world


@pytest.fixture
def git(tmp_path):
    with GitServer(tmp_path / "git") as server:
        yield server


@pytest.fixture
def repo(git):
    return git.create("app")
