"""What was built last for each Kustomization, so that a pass in which nothing changed needs no file and no request.

    source, spec, variables → inputs;  inputs → the objects that were built of them

Kept in memory only, compressed; a restart builds everything once again.
"""

from __future__ import annotations

import hashlib
import math
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from kustomize_controller.build import Built
from kustomize_controller.cluster import owner_of
from kustomize_controller.sources import Source
from shared.api import codec
from shared.api.kustomize import Kustomization
from shared.api.meta import parse_duration
from shared.apply import Owner

FRESH = 0.5
"""Of the interval: what came from elsewhere counts as long. The interval has jitter, and drift may begin it anew."""
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class _Entry:
    inputs: bytes
    packed: bytes
    stale_at: float
    """By time.monotonic(); never for what came from the artifact alone."""


class Memory:
    """The last build of each Kustomization."""

    def __init__(self) -> None:
        self._entries: dict[Owner, _Entry] = {}

    def recall(self, ks: Kustomization, inputs: bytes, *, asked: bool = False) -> Built | None:
        """What was built of the same inputs; None when they differ.

        None also when a part of it came from elsewhere, where it may have changed: by the next interval, and when
        somebody asked for a reconciliation; not when only an applied object moved.
        """
        entry = self._entries.get(owner_of(ks))
        if entry is None or entry.inputs != inputs:
            return None
        if entry.stale_at < NEVER and (asked or time.monotonic() >= entry.stale_at):
            return None
        return Built.unpacked(zlib.decompress(entry.packed))

    def keep(self, ks: Kustomization, inputs: bytes, built: Built) -> None:
        """Remember what was built of these inputs, in place of what was before."""
        self._entries[owner_of(ks)] = _Entry(
            inputs,
            zlib.compress(built.packed, 1),
            time.monotonic() + parse_duration(ks.spec.interval) * FRESH if built.is_remote else NEVER,
        )

    def forget(self, ks: Kustomization) -> None:
        """Forget a Kustomization that is gone."""
        self._entries.pop(owner_of(ks), None)


def inputs(ks: Kustomization, source: Source, variables: Mapping[str, str] | None, keys: str = "") -> bytes:
    """A digest of everything that a build depends on; `keys` is one of the keys that it decrypts with."""
    spec = codec.encode(ks).get("spec")
    said = [ks.metadata.uid, source.kind, source.artifact.digest, spec, variables, keys]
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).digest()
