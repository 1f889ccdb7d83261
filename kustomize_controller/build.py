"""Files → objects: the kustomize build with the spec's overlay, then variables, then common metadata.

The kustomization of the directory is generated when there is none, and the spec's fields are laid over it in memory;
nothing is written to the artifact's tree, which others read too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kustomize_controller import variables
from shared import kustomize
from shared.api.codec import encode
from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.loop.verdict import Failed, Waiting


@dataclass(frozen=True)
class Built:
    """The objects of a build, and for each the file it came from, in the same order."""

    manifests: list[Manifest]
    files: list[str]


async def objects(
    ks: Kustomization, root: Path, given: Mapping[str, str] | None, *, strict: bool, remote_bases: bool
) -> Built:
    """The objects that the Kustomization's path says. BuildFailed; a missing path is ArtifactFailed.

    `given` are the variables to fill in, None for no substitution; `strict` refuses undefined ones.
    """
    path = require_path(ks, root)
    return await asyncio.to_thread(_build, ks, root, path, given, strict)


def require_path(ks: Kustomization, root: Path) -> str:
    """The directory to build, relative to the root of the artifact. Waits with ArtifactFailed when it isn't there."""
    wanted = PurePosixPath("/", ks.spec.path or "")
    parts: list[str] = []
    for part in wanted.parts[1:]:
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    path = root.joinpath(*parts)
    if not path.exists() or not path.resolve().is_relative_to(root.resolve()):
        raise Waiting("ArtifactFailed", f"kustomization path not found: stat {path}: no such file or directory")
    if not path.is_dir():
        raise Waiting("ArtifactFailed", f"kustomization path not found: {path} is a file, not a directory")
    return "/".join(parts) or "."


def _build(ks: Kustomization, root: Path, path: str, given: Mapping[str, str] | None, strict: bool) -> Built:
    tree = kustomize.DiskTree(root)
    try:
        overlay = _overlay(ks)
        base = kustomize.generate(tree, path)
        result = kustomize.build(
            tree, path, kustomize.BuildOptions(), kustomization=_merged(base, overlay, ks, tree, path)
        )
    except kustomize.BuildError as error:
        raise Failed("BuildFailed", str(error)) from error
    manifests = [resource.value for resource in result.resources]
    if given is not None:
        manifests = [variables.fill_in(manifest, given, strict=strict) for manifest in manifests]
    if ks.spec.common_metadata is not None:
        manifests = [_with_common(manifest, ks) for manifest in manifests]
    return Built(manifests, [str(resource.origin) for resource in result.resources])
