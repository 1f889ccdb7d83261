"""The calls: one method a verb, objects as manifests in and out.

    Client → Transport → API server

A client acts as one identity; `impersonate()` gives another on the same connections. Every failure is one of
`errors`; `calls` counts what was sent, by verb and resource.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypedDict, Unpack
from urllib.parse import urlencode

import orjson

from shared.api.meta import Manifest
from shared.kube.config import Connection
from shared.kube.credentials import IssuedToken, timestamp
from shared.kube.discovery import ApiResource, Discovery
from shared.kube.errors import BadRequest, Gone, Unavailable
from shared.kube.limits import Bucket
from shared.kube.routes import block
from shared.kube.transport import CONNECTIONS, JSON, Answer, Transport

PAGE = 500
"""Objects of one page of a list."""

Manifests: TypeAlias = list[Manifest]
PatchType = Literal["merge", "json", "strategic", "apply"]
_CONTENT_TYPE: Mapping[PatchType, bytes] = {
    "merge": block([("Content-Type", "application/merge-patch+json")]),
    "json": block([("Content-Type", "application/json-patch+json")]),
    "strategic": block([("Content-Type", "application/strategic-merge-patch+json")]),
    "apply": block([("Content-Type", "application/apply-patch+yaml")]),
}
_JSON_BODY = block([("Content-Type", "application/json")])
_METADATA_LIST = block([("Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")])
_METADATA = block([("Accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")])


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list."""

    items: list[Manifest]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply made of the object."""

    manifest: Manifest
    created: bool


class PatchOptions(TypedDict, total=False):
    """What `Client.patch_json` takes by name, with its defaults."""

    type: PatchType
    subresource: str
    field_manager: str | None
    force: bool
    dry_run: bool


class Client:
    """`timeout` is seconds for one call; `qps` below zero lifts the rate limit, as does a server that says that its
    own priority and fairness is on. `user_agent` is `<controller>/<version>`."""

    def __init__(
        self,
        connection: Connection,
        *,
        user_agent: str = "fluvial",
        qps: float = 50.0,
        burst: int = 300,
        timeout: float = 30.0,
        connections: int = CONNECTIONS,
    ) -> None:
        self.transport = Transport(
            connection, user_agent=user_agent, bucket=Bucket(qps, burst), timeout=timeout, connections=connections
        )
        self.calls: Counter[tuple[str, str]] = Counter()
        self.discovery = Discovery(self._discover)
        self.user: str | None = None
        self.groups: tuple[str, ...] = ()
        self._identity = b""

    @property
    def namespace(self) -> str:
        """The namespace of the kubeconfig's context, or of the pod."""
        return self.transport.connection.namespace

    @property
    def server(self) -> str:
        return self.transport.connection.server

    @property
    def answers(self) -> Mapping[tuple[str, str, str], int]:
        """How many requests were answered how, of all identities: by status, host and method (see Transport)."""
        return self.transport.answers

    def impersonate(self, user: str, groups: Sequence[str] = ()) -> Client:
        """The same cluster as another user. Connections, discovery, rate limit and `calls` are shared."""
        other = object.__new__(Client)
        other.__dict__.update(self.__dict__)
        other.user, other.groups = user, tuple(groups)
        other._identity = block([("Impersonate-User", user), *(("Impersonate-Group", group) for group in groups)])
        return other

    def apart(self, connections: int) -> Client:
        """The same cluster over connections of its own, without a rate limit, for what must not wait behind the rest;
        `close` it, too. Discovery and `calls` are shared."""
        other = object.__new__(Client)
        other.__dict__.update(self.__dict__)
        other.transport = self.transport.apart(connections)
        return other

    async def settle(self) -> None:
        """Wait until what was sent by tasks that were cancelled since has been answered, for some seconds at most."""
        await self.transport.settle()

    async def close(self) -> None:
        await self.transport.close()

    # Reading

    async def get(
        self, api_version: str, kind: str, name: str, namespace: str | None = None, *, metadata_only: bool = False
    ) -> Manifest:
        resource = await self.discovery.find(api_version, kind)
        accept = _METADATA if metadata_only else JSON
        return _named(await self._json("get", resource, resource.path(namespace, name), accept=accept), resource)

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> Manifests:
        """All objects of the kind, in the namespace or everywhere. Read page by page."""
        items, _ = await self.list_with_version(
            api_version,
            kind,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            metadata_only=metadata_only,
        )
        return items

    async def list_with_version(
        self, api_version: str, kind: str, namespace: str | None = None, **options: Any
    ) -> tuple[Manifests, str]:
        """As list(), with the resourceVersion that a watch can start at."""
        items: list[Manifest] = []
        token = ""
        limit = PAGE
        while True:
            try:
                page = await self.list_page(api_version, kind, namespace, limit=limit, continue_token=token, **options)
            except Gone:
                if not token:
                    raise
                items, token, limit = [], "", 0  # The snapshot expired between pages: all in one, then.
                continue
            items += page.items
            token = page.continue_token
            if not token:
                return items, page.resource_version

    async def list_page(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int = PAGE,
        continue_token: str = "",
    ) -> Page:
        body, resource = await self.list_page_raw(
            api_version,
            kind,
            namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            metadata_only=metadata_only,
            limit=limit,
            continue_token=continue_token,
        )
        found = _loads(body)
        metadata = found.get("metadata") or {}
        items = [_named(item, resource) for item in found.get("items") or []]
        return Page(items, metadata.get("resourceVersion") or "", metadata.get("continue") or "")

    async def list_page_raw(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int = PAGE,
        continue_token: str = "",
    ) -> tuple[bytes, ApiResource]:
        """A page as the server sent it, for those who decode it in their own way."""
        resource = await self.discovery.find(api_version, kind)
        query = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "limit": str(limit) if limit else "",
            "continue": continue_token,
        }
        accept = _METADATA_LIST if metadata_only else JSON
        answer = await self._call("list", resource, resource.path(namespace), query=_query(query), accept=accept)
        return answer.body, resource

    @asynccontextmanager
    async def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        initial_events: bool = False,
        seconds: int = 300,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The changes since `resource_version`, one JSON line each, bookmarks included, for `seconds` at most.

        `initial_events`: begin with what is there, then a bookmark annotated `k8s.io/initial-events-end`.
        `watch.Cache` is what most callers want.
        """
        resource = await self.discovery.find(api_version, kind)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
            "resourceVersion": resource_version,
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "sendInitialEvents": "true" if initial_events else "",
            "resourceVersionMatch": "NotOlderThan" if initial_events else "",
        }
        self.calls["watch", resource.plural] += 1
        async with self.transport.stream(
            resource.path(namespace) + _query(query),
            headers=self._identity + (_METADATA if metadata_only else JSON),
            seconds=seconds + 30,
        ) as lines:
            yield lines

    # Writing

    async def create(self, manifest: Manifest, *, field_manager: str | None = None, dry_run: bool = False) -> Manifest:
        resource, namespace, _ = await self._locate(manifest)
        query = _write_query(field_manager, dry_run)
        body = orjson.dumps(manifest)
        return await self._json("create", resource, resource.path(namespace), query=query, body=body)

    async def replace(
        self, manifest: Manifest, *, subresource: str = "", field_manager: str | None = None, dry_run: bool = False
    ) -> Manifest:
        """Writes the whole object; with metadata.resourceVersion only if nobody else wrote meanwhile (Conflict)."""
        resource, namespace, name = await self._locate(manifest)
        query = _write_query(field_manager, dry_run)
        path = resource.path(namespace, name, subresource)
        return await self._json("update", resource, path, query=query, body=orjson.dumps(manifest), sub=subresource)

    async def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None,
        patch: Any,
        **options: Unpack[PatchOptions],
    ) -> Manifest:
        """`force` takes fields from other managers and belongs to `apply` only."""
        manifest: Manifest = _loads(await self.patch_json(api_version, kind, name, namespace, patch, **options))
        return manifest

    async def patch_json(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None,
        patch: Any,
        *,
        type: PatchType = "merge",
        subresource: str = "",
        field_manager: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> bytes:
        """As patch(); the answer as JSON, for who makes another thing of it than a manifest."""
        resource = await self.discovery.find(api_version, kind)
        if type == "apply" and not field_manager:
            raise BadRequest("an apply needs a field manager")
        query = _write_query(field_manager, dry_run, force and type == "apply")
        answer = await self._call(
            "apply" if type == "apply" else "patch",
            resource,
            resource.path(namespace, name, subresource),
            query=query,
            body=orjson.dumps(patch),
            content_type=_CONTENT_TYPE[type],
            sub=subresource,
        )
        return answer.body

    async def apply(
        self,
        manifest: Manifest,
        *,
        field_manager: str,
        force: bool = True,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Manifest:
        """Server-side apply. Without `force` a field that another manager owns is a Conflict."""
        applied = await self.apply_seen(
            manifest, field_manager=field_manager, force=force, dry_run=dry_run, subresource=subresource
        )
        return applied.manifest

    async def apply_seen(
        self,
        manifest: Manifest,
        *,
        field_manager: str,
        force: bool = True,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Applied:
        """As apply(), and says whether it created the object."""
        resource, namespace, name = await self._locate(manifest)
        query = _write_query(field_manager, dry_run, force)
        answer = await self._call(
            "apply",
            resource,
            resource.path(namespace, name, subresource),
            query=query,
            body=orjson.dumps(manifest),
            content_type=_CONTENT_TYPE["apply"],
            sub=subresource,
        )
        return Applied(_loads(answer.body), created=answer.status == 201)

    async def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
        uid: str | None = None,
        resource_version: str | None = None,
        grace_seconds: int | None = None,
    ) -> Manifest | None:
        """Asks for the deletion. `uid` and `resource_version` are preconditions (Conflict when they don't hold).
        Returns the object when it is still there, terminating; None when it is gone."""
        resource = await self.discovery.find(api_version, kind)
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        if present := {key: value for key, value in preconditions.items() if value}:
            options["preconditions"] = present
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        answer = await self._json("delete", resource, resource.path(namespace, name), body=orjson.dumps(options))
        return None if answer.get("kind") == "Status" else answer

    # Asking

    async def review_access(
        self,
        verb: str,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        name: str = "",
        *,
        user: str | None = None,
        groups: Sequence[str] = (),
    ) -> bool:
        """May this client's identity (or `user` in `groups`) do `verb` there?"""
        resource = await self.discovery.find(api_version, kind)
        attributes = {
            "verb": verb,
            "group": resource.group,
            "version": api_version.rpartition("/")[2],
            "resource": resource.plural,
            "namespace": namespace or "",
            "name": name,
        }
        spec: dict[str, Any] = {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
        review = "SelfSubjectAccessReview"
        if user is not None:
            review = "SubjectAccessReview"
            spec |= {"user": user, "groups": list(groups)}
        answer = await self.create({"apiVersion": "authorization.k8s.io/v1", "kind": review, "spec": spec})
        return bool((answer.get("status") or {}).get("allowed"))

    async def create_token(
        self, account: str, namespace: str, audiences: Sequence[str] = (), *, seconds: int | None = None
    ) -> IssuedToken:
        """A token of a ServiceAccount for these audiences (the API server's own when there are none), good for
        `seconds` (an hour when unset). NotFound when there is no such account."""
        resource = await self.discovery.find("v1", "ServiceAccount")
        spec = {"audiences": list(audiences), "expirationSeconds": seconds}
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {key: value for key, value in spec.items() if value},
        }
        path = resource.path(namespace, account, "token")
        answer = await self._json("create", resource, path, body=orjson.dumps(body), sub="token")
        status = answer.get("status") or {}
        expires = timestamp(status.get("expirationTimestamp"))
        if not status.get("token") or expires is None:
            raise Unavailable(f"the Kubernetes API issued no token for ServiceAccount {namespace}/{account}")
        return IssuedToken(status["token"], expires, tuple((answer.get("spec") or {}).get("audiences") or ()))

    async def whoami(self) -> str:
        """The name under which the server knows this client, such as system:serviceaccount:flux-system:controller."""
        answer = await self.create({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
        return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")

    async def get_raw(self, path: str, *, seconds: float | None = None) -> bytes:
        """Any path of the server, such as `/version` or `/readyz`."""
        self.calls["get", path] += 1
        return (await self.transport.call("GET", path, headers=self._identity + JSON, seconds=seconds)).body

    # How

    async def _discover(self, path: str) -> Any:
        self.calls["discover", path] += 1
        return _loads((await self.transport.call("GET", path)).body)

    async def _locate(self, manifest: Manifest) -> tuple[ApiResource, str | None, str]:
        resource = await self.discovery.find(str(manifest.get("apiVersion", "")), str(manifest.get("kind", "")))
        metadata = manifest.get("metadata") or {}
        return resource, metadata.get("namespace"), metadata.get("name") or ""

    async def _json(self, verb: str, resource: ApiResource, path: str, **options: Any) -> Manifest:
        manifest: Manifest = _loads((await self._call(verb, resource, path, **options)).body)
        return manifest

    async def _call(
        self,
        verb: str,
        resource: ApiResource,
        path: str,
        *,
        query: str = "",
        body: bytes | None = None,
        content_type: bytes = _JSON_BODY,
        accept: bytes = JSON,
        sub: str = "",
    ) -> Answer:
        self.calls[verb, f"{resource.plural}/{sub}" if sub else resource.plural] += 1
        return await self.transport.call(
            _METHODS[verb],
            path + query,
            body=body,
            headers=self._identity + accept + (content_type if body is not None else b""),
        )


_METHODS: Mapping[str, str] = {
    "get": "GET",
    "list": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "apply": "APPLY",  # A PATCH to the server; unlike the others it may be sent twice.
    "delete": "DELETE",
}


def _query(parameters: Mapping[str, str]) -> str:
    """What goes behind a path: those that have a value."""
    text = urlencode({key: value for key, value in parameters.items() if value})
    return f"?{text}" if text else ""


@lru_cache(maxsize=64)
def _write_query(field_manager: str | None, dry_run: bool, force: bool = False) -> str:
    return _query(
        {
            "fieldManager": field_manager or "",
            "dryRun": "All" if dry_run else "",
            "force": "true" if force else "",
        }
    )


def _loads(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unavailable("the Kubernetes API answered with something that is not JSON") from error


def _named(manifest: Manifest, resource: ApiResource) -> Manifest:
    """Items of lists come without kind, metadata-only objects with another: every object says what it is."""
    manifest["apiVersion"], manifest["kind"] = resource.api_version, resource.kind
    return manifest
