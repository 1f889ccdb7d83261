"""A Kubernetes API small enough to script: it serves ConfigMaps, counts requests, and fails when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.kube.client import Client
from shared.kube.config import Connection
from shared.kube.credentials import Credentials

Answer = Callable[[web.Request], web.StreamResponse | None]


def status(code: int, reason: str, message: str, **more: Any) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }
    return web.json_response(body | more, status=code)


class FakeApi:
    """Objects by (namespace, name), a log of changes, and `script`: answers that come before the usual one."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.log: list[tuple[int, str, dict[str, Any]]] = []
        self.version = 0
        self.oldest = 0
        self.requests: list[web.Request] = []
        self.bodies: list[Any] = []
        self.script: list[Answer] = []
        self.resources: list[dict[str, Any]] = [
            {"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": ["get", "list", "watch", "patch"]},
            {"name": "namespaces", "kind": "Namespace", "namespaced": False, "verbs": ["get"]},
            {"name": "namespaces/status", "kind": "Namespace", "namespaced": False, "verbs": ["get"]},
        ]
        self.streams = True
        """Whether a watch can begin with the initial state."""
        self._changed = asyncio.Condition()
        self._watches: set[asyncio.Task[Any]] = set()

    def put(self, name: str, namespace: str = "default", *, uid: str = "", **more: Any) -> None:
        self.version += 1
        key = (namespace, name)
        kind = "MODIFIED" if key in self.objects else "ADDED"
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(self.version),
        }
        metadata |= more.pop("metadata", {})
        self.objects[key] = {"metadata": metadata, **more}
        self.log.append((self.version, kind, self.objects[key]))

    def remove(self, name: str, namespace: str = "default") -> None:
        self.version += 1
        gone = self.objects.pop((namespace, name))
        gone = gone | {"metadata": gone["metadata"] | {"resourceVersion": str(self.version)}}
        self.log.append((self.version, "DELETED", gone))

    def forget(self) -> None:
        """Watches can't be resumed at what was before now."""
        self.log.clear()
        self.oldest = self.version

    async def cut_watches(self) -> None:
        for task in list(self._watches):
            task.cancel()
        while self._watches:
            await asyncio.sleep(0.01)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        body = await request.read()
        self.bodies.append(orjson.loads(body) if body else None)
        if self.script and (answer := self.script.pop(0)(request)) is not None:
            return answer
        path = request.rel_url.raw_path
        if path in ("/api/v1", "/apis/v1"):
            return web.json_response({"kind": "APIResourceList", "groupVersion": "v1", "resources": self.resources})
        if path.endswith("/configmaps"):
            if "watch" in request.query:
                return await self._watch(request)
            if request.method == "GET":
                return self._list(request)
            return web.json_response(self.bodies[-1])
        if "/configmaps/" in path:
            _, _, rest = path.partition("/namespaces/")
            namespace, _, name = rest.split("/")
            if request.method in ("PATCH", "PUT"):
                self.put(name, namespace, data=(self.bodies[-1] or {}).get("data"))
            found = self.objects.get((namespace, name))
            if found is None:
                return status(404, "NotFound", f'configmaps "{name}" not found')
            if request.method == "DELETE":
                self.remove(name, namespace)
            return web.json_response({"apiVersion": "v1", "kind": "ConfigMap", **found})
        return status(404, "NotFound", "the server could not find the requested resource")

    def _list(self, request: web.Request) -> web.Response:
        limit = int(request.query.get("limit", "0"))
        start = int(request.query.get("continue", "0"))
        items = list(self.objects.values())
        page = items[start : start + limit] if limit else items[start:]
        metadata: dict[str, Any] = {"resourceVersion": str(self.version)}
        if limit and start + limit < len(items):
            metadata["continue"] = str(start + limit)
        return web.json_response({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": page})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        start = int(request.query.get("resourceVersion") or 0)
        initial = "sendInitialEvents" in request.query
        if initial and not self.streams:
            return status(422, "Invalid", "sendInitialEvents: Forbidden: not enabled")
        response = web.StreamResponse()
        await response.prepare(request)

        async def send(kind: str, found: dict[str, Any]) -> None:
            await response.write(orjson.dumps({"type": kind, "object": {"kind": "ConfigMap", **found}}) + b"\n")

        task = asyncio.current_task()
        assert task is not None
        self._watches.add(task)
        try:
            if initial:
                start = self.version
                for found in list(self.objects.values()):
                    await send("ADDED", found)
                end = {"resourceVersion": str(start), "annotations": {"k8s.io/initial-events-end": "true"}}
                await send("BOOKMARK", {"metadata": end})
            elif start < self.oldest:
                await send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
                return response
            while True:
                for version, kind, found in self.log[:]:
                    if version > start:
                        start = version
                        await send(kind, found)
                await asyncio.sleep(0.005)
        except (asyncio.CancelledError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
            return response
        finally:
            self._watches.discard(task)


@asynccontextmanager
async def serving(
    api: FakeApi, credentials: Credentials | None = None, **options: Any
) -> AsyncIterator[tuple[Client, TestServer]]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    server = TestServer(app)
    await server.start_server()
    connection = Connection(server=str(server.make_url("")).rstrip("/"), credentials=credentials or Credentials())
    client = Client(connection, user_agent="test-controller/1.2", **({"qps": -1.0} | options))
    try:
        yield client, server
    finally:
        await client.close()
        await api.cut_watches()
        await server.close()
