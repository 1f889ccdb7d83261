"""What tests of alerts act on: the whole controller, in this process or in one of its own, on an embedded API."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from fluvial.processes import free_ports
from notification_controller import __main__ as notification_controller
from shared.api import crd
from shared.api.meta import Manifest
from shared.api.notification import Alert, Provider, Receiver
from shared.api.source import GitRepository
from shared.kube import config
from shared.kube.client import Client
from shared.loop import process
from tests.kit.hooks import Hooks
from tests.kit.installation import commands
from tests.kit.processes import Processes

NAME, GROUP = notification_controller.NAME, "notification.toolkit.fluxcd.io/v1beta3"
SOURCES = "source.toolkit.fluxcd.io/v1"
QUIET = "notification.fluvial.dev/"


class Telling:
    """`alert` and `provider` make what wants to be told, `happens` posts an event, `warning` is what people see."""

    namespace = "default"

    def __init__(self, api: Any, folder: Path) -> None:
        self.api = api
        self.storage = folder / "notifications"
        folder.mkdir(exist_ok=True)
        self._kubeconfig = folder / "kubeconfig"
        api.kubeconfig(self._kubeconfig)
        self.kube = Client(config.load(self._kubeconfig), qps=-1)
        self._numbers = itertools.count(1)
        self._processes = Processes(folder / "logs")
        self._running: contextlib.AsyncExitStack | None = None
        self._session = aiohttp.ClientSession()
        self._port = 0

    async def install(self) -> None:
        for kind in (Alert, Provider, Receiver, GitRepository):
            await self.kube.apply(crd.definition(kind), field_manager="test")
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}}
        await self.kube.apply(namespace, field_manager="test")  # of the lease

    def _flags(self, flags: tuple[str, ...]) -> list[str]:
        self._port, hooks = free_ports(2)
        return [
            "--health-addr=0",
            "--metrics-addr=0",
            f"--events-addr=127.0.0.1:{self._port}",
            f"--receiverAddr=127.0.0.1:{hooks}",
            f"--storage-path={self.storage}",
            *flags,
        ]

    async def start(self, *flags: str, answers: int = 400) -> None:
        """Start the controller in this process, and wait until it takes events: what is none is answered 400 then."""
        self._running = contextlib.AsyncExitStack()
        options = notification_controller.options(self._flags(flags))
        connection = config.load(self._kubeconfig)
        await self._running.enter_async_context(
            process.running(NAME, connection, options, notification_controller.build, serves_always=True)
        )
        await self._until_it_listens(answers)

    async def spawn(self, *flags: str) -> None:
        """Start the controller as a process of its own, and wait until it takes events."""
        command = next(one for one in commands() if one.name == NAME)
        kubeconfig = f"--kubeconfig={self._kubeconfig}"
        self._processes.start(NAME, [*command.line, kubeconfig, *self._flags(flags)])
        await self._until_it_listens()

    async def _until_it_listens(self, answers: int = 400) -> None:
        async with asyncio.timeout(60):
            while await self.post(b"no event") != answers:
                self._processes.require_running()
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """End the controller in this process as a signal would."""
        if self._running is not None:
            await self._running.aclose()
            self._running = None

    def kill(self) -> None:
        """Kill the controller that is a process of its own."""
        self._processes.stop(NAME)

    async def close(self) -> None:
        await self.stop()
        self._processes.stop()
        await self._session.close()
        await self.kube.close()

    async def provider(self, name: str = "chat", address: str = "", type_: str = "generic", **spec: Any) -> None:
        await self._put("Provider", name, {"type": type_, "address": address, "timeout": "2s", **spec})

    async def alert(
        self, name: str = "alert", provider: str = "chat", quiet: dict[str, str] | None = None, **spec: Any
    ) -> None:
        """An Alert of all Kustomizations; `quiet` are annotations without their prefix."""
        annotations = {QUIET + key: text for key, text in (quiet or {}).items()}
        sources = [{"kind": "Kustomization", "name": "*"}]
        wanted = {"providerRef": {"name": provider}, "eventSources": sources, **spec}
        await self._put("Alert", name, wanted, annotations)

    async def _put(self, kind: str, name: str, spec: Manifest, annotations: dict[str, str] | None = None) -> None:
        metadata = {"name": name, "namespace": self.namespace, "annotations": annotations or {}}
        manifest = {"apiVersion": GROUP, "kind": kind, "metadata": metadata, "spec": spec}
        await self.kube.apply(manifest, field_manager="test", force=True)

    async def secret(self, name: str, **data: str) -> None:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in data.items()}
        metadata = {"name": name, "namespace": self.namespace}
        await self.kube.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": encoded},
            field_manager="test",
            force=True,
        )

    async def known(self) -> None:
        """Wait until the controller knows all that was made or edited so far: what comes after is known, too."""
        probe = f"probe-{next(self._numbers)}"
        with Hooks() as hooks:
            await self.provider(probe, hooks.url)
            await self.alert(probe, probe, eventSources=[{"kind": "Bucket", "name": probe}])
            async with asyncio.timeout(30):
                while not hooks.requests:
                    await self.happens("is it known?", probe, kind="Bucket")
                    await asyncio.sleep(0.02)

    async def happens(
        self,
        message: str,
        name: str = "app",
        *,
        status: int = 202,
        kind: str = "Kustomization",
        namespace: str = "",
        **fields: Any,
    ) -> None:
        """A controller tells of an object; no event repeats another."""
        group = "kustomize.toolkit.fluxcd.io" if kind == "Kustomization" else "source.toolkit.fluxcd.io"
        metadata = {f"{group}/token": str(next(self._numbers)), **fields.pop("metadata", {})}
        involved = {"apiVersion": f"{group}/v1", "kind": kind, "namespace": namespace or self.namespace, "name": name}
        event = {"involvedObject": involved, "severity": "info", "reason": "ReconciliationSucceeded", **fields}
        body = json.dumps({**event, "message": message, "metadata": metadata}).encode()
        assert await self.post(body) == status

    async def fails(self, message: str, name: str = "app", reason: str = "BuildFailed", **fields: Any) -> None:
        await self.happens(message, name, severity="error", reason=reason, **fields)

    async def post(self, body: bytes) -> int:
        """The status of the answer; 0 without one."""
        try:
            async with self._session.post(f"http://127.0.0.1:{self._port}/", data=body) as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0

    async def warning(self, text: str, alert: str = "alert") -> Manifest:
        """The Warning event on an Alert whose message has this text."""
        async with asyncio.timeout(30):
            while True:
                for event in await self.kube.list("v1", "Event", self.namespace):
                    if event["involvedObject"]["name"] == alert and text in event["message"]:
                        assert event["type"] == "Warning"
                        return event
                await asyncio.sleep(0.02)


def messages(hooks: Hooks) -> list[str]:
    """What a generic service was told."""
    return [received.json["message"] for received in hooks.requests]


async def until(holds: Callable[[], Any], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)
