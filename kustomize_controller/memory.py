"""What was built last for each Kustomization, so that a pass in which nothing changed needs no file and no request.

    spec, variables, keys → inputs;  inputs, and an artifact or one with the same footprint → the objects built of them

Kept in memory only, compressed; a restart builds everything once again.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from kustomize_controller import light
from kustomize_controller.build import Built
from kustomize_controller.cluster import owner_of
from kustomize_controller.templates import Template
from shared.api import codec
from shared.api.kustomize import Kustomization
from shared.api.meta import parse_duration
from shared.apply import Owner
from shared.kustomize import Footprint, Survey

FRESH = 0.5
"""Of the interval: what came from elsewhere counts as long. The interval has jitter, and drift may begin it anew."""
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class _Entry:
    inputs: bytes
    artifact: str
    """Digest of the artifact that was built from, or the last one that would have built the same."""
    footprint: Footprint
    packed: bytes
    digest: str
    written: bytes
    """As in Built, all three."""
    stale_at: float
    """By time.monotonic(); never for what came from the artifact alone."""


class Memory:
    """The last build of each Kustomization."""

    def __init__(self) -> None:
        self._entries: dict[Owner, _Entry] = {}

    def recall(self, ks: Kustomization, inputs: bytes, artifact: str, *, asked: bool = False) -> Built | None:
        """What was built of the same inputs and the artifact with this digest; None when they differ.

        None also when a part of it came from elsewhere, where it may have changed: by the next interval, and when
        somebody asked for a reconciliation; not when only an applied object moved.
        """
        entry = self._entries.get(owner_of(ks))
        if entry is None or (entry.inputs, entry.artifact) != (inputs, artifact):
            return None
        if entry.stale_at < NEVER and (asked or time.monotonic() >= entry.stale_at):
            return None
        return _built(entry)

    async def recall_unmoved(self, ks: Kustomization, inputs: bytes, artifact: str, tree: Survey) -> Built | None:
        """What was built of the same inputs and another artifact, when in `tree`, the files of this one, nothing that
        the build looked at differs. None when something does, or came from elsewhere."""
        owner = owner_of(ks)
        entry = self._entries.get(owner)
        if entry is None or entry.inputs != inputs or entry.stale_at < NEVER or not await _holds(entry.footprint, tree):
            return None
        self._entries[owner] = replace(entry, artifact=artifact)
        return _built(entry)

    def keep(self, ks: Kustomization, inputs: bytes, artifact: str, template: Template, built: Built) -> None:
        """Remember what was built of these inputs, in place of what was before, and of which template."""
        self._entries[owner_of(ks)] = _Entry(
            inputs,
            artifact,
            template.footprint,
            built.packed,
            built.digest,
            built.written,
            time.monotonic() + parse_duration(ks.spec.interval) * FRESH if template.is_remote else NEVER,
        )

    def forget(self, ks: Kustomization) -> None:
        """Forget a Kustomization that is gone."""
        self._entries.pop(owner_of(ks), None)


def inputs(ks: Kustomization, variables: Mapping[str, str] | None, keys: str = "") -> bytes:
    """A digest of everything that a build depends on beside the artifact; `keys` is one of the keys that it decrypts
    with."""
    said = [ks.metadata.uid, codec.encode(ks.spec), variables, keys]
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).digest()


async def _holds(footprint: Footprint, tree: Survey) -> bool:
    if footprint.weight <= light.BYTES:
        return footprint.holds(tree)
    return await asyncio.to_thread(footprint.holds, tree)


def _built(entry: _Entry) -> Built:
    return Built.unpacked(entry.packed, entry.digest, entry.written)
