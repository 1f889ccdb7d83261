"""What a path of an artifact says before variables are filled in, shared by all who build it alike.

    artifact, path and the spec's fields for the build → key → Template

One path that many Kustomizations instantiate, each with variables of its own, is built once. Not here: what keys
decrypt, which others needn't have.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

import msgspec
import orjson

from kustomize_controller import variables
from shared.api.codec import encode
from shared.api.kustomize import KustomizationSpec
from shared.api.meta import Manifest
from shared.kustomize import Footprint

MOST_BYTES = 4 * 1024 * 1024
"""Of JSON, of all templates that are kept; those that were used last are."""


class Template:
    """The objects of a build, in its order, to be filled in."""

    def __init__(
        self,
        manifests: list[Manifest],
        places: list[str],
        footprint: Footprint,
        *,
        is_remote: bool = False,
    ) -> None:
        """`places` says of each object where it is written, "" where that isn't known."""
        self.packed = msgspec.json.encode(manifests)
        self.places, self.footprint = places, footprint
        self.is_remote = is_remote
        """Whether a part of it came from elsewhere than the artifact, where it may change."""

    @property
    def manifests(self) -> list[Manifest]:
        """The objects, for the caller to change."""
        found: list[Manifest] = orjson.loads(self.packed)
        return found

    @cached_property
    def texts(self) -> list[variables.Text | None]:
        """Of each object its text, to fill variables into; None for one that stays as it is."""
        return [variables.text(manifest) for manifest in self.manifests]


class Templates:
    """The templates that were used last."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, Template] = OrderedDict()
        self._size = 0
        self._making: dict[bytes, asyncio.Event] = {}

    async def of(self, key: bytes, make: Callable[[], Awaitable[Template]]) -> Template:
        """The template with this key, made by `make` unless it is known. Others who want the same meanwhile wait, and
        make their own only when it can't be shared or can't be made."""
        if (running := self._making.get(key)) is not None:
            await running.wait()
        elif key not in self._kept:
            self._making[key] = asyncio.Event()
            try:
                made = await make()
                self._keep(key, made)
                return made
            finally:
                self._making.pop(key).set()
        if (known := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return known
        return await make()

    def _keep(self, key: bytes, template: Template) -> None:
        if template.is_remote:
            return
        self._kept[key] = template
        self._size += len(template.packed)
        while self._size > self._most:
            _, oldest = self._kept.popitem(last=False)
            self._size -= len(oldest.packed)


def overlay(spec: KustomizationSpec) -> dict[str, Any]:
    """What a spec lays over the kustomization of its path, as `kustomize.generate` takes it."""
    return {
        "target_namespace": spec.target_namespace,
        "name_prefix": spec.name_prefix,
        "name_suffix": spec.name_suffix,
        "patches": [encode(patch) for patch in spec.patches],
        "images": [encode(image) for image in spec.images],
        "components": spec.components,
        "ignore_missing_components": spec.ignore_missing_components,
        "build_metadata": spec.build_metadata,
    }


def key(spec: KustomizationSpec, artifact: str, path: str) -> bytes:
    """What a template depends on: the digest of the artifact, the directory in it, and what the spec lays over it."""
    said = [artifact, path, overlay(spec)]
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).digest()
