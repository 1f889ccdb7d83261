"""What the tests of admission are written with: the same requests to the embedded API and to a real cluster.

    def test_…(target: Target) -> None:                      runs once on each
        team = target.namespace(labels={"team": "a"})        a namespace of the test's own
        target.create(policy)                                cluster-wide objects go when the test ends
        reply = target.eventually(lambda: team.create(config_map("x")), 422)
        assert reply.message == "…"

A real server notices policies, webhooks and quotas some time after they are stored; `eventually` asks until it has.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

import kubeapi
from shared import schema
from tests.kit.controlplane import ControlPlane
from tests.kubeapi.server_kit import PATCHES

Manifest = dict[str, Any]

_BUILT_IN = {(one.api_version, one.kind): (one.plural, one.namespaced) for one in schema.resources()}
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
_counter = itertools.count(1)


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    code: int
    body: Any
    warnings: list[str]

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))


@dataclass
class Target:
    """One of the two servers, or a namespace of it."""

    url: str
    token: str
    ca: str
    real: bool
    default: str = "default"
    """The namespace of objects that name none."""
    made: list[str] = field(default_factory=list)
    """Paths of cluster-wide objects, to be deleted when the test ends."""

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        token: str = "",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        answer = requests.request(
            method,
            self.url + path,
            data=None if body is None else json.dumps(body),
            headers={
                "Authorization": f"Bearer {token or self.token}",
                "Content-Type": content_type,
                "User-Agent": "tester/1",
                **(headers or {}),
            },
            verify=self.ca,
            timeout=40,
        )
        warnings = [text.replace('\\"', '"') for text in _WARNING.findall(answer.headers.get("Warning", ""))]
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return Reply(answer.status_code, answer.json() if is_json else {"message": answer.text}, warnings)

    def path(self, manifest: Manifest, subresource: str = "", *, named: bool = True) -> str:
        api_version, metadata = manifest["apiVersion"], manifest["metadata"]
        plural, namespaced = _BUILT_IN.get((api_version, manifest["kind"]), (manifest["kind"].lower() + "s", True))
        path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if namespaced:
            path += f"/namespaces/{metadata.get('namespace') or self.default}"
        path += f"/{plural}"
        if named:
            path += f"/{metadata['name']}"
        return path + (f"/{subresource}" if subresource else "")

    def create(self, manifest: Manifest, query: str = "", **options: Any) -> Reply:
        reply = self.send("POST", self.path(manifest, named=False) + query, manifest, **options)
        if reply.code == 201 and not query and "namespace" not in reply.body["metadata"]:
            self.made.append(self.path(reply.body))
        return reply

    def have(self, *manifests: Manifest) -> None:
        """Create objects, which must succeed."""
        for manifest in manifests:
            reply = self.create(manifest)
            assert reply.code == 201, reply.body

    def get(self, manifest: Manifest) -> Reply:
        return self.send("GET", self.path(manifest))

    def put(self, manifest: Manifest, subresource: str = "", query: str = "", **options: Any) -> Reply:
        return self.send("PUT", self.path(manifest, subresource) + query, manifest, **options)

    def patch(
        self, manifest: Manifest, body: Any, kind: str = "merge", subresource: str = "", query: str = "", **options: Any
    ) -> Reply:
        path = self.path(manifest, subresource) + query
        return self.send("PATCH", path, body, PATCHES[kind], **options)

    def apply(self, manifest: Manifest, manager: str = "tester", query: str = "", **options: Any) -> Reply:
        return self.patch(manifest, manifest, "apply", query=f"?fieldManager={manager}{query}", **options)

    def delete(self, manifest: Manifest, body: Any = None, query: str = "", **options: Any) -> Reply:
        return self.send("DELETE", self.path(manifest) + query, body, **options)

    def namespace(self, labels: dict[str, str] | None = None, prefix: str = "ns") -> Target:
        """A new namespace with its default service account."""
        name = f"{prefix}-{next(_counter)}-{secrets.token_hex(3)}"
        metadata = {"name": name, "labels": labels or {}}
        self.have({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        inside = Target(self.url, self.token, self.ca, self.real, name, self.made)
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        inside.eventually(lambda: inside.get(account), 200)
        return inside

    def account_token(self, name: str) -> str:
        """A new service account's token."""
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        self.have(account)
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": {}}
        return str(self.send("POST", self.path(account, "token"), asked).body["status"]["token"])

    def eventually(self, ask: Callable[[], Reply], wanted: Any, seconds: float = 15) -> Reply:
        """Ask until the answer's code is `wanted`, or `wanted` (a function) holds of it."""
        end = time.monotonic() + seconds
        while True:
            reply = ask()
            if wanted(reply) if callable(wanted) else reply.code == wanted:
                return reply
            assert time.monotonic() < end, f"never as wanted: {reply}"
            time.sleep(0.05)

    def forget(self) -> None:
        """Delete what is cluster-wide, the latest first."""
        for path in reversed(self.made):
            self.send("DELETE", path)
        self.made.clear()


@contextmanager
def embedded(directory: Path) -> Iterator[Target]:
    """The embedded API on a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def call(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    server = call(kubeapi.start(workload_delay=0.02))
    try:
        ca = directory / "ca.crt"
        ca.write_bytes(server.ca.certificate_pem)
        yield Target(server.url, server.token, str(ca), real=False)
    finally:
        call(server.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextmanager
def real(directory: Path) -> Iterator[Target]:
    """A real control plane."""
    with ControlPlane.start(directory) as plane:
        yield Target(plane.url, plane.token, str(plane.ca), real=True)


# -- objects


def of(api_version: str, kind: str, name: str, /, *, meta: Any = None, **rest: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **(meta or {})}, **rest}


def config_map(name: str, data: Any = None, **meta: Any) -> Manifest:
    return of("v1", "ConfigMap", name, meta=meta, data={"key": "value"} if data is None else data)


def pod(name: str, *containers: Manifest, meta: Any = None, **spec: Any) -> Manifest:
    return of("v1", "Pod", name, meta=meta, spec={"containers": list(containers) or [container()], **spec})


def container(name: str = "app", **rest: Any) -> Manifest:
    return {"name": name, "image": "example.com/app:1", **rest}


def deployment(name: str, replicas: int = 1, *containers: Manifest, **meta: Any) -> Manifest:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": list(containers) or [container()]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return of("apps/v1", "Deployment", name, meta=meta, spec=spec)
