"""Notify: ask for the reconciliation of the objects that a webhook means.

    resource of the spec → objects (by name, or by labels) → filter → annotation → their controller does the rest

One webhook's resources are told independently: what fails for one doesn't keep others from being told. What always
holds: of one object at most one request is under way and one more waits, however many webhooks come; while the
Kubernetes API can't be reached, we try again for `PERSEVERE` seconds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from notification_controller.alert import has_labels
from notification_controller.receivers.filters import Filters
from shared.api.meta import Manifest
from shared.api.notification import Receiver, ReceiverResource
from shared.kube.client import Client
from shared.kube.errors import ApiError, Conflict, TooManyRequests, Unauthorized, Unavailable

API_VERSIONS = {
    "Bucket": "source.toolkit.fluxcd.io/v1",
    "HelmChart": "source.toolkit.fluxcd.io/v1",
    "HelmRepository": "source.toolkit.fluxcd.io/v1",
    "GitRepository": "source.toolkit.fluxcd.io/v1",
    "OCIRepository": "source.toolkit.fluxcd.io/v1",
    "ImageRepository": "image.toolkit.fluxcd.io/v1",
    "ArtifactGenerator": "source.extensions.fluxcd.io/v1beta1",
}
"""Of the kinds that a resource may name without one: those that fetch from elsewhere."""
REQUESTED = "reconcile.fluxcd.io/requestedAt"
PERSEVERE = 300.0
"""Seconds for which an API that can't be reached is asked again."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0
"""Seconds between two tries: doubled each time, with jitter."""
LANES = 8
"""Annotations that are written at once; the client's other connections stay free for the controller."""

T = TypeVar("T")


class Unreachable(Exception):
    """Why an object could not be told; the message names it."""


class Target(NamedTuple):
    """An object to tell."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Notifier:
    """Tells objects that they are due."""

    def __init__(self, client: Client, *, manager: str, no_cross_namespace_refs: bool = False) -> None:
        self._client, self._manager = client, manager
        self._no_cross_namespace_refs = no_cross_namespace_refs
        self._lanes = asyncio.Semaphore(LANES)
        self._busy: dict[Target, asyncio.Lock] = {}
        self._next: dict[Target, asyncio.Task[None]] = {}

    async def tell(self, receiver: Receiver, index: int, filters: Filters) -> list[Target]:
        """Tell the objects of the resource at this place of the spec that the filters want; those that were told.

        Unreachable when one is not there, may not be told, or the resource names none; FilterFailed when a filter can't
        tell whether it wants one.
        """
        resource = receiver.spec.resources[index]
        namespace = self._namespace(receiver, resource)
        api_version = resource.api_version or API_VERSIONS.get(resource.kind)
        if api_version is None:
            raise Unreachable(f"apiVersion must be specified for kind {resource.kind}")
        one = Target(api_version, resource.kind, namespace, resource.name)
        if one.name == "*":
            found = await self._labelled(one, resource)
        elif filters.needs_object(index):
            found = [await self._read(one)]
        else:
            await self._annotate(one)
            return [one]
        names = [obj["metadata"]["name"] for obj in found if filters.wants(index, obj)]
        targets = [one._replace(name=name) for name in names]
        results = await asyncio.gather(*(self._annotate(target) for target in targets), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return targets

    def _namespace(self, receiver: Receiver, resource: ReceiverResource) -> str:
        own = receiver.metadata.namespace or ""
        if self._no_cross_namespace_refs and resource.namespace not in (None, "", own):
            raise Unreachable(f"{resource.kind} {resource.namespace}/{resource.name}: another namespace is not allowed")
        return resource.namespace or own

    async def _labelled(self, at: Target, resource: ReceiverResource) -> list[Manifest]:
        wanted = resource.match_labels
        if wanted is None:
            raise Unreachable(f"{at.kind} *: matchLabels must be set to name objects by *")
        selector = ",".join(f"{key}={value}" for key, value in wanted.items())

        async def listed() -> list[Manifest]:
            return await self._client.list(
                at.api_version, at.kind, at.namespace, label_selector=selector, metadata_only=True
            )

        found = await _persistently(at, listed)
        return [obj for obj in found if has_labels(obj["metadata"].get("labels") or {}, wanted)]

    async def _read(self, at: Target) -> Manifest:
        async def read() -> Manifest:
            return await self._client.get(at.api_version, at.kind, at.name, at.namespace, metadata_only=True)

        return await _persistently(at, read)

    async def _annotate(self, target: Target) -> None:
        """Ask for a reconciliation that begins after this moment. Whoever asks while one waits waits with it."""
        waiting = self._next.get(target)
        if waiting is None:
            waiting = self._next[target] = asyncio.create_task(self._annotate_next(target))
        await asyncio.shield(waiting)

    async def _annotate_next(self, target: Target) -> None:
        lock = self._busy.setdefault(target, asyncio.Lock())
        try:
            async with lock, self._lanes:
                del self._next[target]  # what comes from now on must be told of by another one
                await _persistently(target, lambda: self._patch(target))
        finally:
            if self._next.get(target) is asyncio.current_task():
                del self._next[target]
            if target not in self._next:
                self._busy.pop(target, None)

    async def _patch(self, target: Target) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f +0000 UTC")
        patch = {"metadata": {"annotations": {REQUESTED: now}}}
        await self._client.patch(
            target.api_version, target.kind, target.name, target.namespace, patch, field_manager=self._manager
        )


async def _persistently(target: Target, call: Callable[[], Awaitable[T]]) -> T:
    """What a call gives, once the API can be reached. Unreachable when it refuses, or stays away."""
    clock, pause = asyncio.get_running_loop().time, FIRST_PAUSE
    end = clock() + PERSEVERE
    while True:
        try:
            return await call()
        except (Unavailable, TooManyRequests, Conflict, Unauthorized) as error:
            if clock() + pause > end:
                raise Unreachable(f"{target}: {error}") from error
        except ApiError as error:
            raise Unreachable(f"{target}: {error}") from error
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
        pause = min(2 * pause, LONGEST_PAUSE)
