"""The same requests to two API servers.

A case is a user's session in a namespace of its own: each step is one request. What of the answers must be the same,
tests.kubeapi.differential.comparison says.
"""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests

from shared import schema
from tests.kubeapi.differential.comparison import Answer, comparable

Manifest = dict[str, Any]

PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
METHODS = {
    "create": "POST",
    "update": "PUT",
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
CUSTOM = {"Widget": ("widgets", True), "ClusterWidget": ("clusterwidgets", False)}
BUILT_IN = {(one.api_version, one.kind): (one.plural, one.namespaced) for one in schema.resources()}
NAMESPACE = "{namespace}"
"""Stands for the case's namespace in queries, users and bodies."""
CONTINUE = "{continue}"
"""Stands, in a query, for the token with which the last list ended."""


@dataclass(frozen=True)
class Step:
    """One request about an object of `manifest`'s kind and name, or about all of its kind."""

    verb: str
    """create, update, get, delete, list, watch, deletecollection, or a kind of patch: json, merge, strategic, apply.

    A watch tells all that happened to the kind since the beginning, and ends after a second."""
    manifest: Manifest
    body: Any = None
    """What is sent instead of the manifest; a function gets the live object and returns the body."""
    subresource: str = ""
    query: dict[str, str] = field(default_factory=dict)
    loose: bool = False
    """Compare only code and reason: the message names what is inside of the real server, or is a matter of chance."""
    accept: str = ""
    """The Accept header, when it isn't plain JSON that is wanted."""
    user: str = ""
    """Who is impersonated; nobody when empty."""
    pause: float = 0.0
    """Seconds to wait before: a real server notices some changes, such as of roles, a moment later."""


def create(manifest: Manifest, *, loose: bool = False, **query: str) -> Step:
    return Step("create", manifest, query=query, loose=loose)


def update(manifest: Manifest, change: Callable[[Manifest], Any], subresource: str = "", **query: str) -> Step:
    """Read the object, change it in place (what `change` returns is not used), and put it back."""

    def body(live: Manifest) -> Manifest:
        change(live)
        return live

    return Step("update", manifest, body, subresource, query)


def patch(kind: str, manifest: Manifest, body: Any, subresource: str = "", **query: str) -> Step:
    return Step(kind, manifest, body, subresource, query)


def apply(manifest: Manifest, manager: str = "flux", subresource: str = "", **query: str) -> Step:
    return Step("apply", manifest, None, subresource, {"fieldManager": manager, **query})


def get(manifest: Manifest) -> Step:
    return Step("get", manifest)


def delete(manifest: Manifest, body: Any = None) -> Step:
    return Step("delete", manifest, body)


class Subject:
    """One of the two servers."""

    def __init__(self, url: str, token: str, ca: str | bool) -> None:
        self.url, self._credentials = url, (token, ca)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = ca
        self.session.headers["Authorization"] = f"Bearer {token}"
        self.session.headers["User-Agent"] = "differential/1"
        self._token = self._start = ""

    def fresh(self) -> Subject:
        """The same server, over a connection of its own."""
        return Subject(self.url, *self._credentials)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Any:
        """One request as administrator; requests' response."""
        data = None if body is None else json.dumps(body)
        sent = {"Content-Type": content_type, **(headers or {})}
        return self.session.request(method, self.url + path, data=data, headers=sent, timeout=30)

    def prepare(self, namespace: str) -> None:
        """A namespace with the account that pods run under."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        made = self.send("POST", "/api/v1/namespaces", body)
        self._start = made.json()["metadata"].get("resourceVersion", "")
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        self.send("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)

    def run(self, step: Step, namespace: str) -> Answer:
        """Send one step and free the answer of what no two servers share."""
        if step.pause:
            time.sleep(step.pause)
        manifest = placed(step.manifest, namespace)
        path = collection_of(manifest, namespace)
        name = manifest["metadata"].get("name", "")
        if step.verb not in ("create", "list", "watch", "deletecollection") or step.subresource:
            path += f"/{name}"
        if step.subresource:
            path += f"/{step.subresource}"
        body: Any = manifest if step.body is None and step.verb in ("create", "update", *PATCHES) else step.body
        if callable(body):
            live = self.send("GET", path.removesuffix(f"/{step.subresource}"))
            body = body(live.json() if live.ok else manifest)
        values = {key: value.replace(CONTINUE, self._token) for key, value in step.query.items()}
        if step.verb == "watch":
            values |= {"watch": "1", "resourceVersion": self._start, "timeoutSeconds": "1"}
        query = "&".join(f"{key}={quote(value.replace(NAMESPACE, namespace))}" for key, value in values.items())
        headers = {"Accept": step.accept or "application/json"}
        if step.user:
            headers["Impersonate-User"] = step.user.replace(NAMESPACE, namespace)
        answer = self.send(
            METHODS.get(step.verb, "PATCH"),
            path + (f"?{query}" if query else ""),
            _said_of(body, namespace),
            PATCHES.get(step.verb, "application/json"),
            headers,
        )
        if step.verb == "list" and answer.ok:
            self._token = (answer.json().get("metadata") or {}).get("continue", "")
        return comparable(answer)


def _said_of(body: Any, namespace: str) -> Any:
    """A body in which the namespace stands where it should."""
    return None if body is None else json.loads(json.dumps(body).replace(NAMESPACE, namespace))


def placed(manifest: Manifest, namespace: str) -> Manifest:
    """The manifest in the case's namespace; a cluster-wide object gets the namespace into its name."""
    out = copy.deepcopy(manifest)
    metadata = out.setdefault("metadata", {})
    if metadata.get("name") == NAMESPACE:
        metadata["name"] = namespace
    elif not is_namespaced(out) and out.get("kind") != "CustomResourceDefinition" and metadata.get("name"):
        metadata["name"] = f"{namespace}-{metadata['name']}"
    return out


def plural_of(manifest: Manifest) -> tuple[str, bool]:
    kind = manifest["kind"]
    found = BUILT_IN.get((manifest["apiVersion"], kind)) or CUSTOM.get(kind)
    return found or (re.sub("y$", "ie", kind.lower()) + "s", True)


def is_namespaced(manifest: Manifest) -> bool:
    return plural_of(manifest)[1]


def collection_of(manifest: Manifest, namespace: str) -> str:
    plural, namespaced = plural_of(manifest)
    version = manifest["apiVersion"]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{base}/namespaces/{namespace}/{plural}" if namespaced else f"{base}/{plural}"
