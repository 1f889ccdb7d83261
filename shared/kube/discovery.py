"""What the API server serves: api version and kind → resource name, scope and verbs.

A group-version's list is fetched once and kept. A kind that is not in it makes us look again, but not more than about
once a second for one group-version, so that a manifest of an unknown kind can't turn into a flood of calls.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from shared.kube.errors import BadRequest, NoMatch, NotFound

LOOK_AGAIN_AFTER = 1.0
"""Seconds between two looks at one group-version that are caused by a miss."""


@dataclass(frozen=True, slots=True)
class ApiResource:
    """One resource of the API: `apps/v1` `Deployment` is served as `deployments`."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: frozenset[str] = field(default=frozenset())

    @property
    def group(self) -> str:
        return group_of(self.api_version)

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """The URL path of the collection, of an object, or of its subresource. The namespace of a cluster-wide
        resource is ignored; an object of a namespaced one needs it (BadRequest)."""
        parts = [base_path(self.api_version)]
        if self.namespaced and namespace:
            parts.append(f"namespaces/{_segment(namespace)}")
        elif self.namespaced and name is not None:
            raise BadRequest(f"{self.kind} {name} needs a namespace: set metadata.namespace")
        parts.append(self.plural)
        if name is not None:
            if not name:
                raise BadRequest(f"{self.kind} needs a name: set metadata.name")
            parts.append(_segment(name))
            if subresource:
                parts.append(subresource)
        return "/".join(parts)


_PLAIN = re.compile(r"[a-z0-9][a-z0-9.-]*")


def _segment(text: str) -> str:
    """One path segment, so quoted that it can't become two, nor climb out."""
    if _PLAIN.fullmatch(text):
        return text
    quoted = quote(text, safe=":@$!*'(),;=+&")
    return {".": "%2E", "..": "%2E%2E"}.get(quoted, quoted)


def group_of(api_version: str) -> str:
    """`apps/v1` → `apps`; the core group's `v1` → ``."""
    return api_version.rpartition("/")[0]


@lru_cache(maxsize=256)
def base_path(api_version: str) -> str:
    parts = api_version.split("/")
    if len(parts) == 1 and parts[0]:
        return f"/api/{_segment(parts[0])}"
    if len(parts) == 2 and all(parts):
        return f"/apis/{_segment(parts[0])}/{_segment(parts[1])}"
    raise NoMatch(f'"{api_version}" is no API version: write it as group/version, or v1')


class Discovery:
    """`fetch` gets a path and returns its JSON; `clock` counts seconds."""

    def __init__(self, fetch: Callable[[str], Awaitable[Any]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._known: dict[str, dict[str, ApiResource]] = {}
        self._looked: dict[str, float] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def find(self, api_version: str, kind: str) -> ApiResource:
        """The resource of this kind. NoMatch when the server has none, after looking again."""
        known = self.known(api_version, kind)
        if known is not None:
            return known
        async with self._locks.setdefault(api_version, asyncio.Lock()):
            known = self.known(api_version, kind)
            if known is None and self._may_look(api_version):
                await self._look(api_version)
                known = self.known(api_version, kind)
        if known is None:
            raise NoMatch.of(api_version, kind)
        return known

    def known(self, api_version: str, kind: str) -> ApiResource | None:
        """What find() would return without a call; None when it would have to ask."""
        return self._known.get(api_version, {}).get(kind)

    async def resources(self, api_version: str) -> list[ApiResource]:
        """All resources of a group-version, empty when the server doesn't serve it."""
        async with self._locks.setdefault(api_version, asyncio.Lock()):
            if api_version not in self._known and self._may_look(api_version):
                await self._look(api_version)
        return list(self._known.get(api_version, {}).values())

    async def preferred(self, group: str) -> str:
        """The api version that the server prefers for a group. NoMatch when it serves none."""
        if not group:
            return "v1"
        try:
            found = await self._fetch(f"/apis/{_segment(group)}")
        except NotFound as error:
            raise NoMatch(f'no matches for group "{group}"') from error
        return str(found["preferredVersion"]["groupVersion"])

    def invalidate(self, api_version: str | None = None) -> None:
        """Forget one group-version, or all: the next find() asks the server."""
        if api_version is None:
            self._known.clear()
            self._looked.clear()
        else:
            self._known.pop(api_version, None)
            self._looked.pop(api_version, None)

    def _may_look(self, api_version: str) -> bool:
        looked = self._looked.get(api_version)
        return looked is None or self._clock() - looked >= LOOK_AGAIN_AFTER

    async def _look(self, api_version: str) -> None:
        try:
            found = await self._fetch(base_path(api_version))
        except NotFound:
            found = {}
        self._looked[api_version] = self._clock()
        if resources := parse(api_version, found):
            self._known[api_version] = resources
        else:
            self._known.pop(api_version, None)


def parse(api_version: str, found: Any) -> dict[str, ApiResource]:
    """An `APIResourceList` as a table by kind. Subresources are noted at their resource."""
    rows = found.get("resources") if isinstance(found, dict) else None
    subresources: dict[str, set[str]] = {}
    plain: list[dict[str, Any]] = []
    for row in rows or []:
        plural, _, subresource = str(row.get("name", "")).partition("/")
        if subresource:
            subresources.setdefault(plural, set()).add(subresource)
        else:
            plain.append(row)
    resources: dict[str, ApiResource] = {}
    for row in plain:
        resource = ApiResource(
            api_version=api_version,
            kind=row["kind"],
            plural=row["name"],
            namespaced=bool(row.get("namespaced")),
            verbs=frozenset(row.get("verbs") or ()),
            singular=row.get("singularName") or "",
            short_names=tuple(row.get("shortNames") or ()),
            categories=tuple(row.get("categories") or ()),
            subresources=frozenset(subresources.get(row["name"], ())),
        )
        resources.setdefault(resource.kind, resource)
    return resources
