"""Leader election by a Lease, so that of several replicas one works.

`hold` returns once the lease is held and keeps renewing it; when it is lost the process must stop working at once,
which `lost` tells. Times follow client-go's election: a holder that doesn't renew within the lease duration, by the
observer's own clock, may be replaced. A release at shutdown lets the next one start at once: it watches the Lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import logging
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from shared.api.meta import Manifest
from shared.kube.client import Client
from shared.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from shared.kube.watch import Cache, Change
from shared.loop import metrics

log = logging.getLogger(__name__)

API_VERSION, KIND = "coordination.k8s.io/v1", "Lease"


class Lease:
    """One process' claim on a Lease object."""

    def __init__(
        self, client: Client, namespace: str, name: str, *, duration: float, renew_deadline: float, retry: float
    ) -> None:
        """Times in seconds: how long a claim lasts, how long renewing may fail, how often to try."""
        self._client, self._namespace, self._name = client, namespace, name
        self._duration, self._deadline, self._retry = duration, renew_deadline, retry
        self.identity = f"{os.environ.get('HOSTNAME') or socket.gethostname()}_{uuid.uuid4()}"
        self.lost = asyncio.Event()
        """Set when the lease could not be renewed in time: stop working."""
        self._seen: tuple[str, str] = ("", "")
        self._seen_at = 0.0
        self._task: asyncio.Task[None] | None = None

    async def hold(self) -> None:
        """Wait for the lease and keep it from then on."""
        log.info("waiting for the lease %s/%s", self._namespace, self._name)
        self._tell(False)
        if not await self._try():
            async with self._free() as free:
                while not await self._try():
                    free.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._retry):
                            await free.wait()
        log.info("holding the lease %s/%s as %s", self._namespace, self._name, self.identity)
        self._tell(True)
        self._task = asyncio.create_task(self._renew())

    @contextlib.asynccontextmanager
    async def _free(self) -> AsyncIterator[asyncio.Event]:
        """While inside, an event that is set whenever a holder lets go. A watch tells; where it isn't allowed, the next
        try finds out."""
        free = asyncio.Event()

        def changed(change: Change[Manifest]) -> None:
            if change.type == "deleted" or not (change.manifest.get("spec") or {}).get("holderIdentity"):
                free.set()

        cache: Cache[Manifest] = Cache(
            self._client, API_VERSION, KIND, self._namespace, field_selector=f"metadata.name={self._name}"
        )
        cache.on_change(changed)
        starting = asyncio.create_task(cache.start())
        try:
            yield free
        finally:
            starting.cancel()
            await cache.stop()

    async def release(self, *, give_up: bool = True) -> None:
        """Stop renewing and, with `give_up`, let another have the lease now."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._tell(False)
        if give_up and not self.lost.is_set():
            try:
                await self._write({"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()})
            except ApiError as error:
                log.error("could not give the lease back: %s", error)

    async def _renew(self) -> None:
        renewed = time.monotonic()
        while time.monotonic() - renewed < self._deadline:
            await asyncio.sleep(self._retry)
            if await self._try():
                renewed = time.monotonic()
            elif self._seen[0] not in ("", self.identity):
                break
        log.error("lost the lease %s/%s to %s", self._namespace, self._name, self._seen[0] or "a failing API server")
        self._tell(False)
        self.lost.set()

    def _tell(self, held: bool) -> None:
        metrics.leading.labels(self._name).set(held)

    async def _try(self) -> bool:
        """Take or renew the lease; False when someone else holds it or the API doesn't answer."""
        try:
            async with asyncio.timeout(self._deadline):
                return await self._claim()
        except (Conflict, AlreadyExists):
            return False
        except TimeoutError:
            log.error("could not renew the lease: the API did not answer within %g s", self._deadline)
            return False
        except ApiError as error:
            log.error("could not renew the lease: %s", error)
            return False
        except Exception as error:  # a bug, too, must not end the renewing unnoticed: two would work at the same time
            log.error("renewing the lease broke: %s", type(error).__name__, exc_info=error)
            return False

    async def _claim(self) -> bool:
        try:
            lease = await self._client.get(API_VERSION, KIND, self._name, self._namespace)
        except NotFound:
            await self._client.create(self._manifest(self._spec(None)))
            return True
        spec = lease.get("spec") or {}
        holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
        if (holder, renewed) != self._seen:
            self._seen, self._seen_at = (holder, renewed), time.monotonic()
        lasts = spec.get("leaseDurationSeconds") or self._duration
        if holder not in ("", self.identity) and time.monotonic() - self._seen_at < lasts:
            return False
        await self._write(self._spec(spec), lease["metadata"]["resourceVersion"])
        return True

    def _spec(self, old: dict[str, Any] | None) -> dict[str, Any]:
        held = old is not None and old.get("holderIdentity") == self.identity
        now = _now()
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, int(self._duration)),
            "acquireTime": old["acquireTime"] if held and old else now,
            "renewTime": now,
            "leaseTransitions": (old or {}).get("leaseTransitions", 0) + (0 if held or old is None else 1),
        }

    def _manifest(self, spec: dict[str, Any]) -> Manifest:
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": spec,
        }

    async def _write(self, spec: dict[str, Any], version: str | None = None) -> None:
        patch: Manifest = {"spec": spec} | ({"metadata": {"resourceVersion": version}} if version else {})
        await self._client.patch(API_VERSION, KIND, self._name, self._namespace, patch, type="merge")


def lease_name(controller: str, selector: str) -> str:
    """The Lease of a controller; each shard, known by its label selector, has its own."""
    if not selector:
        return f"{controller}-leader-election"
    return f"{controller}-leader-election-{hashlib.sha256(selector.encode()).hexdigest()[:8]}"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
