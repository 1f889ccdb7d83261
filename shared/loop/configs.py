"""The ConfigMaps and Secrets that objects refer to: what they say, and news of those that carry the watch label.

They are read when they are needed. With the gate CacheSecretsAndConfigMaps all of them are kept in memory instead, so
that reading costs no request; where memory may be behind what was heard of one, or what its user knows, it is read all
the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from shared.api.meta import Manifest
from shared.kube.client import Client
from shared.kube.watch import Cache, Change
from shared.loop.kinds import ConfigRef

KINDS = ("ConfigMap", "Secret")
NEVER = 1 << 62
"""Later than any resourceVersion."""
UNREFERRED = {"Secret": "type!=helm.sh/release.v1"}
"""Field selectors that leave out what is large and what nobody refers to."""


class Configs:
    """Those of one cluster, for all objects of a process."""

    def __init__(self, client: Client, options: Any) -> None:
        """`options` are the parsed flags."""
        self._client, self._options = client, options
        self._whole: dict[str, Cache[Manifest]] = {}
        self._heard: dict[ConfigRef, int] = {}
        """From which resourceVersion on what is kept of an object counts, by the watch label's watch."""
        self._caches: list[Cache[Any]] = []

    async def start(self, changed: Callable[[ConfigRef], None]) -> None:
        """Begin to watch, as the gates say. `changed` is told of each change of one that carries the watch label."""
        gates, namespace = self._options.feature_gates, self._namespace()
        for kind in KINDS:
            if gates.get("CacheSecretsAndConfigMaps"):
                selector = UNREFERRED.get(kind, "")
                self._whole[kind] = Cache(self._client, "v1", kind, namespace, field_selector=selector)
                self._caches.append(self._whole[kind])
            if not gates.get("DisableConfigWatchers"):
                labelled: Cache[str] = Cache(
                    self._client,
                    "v1",
                    kind,
                    namespace,
                    label_selector=self._options.watch_configs_label_selector,
                    metadata_only=True,
                    keep=lambda metadata: metadata.resource_version,
                )
                labelled.on_change(partial(self._hear, kind, changed))
                self._caches.append(labelled)
        await asyncio.gather(*(cache.start() for cache in self._caches))

    async def stop(self) -> None:
        """Watch no more."""
        await asyncio.gather(*(cache.stop() for cache in self._caches))

    async def get(self, kind: str, name: str, namespace: str, *, fresh: bool = False) -> Manifest:
        """A ConfigMap or a Secret; not to be changed. NotFound when there is none. `fresh`: whatever memory says."""
        cache = None if fresh else self._whole.get(kind)
        known = cache.get(namespace, name) if cache is not None else None
        if known is not None and _version(known) >= self._heard.get(ConfigRef(kind, namespace, name), 0):
            return known
        return await self._client.get("v1", kind, name, namespace)

    def _namespace(self) -> str | None:
        return None if self._options.watch_all_namespaces else self._options.runtime_namespace

    def _hear(self, kind: str, changed: Callable[[ConfigRef], None], change: Change[str]) -> None:
        ref = ConfigRef(kind, *change.key)
        if self._whole and change.manifest.isdigit():
            self._heard[ref] = NEVER if change.type == "deleted" else int(change.manifest)
        changed(ref)


def _version(manifest: Manifest) -> int:
    version = str(manifest["metadata"].get("resourceVersion") or "")
    return int(version) if version.isdigit() else 0
