"""Paths that are no resource: health, version, metrics, discovery, OpenAPI, and the orders for faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from kubeapi import bodies, discovery
from kubeapi.authorization import Attributes, Authorizer
from kubeapi.errors import bad_request, forbidden, method_not_allowed
from kubeapi.faults import Faults
from kubeapi.identity import MASTERS, User
from kubeapi.metrics import Metrics
from kubeapi.openapi import OpenAPI
from kubeapi.request import RequestInfo
from kubeapi.responses import missing, of_json, read_body, refused, unavailable
from shared import schema

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

_HEALTH = ("/healthz", "/readyz", "/livez")
_OPEN = (*_HEALTH, "/version")


class Paths:
    """Answers them for one cluster."""

    def __init__(self, cluster: Cluster, authorizer: Authorizer, faults: Faults, metrics: Metrics):
        self.cluster = cluster
        self.authorizer = authorizer
        self.faults = faults
        self.metrics = metrics
        self._discovery = discovery.Discovery(cluster.registry)
        self._openapi = OpenAPI(cluster.registry)

    async def answer(self, http: web.BaseRequest, info: RequestInfo, user: User) -> web.StreamResponse:
        path = info.path.rstrip("/") or "/"
        if not path.startswith(_OPEN):
            self.authorizer.require(user, Attributes(info.verb, path=path))
        if path == "/faults":
            return await self._faults(http, user)
        if http.method not in ("GET", "HEAD"):
            return missing() if path.startswith("/api") is False else refused(method_not_allowed())
        if path.startswith(_HEALTH):
            return web.Response(text="ok")
        if path == "/version":
            return of_json(orjson.dumps(version()))
        if path == "/metrics":
            return web.Response(body=self.metrics.text(self.cluster), content_type="text/plain")
        accept = ",".join(http.headers.getall("Accept", ()))
        if path.startswith("/openapi"):
            found = self._openapi.answer(path, accept)
            if found is None:
                return missing()
            body, content_type = found
            response = web.Response(body=body)
            response.headers["Content-Type"] = content_type
            etag = self._discovery.etag(body)
            response.headers["ETag"] = etag
            if http.headers.get("If-None-Match") == etag:
                return web.Response(status=304, headers={"ETag": etag})
            return response
        return self._discover(http, path, accept)

    def _discover(self, http: web.BaseRequest, path: str, accept: str) -> web.Response:
        aggregated = _wants_aggregated(accept)
        parts = path.strip("/").split("/")
        body: bytes | None = None
        if path == "/":
            paths = ["/api", "/api/v1", "/apis", *(f"/apis/{g}" for g in self.cluster.registry.groups() if g)]
            paths += ["/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"]
            body = orjson.dumps({"paths": paths})
        elif path in ("/api", "/apis"):
            find = self._discovery.api if path == "/api" else self._discovery.apis
            body = find(aggregated=aggregated)
        elif parts[0] == "api" and len(parts) == 2:
            body = self._discovery.version("", parts[1])
        elif parts[0] == "apis" and len(parts) == 2:
            body = self._discovery.group(parts[1])
        elif parts[0] == "apis" and len(parts) == 3:
            body = self._discovery.version(parts[1], parts[2])
        if body is None:
            elsewhere = len(parts) == 3 and self.cluster.registry.is_elsewhere(parts[1], parts[2])
            return unavailable() if elsewhere else missing()
        if path in ("/api", "/apis"):
            etag = self._discovery.etag(body)
            content_type = discovery.AGGREGATED if aggregated else "application/json"
            headers = {"ETag": etag, "Vary": "Accept", "Cache-Control": "public", "Content-Type": content_type}
            if http.headers.get("If-None-Match") == etag:
                return web.Response(status=304, headers=headers)
            return web.Response(body=body, headers=headers)
        return of_json(body)

    async def _faults(self, http: web.BaseRequest, user: User) -> web.Response:
        """GET lists, POST adds or switches, DELETE clears; for administrators."""
        if MASTERS not in user.groups:
            raise forbidden("", "", "", f'User "{user.name}" is not in the group {MASTERS}')
        if http.method == "DELETE":
            self.faults.clear()
        elif http.method == "POST":
            wanted = bodies.decode(await read_body(http), "application/json")
            try:
                self._order_fault(wanted)
            except (TypeError, ValueError) as error:
                raise bad_request(f"the fault can't be read: {error}") from None
        elif http.method != "GET":
            raise method_not_allowed()
        return of_json(orjson.dumps(self.faults.state()))

    def _order_fault(self, wanted: dict[str, Any]) -> None:
        action = str(wanted.pop("action", "fail"))
        if action == "drop-watches":
            self.faults.drop_watches(str(wanted.get("resource", "")))
        elif action == "stall-watches":
            self.faults.stall_watches(bool(wanted.get("on", True)), str(wanted.get("resource", "")))
        elif action == "expire":
            self.faults.expire(str(wanted.get("resource", "")))
        elif action == "read-only":
            self.faults.read_only(bool(wanted.get("on", True)))
        elif action == "go-away":
            self.faults.go_away(float(wanted.get("seconds", 1)))
        elif action == "skew":
            self.faults.skew(float(wanted.get("seconds", 0)))
        else:
            renamed = {"retryAfter": "retry_after"}
            self.faults.add(action, **{renamed.get(key, key): value for key, value in wanted.items()})


def version() -> dict[str, str]:
    """/version: the release whose schemas are served."""
    release = schema.release()
    major, minor, _ = release.removeprefix("v").split(".", 2)
    return {
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": str(int(minor) - 1),
        "gitVersion": release,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "python",
        "platform": "linux/amd64",
    }


def _wants_aggregated(accept: str) -> bool:
    """Whether the first discovery form that the client prefers is the aggregated one."""
    for offer in accept.split(","):
        values = dict(part.strip().partition("=")[::2] for part in offer.split(";")[1:])
        if values.get("as") == "APIGroupDiscoveryList":
            if values.get("v") == "v2":
                return True
            continue
        if offer.partition(";")[0].strip() in ("application/json", "*/*"):
            return False
    return False
