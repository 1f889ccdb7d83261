"""What tests of receivers act on: a controller of Receivers in this process, on an embedded API, and its webhooks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import time

import aiohttp

from notification_controller import receiver
from notification_controller.receivers.notify import Notifier
from notification_controller.receivers.oidc import Issuers
from notification_controller.receivers.secrets import Secrets
from notification_controller.webhooks import Webhooks
from shared.api import crd
from shared.api.image import ImageRepository
from shared.api.kustomize import Kustomization
from shared.api.notification import Receiver
from shared.api.source import GitRepository
from shared.kube import config
from shared.kube.client import Client
from shared.kube.errors import NotFound
from shared.loop import flags, metrics, process, web
from shared.loop.flags import Flag

NAME = "notification-controller"
GROUP = "notification.toolkit.fluxcd.io/v1"
SOURCES = "source.toolkit.fluxcd.io/v1"
TOKEN = "s3cr3t"
FLAGS = (
    Flag("receiverAddr", "string", "127.0.0.1:0", "Webhooks."),
    Flag("no-cross-namespace-refs", "bool", False, "Only objects of the own namespace."),
)


def condition(obj, type_, field="status"):
    found = [each for each in (obj.get("status") or {}).get("conditions") or [] if each["type"] == type_]
    return found[0].get(field) if found else None


class Receiving:
    """`have` and `source` make objects, `send` sends a webhook, `requested` tells what came of it."""

    namespace = "default"

    def __init__(self, api, folder):
        self.api = api
        api.kubeconfig(folder / "kubeconfig")
        self.connection = config.load(folder / "kubeconfig")
        self.kube = Client(self.connection, qps=-1)
        self.port = 0
        self.client = None
        self._running = None

    async def install(self):
        for kind in (Receiver, GitRepository, ImageRepository, Kustomization):
            await self.kube.apply(crd.definition(kind), field_manager="test")
        await self.secret()

    async def start(self, *arguments, user=""):
        common = ["--health-addr=0", "--metrics-addr=0", "--min-retry-delay=100ms"]
        options = flags.parse(NAME, "", FLAGS, [*common, *arguments])
        self._running = contextlib.AsyncExitStack()
        await self._running.enter_async_context(process.running(NAME, self.connection, options, self._build))
        while not self.port:
            await asyncio.sleep(0.01)
        self._session = await self._running.enter_async_context(aiohttp.ClientSession())

    async def _build(self, runtime):
        self.client = runtime.client
        secrets = Secrets(runtime.client)

        def known():
            ready = runtime.controller is not None and runtime.working.is_set()
            return runtime.controller.known(Receiver) if ready else None

        refuse = runtime.options.no_cross_namespace_refs
        notifier = Notifier(runtime.client, manager=NAME, no_cross_namespace_refs=refuse)
        hooks = Webhooks(NAME, known, secrets, Issuers(), notifier)
        runtime.services.push_async_callback(hooks.stop)
        server = web.Server(hooks.answer, metrics=metrics.receiver_http, path="/hook/")
        await server.start(runtime.options.receiverAddr)
        runtime.services.push_async_callback(server.stop)
        self.port = server.port
        return [receiver.kind(secrets)]

    async def stop(self):
        if self._running is not None:
            await self._running.aclose()
            self._running, self.port = None, 0

    async def close(self):
        await self.stop()
        await self.kube.close()

    async def secret(self, token=TOKEN, name="token", *, watched=False, **more):
        data = {key: base64.b64encode(value.encode()).decode() for key, value in {"token": token, **more}.items()}
        labels = {"reconcile.fluxcd.io/watch": "Enabled"} if watched else {}
        metadata = {"name": name, "namespace": self.namespace, "labels": labels}
        await self.kube.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}, field_manager="test", force=True
        )

    async def source(self, name="app", namespace=None, **labels):
        metadata = {"name": name, "namespace": namespace or self.namespace, "labels": labels}
        spec = {"url": "https://example.com/x", "interval": "1h", "suspend": True}
        await self.kube.apply(
            {"apiVersion": SOURCES, "kind": "GitRepository", "metadata": metadata, "spec": spec}, field_manager="test"
        )

    async def put(self, type_="generic", name="hook", resources=None, **spec):
        resources = [{"kind": "GitRepository", "name": "app"}] if resources is None else resources
        reference = {} if type_ == "generic-oidc" else {"secretRef": {"name": "token"}}
        metadata = {"name": name, "namespace": self.namespace}
        spec = {"type": type_, "resources": resources, **reference, **spec}
        await self.kube.apply(
            {"apiVersion": GROUP, "kind": "Receiver", "metadata": metadata, "spec": spec}, field_manager="test"
        )

    async def have(self, type_="generic", name="hook", resources=None, **spec):
        """A Receiver, once it is ready; its path."""
        await self.put(type_, name, resources, **spec)
        made = await self.until(
            name,
            lambda obj: (
                condition(obj, "Ready") == "True"
                and condition(obj, "Ready", "observedGeneration") == obj["metadata"]["generation"]
            ),
        )
        return made["status"]["webhookPath"]

    async def edit(self, patch, name="hook"):
        return await self.kube.patch(GROUP, "Receiver", name, self.namespace, patch)

    async def until(self, name, holds, within=30.0):
        deadline = time.monotonic() + within
        while True:
            obj = await self.kube.get(GROUP, "Receiver", name, self.namespace)
            if holds(obj):
                return obj
            assert time.monotonic() < deadline, f"Receiver {name} stays {obj.get('status')}"
            await asyncio.sleep(0.02)

    async def failed(self, name, reason):
        return await self.until(name, lambda obj: condition(obj, "Ready", "reason") == reason)

    async def send(self, path, body=b"{}", method="POST", **headers):
        """The status of the answer."""
        return (await self.ask(path, body, method, **headers))[0]

    async def ask(self, path, body=b"{}", method="POST", **headers):
        """Status and text of the answer."""
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self._session.request(method, url, data=body, headers=sent) as answer:
            return answer.status, await answer.text()

    async def answered(self, path, status, **options):
        """Send until the answer is this one, which is a matter of moments."""
        deadline = time.monotonic() + 10
        while await self.send(path, **options) != status:
            assert time.monotonic() < deadline, f"{path} doesn't come to answer {status}"
            await asyncio.sleep(0.02)

    async def requested(self, name="app", namespace=None, kind="GitRepository", api_version=SOURCES):
        obj = await self.kube.get(api_version, kind, name, namespace or self.namespace)
        return (obj["metadata"].get("annotations") or {}).get("reconcile.fluxcd.io/requestedAt")

    async def until_requested(self, name="app", within=30.0):
        deadline = time.monotonic() + within
        while not (token := await self.requested(name)):
            assert time.monotonic() < deadline, f"{name} was never requested"
            await asyncio.sleep(0.02)
        return token

    async def gone(self, name):
        try:
            await self.kube.get(GROUP, "Receiver", name, self.namespace)
        except NotFound:
            return True
        return False


def path(token=TOKEN, name="hook", namespace="default"):
    return "/hook/" + hashlib.sha256(f"{token}{name}{namespace}".encode()).hexdigest()
