"""A test's view of a cluster where the controllers run: one namespace of its own, and the words tests are written in.

    await cluster.have(source("app"), kustomization("app"))
    app = await cluster.until(Kustomization, "app", reason="ReconciliationSucceeded")

`until` watches: it returns as soon as the object is as asked, and fails at its deadline with the object's conditions
and events. What it says of conditions holds for the object's present generation, never for an older spec.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.api.source import GitRepository
from shared.kube.client import Client
from shared.kube.errors import ApiError, NotFound
from shared.kube.watch import Cache
from tests.kit.gitserver import GitServer, Repo
from tests.kit.objects import Builtin, Event, Kind, names_of

PATIENCE = 30.0
"""Seconds that a state may take to come about, by default: far more than it should."""
MANAGER = "tests"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
_MADE_BY_KUBERNETES = frozenset({("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")})
_TOOLKIT = ".toolkit.fluxcd.io/"
_numbers = itertools.count()


@dataclass(frozen=True)
class Condition:
    """One condition; all its texts are empty, and the status Unknown, where the object has none of the type."""

    type: str
    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    generation: int = 0


@dataclass(frozen=True)
class Live:
    """An object as the cluster had it at one moment."""

    manifest: Manifest

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def status(self) -> Manifest:
        return self.manifest.get("status") or {}

    @property
    def ready(self) -> Condition:
        return self.condition("Ready")

    def condition(self, type_: str) -> Condition:
        """The condition of a type."""
        for found in self.status.get("conditions") or ():
            if found["type"] == type_:
                about = found.get("observedGeneration", 0)
                return Condition(type_, found["status"], found["reason"], found.get("message", ""), about)
        return Condition(type_)

    @property
    def inventory(self) -> set[str]:
        """The ids of what the status records: namespace_name_group_kind."""
        return {entry["id"] for entry in (self.status.get("inventory") or {}).get("entries") or ()}


class Cluster:
    """One namespace of a cluster. `repo` is a Git repository of the test's own, which `source` follows by default."""

    def __init__(self, client: Client, git: GitServer, namespace: str) -> None:
        self.client, self.git, self.namespace = client, git, namespace
        self._repo: Repo | None = None
        self._caches: dict[tuple[Builtin, str], Cache[Manifest]] = {}
        self._changed = asyncio.Event()
        self._cleanups: list[Callable[[], Awaitable[Any]]] = []

    @classmethod
    async def make(cls, client: Client, git: GitServer, prefix: str = "test-") -> Cluster:
        """A new namespace of the cluster."""
        created = await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": prefix}})
        return cls(client, git, created["metadata"]["name"])

    @property
    def repo(self) -> Repo:
        if self._repo is None:
            self._repo = self.git.create(f"{self.namespace}-{next(_numbers)}")
        return self._repo

    async def close(self) -> None:
        """Remove what the test left, without waiting for the namespace to go."""
        for cache in self._caches.values():
            await cache.stop()
        for cleanup in reversed(self._cleanups):
            await cleanup()
        # Suspended, they let go of their objects at once: those go with the namespace.
        for live in await self.list(Kustomization):
            patch = {"spec": {"suspend": True}}
            await self._quietly(self.client.patch(*names_of(Kustomization), live.name, self.namespace, patch))
        for kind in (Kustomization, GitRepository):
            for live in await self.list(kind):
                await self._quietly(self.client.delete(*names_of(kind), live.name, self.namespace))
        await self._quietly(self.client.delete("v1", "Namespace", self.namespace))

    def afterwards(self, cleanup: Callable[[], Awaitable[Any]]) -> None:
        """Do this when the test ends; for what isn't in the test's namespace."""
        self._cleanups.append(lambda: self._quietly(cleanup()))

    async def another_namespace(self) -> str:
        """A further namespace, which goes when the test ends."""
        made = await Cluster.make(self.client, self.git)
        self.afterwards(lambda: self.client.delete("v1", "Namespace", made.namespace))
        return made.namespace

    # -- acting

    async def have(self, *manifests: Manifest, namespace: str | None = None) -> None:
        """Apply these, in the test's namespace where they name none."""
        for manifest in manifests:
            self._complete(manifest)
            manifest["metadata"].setdefault("namespace", namespace or self.namespace)
            await self.client.apply(manifest, field_manager=MANAGER)

    def _complete(self, manifest: Manifest) -> None:
        spec = manifest.get("spec")
        if manifest["kind"] == "GitRepository" and isinstance(spec, dict):
            spec.setdefault("url", self.repo.url)
        if manifest["kind"] == "Kustomization" and isinstance(spec, dict):
            spec.setdefault("targetNamespace", self.namespace)
            manifest["spec"] = {key: value for key, value in spec.items() if value is not None}

    async def edit(self, kind: Kind, name: str, patch: Manifest, *, namespace: str | None = None) -> Live:
        """A user's edit by hand: a JSON merge patch."""
        changed = await self.client.patch(*names_of(kind), name, namespace or self.namespace, patch)
        return Live(changed)

    async def request(self, kind: Kind, name: str) -> str:
        """Ask for a reconciliation as `flux reconcile` does; the token that the status will hold when it is done."""
        token = f"test-{next(_numbers)}"
        await self.edit(kind, name, {"metadata": {"annotations": {REQUESTED: token}}})
        return token

    async def follow(self, name: str = "app") -> None:
        """Make a source look at its repository now."""
        token = await self.request(GitRepository, name)
        await self.until(GitRepository, name, holds=lambda live: live.status.get("lastHandledReconcileAt") == token)

    async def delete(self, kind: Kind, name: str) -> None:
        await self.client.delete(*names_of(kind), name, self.namespace)

    # -- looking

    async def get(self, kind: Kind, name: str, *, namespace: str | None = None) -> Live:
        return Live(await self.client.get(*names_of(kind), name, namespace or self.namespace))

    async def list(self, kind: Kind, *, namespace: str | None = None) -> list[Live]:
        """The objects of a kind, without those that Kubernetes puts into every namespace."""
        found = await self.client.list(*names_of(kind), namespace or self.namespace)
        return [
            Live(manifest)
            for manifest in found
            if (names_of(kind).kind, manifest["metadata"]["name"]) not in _MADE_BY_KUBERNETES
        ]

    async def names(self, kind: Kind, *, namespace: str | None = None) -> set[str]:
        """The names of the objects of a kind."""
        return {live.name for live in await self.list(kind, namespace=namespace)}

    async def events(self, name: str, kind: str = "") -> list[Manifest]:
        """The events about an object, oldest first."""
        found = [live.manifest for live in await self.list(Event)]
        about = [each for each in found if each["involvedObject"].get("name") == name]
        return [each for each in about if not kind or each["involvedObject"].get("kind") == kind]

    # -- waiting

    async def until(
        self,
        kind: Kind,
        name: str,
        *,
        ready: bool | None = None,
        reason: str | None = None,
        revision: str | None = None,
        handled: str | None = None,
        holds: Callable[[Live], Any] | None = None,
        namespace: str | None = None,
        within: float = PATIENCE,
    ) -> Live:
        """Wait until all that is asked is true of the object, and give it.

        `ready` is the status of the condition Ready, `reason` its reason when it is True or False, `revision` a commit
        that is stored or applied, `handled` the token of a request. AssertionError after `within` seconds.
        """
        wanted = {"ready": ready, "reason": reason, "revision": revision, "handled": handled}
        told = ", ".join(f"{key}={value!r}" for key, value in wanted.items() if value is not None)

        def is_so(live: Live) -> bool:
            return _is_as(live, ready, reason, revision, handled) and (holds is None or bool(holds(live)))

        return await self._wait(kind, name, is_so, told or "what the test asks", namespace, within)

    async def until_gone(
        self, kind: Kind, name: str, *, namespace: str | None = None, within: float = PATIENCE
    ) -> None:
        """Wait until there is no such object."""
        await self._wait(kind, name, None, "gone", namespace, within)

    async def event(self, name: str, *, reason: str, says: str = "", within: float = PATIENCE) -> Manifest:
        """Wait for an event about an object."""

        def found() -> Manifest | None:
            for manifest in cache.values():
                about = manifest["involvedObject"].get("name") == name and manifest.get("reason") == reason
                if about and says in manifest.get("message", ""):
                    return manifest
            return None

        cache = await self._cache(Event, self.namespace)
        try:
            async with asyncio.timeout(within):
                while not (event := found()):
                    self._changed.clear()
                    await self._changed.wait()
                return event
        except TimeoutError:
            told = "\n".join(_told(each) for each in await self.events(name)) or "none"
            raise AssertionError(
                f"no event {reason} {says!r} about {name} after {within:g} s; there are:\n{told}"
            ) from None

    async def _wait(
        self,
        kind: Kind,
        name: str,
        is_so: Callable[[Live], bool] | None,
        told: str,
        namespace: str | None,
        within: float,
    ) -> Any:
        where = namespace or self.namespace
        cache = await self._cache(kind, where)
        manifest: Manifest | None = None
        try:
            async with asyncio.timeout(within):
                while True:
                    manifest = cache.get(where, name)
                    if manifest is None and is_so is None:
                        return None
                    if manifest is not None and is_so is not None and is_so(Live(manifest)):
                        return Live(manifest)
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(await self._explain(kind, name, told, manifest, within)) from None

    async def _cache(self, kind: Kind, namespace: str) -> Cache[Manifest]:
        key = names_of(kind), namespace
        if key not in self._caches:
            cache: Cache[Manifest] = Cache(self.client, *key[0], namespace)
            cache.on_change(lambda _: self._changed.set())
            self._caches[key] = cache
            await cache.start()
        return self._caches[key]

    async def _explain(self, kind: Kind, name: str, told: str, manifest: Manifest | None, within: float) -> str:
        lines = [f"{names_of(kind).kind} {name} is not as asked ({told}) after {within:g} s"]
        if manifest is None:
            others = ", ".join(sorted(await self.names(kind))) or "none"
            lines.append(f"it is not there; there are: {others}")
        else:
            status = manifest.get("status") or {}
            lines.append(f"generation {manifest['metadata'].get('generation')}; conditions:")
            for each in status.get("conditions") or ():
                about = each.get("observedGeneration")
                lines.append(f"  {each['type']}={each['status']} {each['reason']} @{about}: {each.get('message')}")
            rest = {key: value for key, value in status.items() if key not in ("conditions", "inventory")}
            lines.append(f"status: {json.dumps(rest)[:1500]}")
        lines += ["events:", *(_told(each) for each in await self.events(name))]
        return "\n".join(lines)

    @staticmethod
    async def _quietly(awaited: Awaitable[Any]) -> None:
        try:
            await awaited
        except NotFound:
            pass
        except ApiError as error:
            print(f"cleaning up: {error}")


def _is_as(live: Live, ready: bool | None, reason: str | None, revision: str | None, handled: str | None) -> bool:
    condition = live.ready
    if ready is not None or reason is not None or revision is not None:
        if live.manifest["apiVersion"].find(_TOOLKIT) > 0 and (
            condition.generation != live.manifest["metadata"]["generation"]
        ):
            return False
        if condition.status == "Unknown":
            return False
    if ready is not None and condition.status != str(ready):
        return False
    if reason is not None and condition.reason != reason:
        return False
    if handled is not None and live.status.get("lastHandledReconcileAt") != handled:
        return False
    if revision is not None:
        at = live.status.get("lastAppliedRevision") or (live.status.get("artifact") or {}).get("revision") or ""
        return bool(at.endswith(revision))
    return True


def _told(event: Manifest) -> str:
    return f"  {event.get('type')} {event.get('reason')}: {event.get('message')}"
