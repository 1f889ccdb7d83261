"""What was built last for each Kustomization, so that a pass in which nothing changed needs no file and no request.

    source, spec, variables → inputs;  inputs → the objects that were built of them

Kept in memory only, compressed; a restart builds everything once again.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from kustomize_controller.build import Built
from kustomize_controller.sources import Source
from shared.api import codec
from shared.api.kustomize import Kustomization


class Key(NamedTuple):
    """A Kustomization, by its namespace and name."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class _Entry:
    inputs: bytes
    packed: bytes


class Memory:
    """The last build of each Kustomization."""

    def __init__(self) -> None:
        self._entries: dict[Key, _Entry] = {}

    def recall(self, ks: Kustomization, inputs: bytes) -> Built | None:
        """What was built of the same inputs; None when they differ."""
        entry = self._entries.get(_key(ks))
        if entry is None or entry.inputs != inputs:
            return None
        return Built.unpacked(zlib.decompress(entry.packed))

    def keep(self, ks: Kustomization, inputs: bytes, built: Built) -> None:
        """Remember what was built of these inputs, in place of what was before."""
        self._entries[_key(ks)] = _Entry(inputs, zlib.compress(built.packed, 1))

    def forget(self, ks: Kustomization) -> None:
        """Forget a Kustomization that is gone."""
        self._entries.pop(_key(ks), None)


def inputs(ks: Kustomization, source: Source, variables: Mapping[str, str] | None, keys: str = "") -> bytes:
    """A digest of everything that a build depends on; `keys` is one of the keys that it decrypts with."""
    spec = codec.encode(ks).get("spec")
    said = [ks.metadata.uid, source.kind, source.artifact.digest, spec, variables, keys]
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).digest()


def _key(ks: Kustomization) -> Key:
    return Key(ks.metadata.namespace or "", ks.metadata.name)
