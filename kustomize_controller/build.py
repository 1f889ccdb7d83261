"""Files → objects: the kustomize build with the spec's fields laid over it, then variables, then common metadata.

The kustomization of a directory that has none is generated, and the spec's fields are laid over it in memory; nothing
is written to the artifact's tree, which others read too.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import orjson

from kustomize_controller import decrypt, variables
from kustomize_controller.decrypt import Decryption
from shared import kustomize
from shared.api.codec import encode
from shared.api.kustomize import Kustomization, KustomizationSpec
from shared.api.meta import Manifest
from shared.apply import ObjectId
from shared.git.bases import Bases
from shared.loop.verdict import Failed
from shared.text import listed


@dataclass(frozen=True)
class Built:
    """The objects that a path of an artifact says, in the order of the build."""

    manifests: list[Manifest]
    packed: bytes = field(repr=False)
    """The same as compressed JSON."""
    digest: str
    """Of the content of all objects, as sha256:…"""
    written: bytes = field(repr=False)
    """`places`, compressed: what is looked at only when something fails."""
    is_remote: bool = False
    """Whether a part of it came from elsewhere than the artifact."""

    @classmethod
    def of(cls, manifests: list[Manifest], places: list[str], *, is_remote: bool = False) -> Built:
        """What was just built; `places` says of each object where it is written, "" where that isn't known."""
        packed = orjson.dumps(manifests, option=orjson.OPT_SORT_KEYS)
        digest = f"sha256:{hashlib.sha256(packed).hexdigest()}"
        return cls(
            manifests, zlib.compress(packed, 1), digest, zlib.compress(orjson.dumps(places), 1), is_remote=is_remote
        )

    @classmethod
    def unpacked(cls, packed: bytes, digest: str, written: bytes) -> Built:
        """What was built before, from these of its fields."""
        return cls(orjson.loads(zlib.decompress(packed)), packed, digest, written)

    @property
    def places(self) -> dict[ObjectId, str]:
        """Where objects are written: the file in the artifact with the line, such as `apps/web.yaml:3`."""
        places: list[str] = orjson.loads(zlib.decompress(self.written))
        return {ObjectId.of(manifest): place for manifest, place in zip(self.manifests, places, strict=True) if place}


def require_path(ks: Kustomization, tree: kustomize.Tree) -> str:
    """The directory to build, seen from the root of the artifact. ArtifactFailed when it isn't there."""
    parts: list[str] = []
    for part in PurePosixPath("/", ks.spec.path or "").parts[1:]:
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    shown = "/" + "/".join(parts)
    try:
        is_dir = tree.is_dir(tree.resolve(shown))
    except kustomize.BuildError as error:
        raise Failed(
            "ArtifactFailed", f"kustomization path not found: stat {shown}: no such file or directory"
        ) from error
    if not is_dir:
        raise Failed("ArtifactFailed", f"kustomization path not found: {shown} is a file, not a directory")
    return shown


def require_decrypted(built: Built) -> None:
    """ReconciliationFailed names the Secrets that are still encrypted: nobody could use them in the cluster, and nobody
    would be told."""
    encrypted = [
        manifest
        for manifest in built.manifests
        if manifest.get("kind") == "Secret"
        and manifest.get("apiVersion") == "v1"
        and "sops" in manifest
        and not decrypt.is_disabled(manifest)
    ]
    if not encrypted:
        return
    said = "is SOPS encrypted, configuring decryption is required for this secret to be reconciled"
    ids = [ObjectId.of(manifest) for manifest in encrypted]
    lines = [listed.placed(f"{id} {said}", built.places.get(id, "")) for id in ids]
    raise Failed("ReconciliationFailed", listed.lines(lines))


async def objects(
    ks: Kustomization,
    tree: kustomize.Tree,
    path: str,
    given: Mapping[str, str] | None,
    *,
    strict: bool,
    decryption: Decryption | None = None,
    remote_seconds: float = 0.0,
) -> Built:
    """The objects that a directory of the artifact says. BuildFailed, with everything that is wrong.

    `tree` has the artifact's files. `given` are the variables to fill in, None for no substitution at all; `strict`
    refuses undefined ones. `decryption` decrypts what is encrypted; without it, that is refused. Repositories and files
    that the kustomizations name by URLs may take `remote_seconds` in all; with 0 they are refused.
    """
    return await asyncio.to_thread(_build, ks.spec, tree, path, given, strict, decryption, remote_seconds)


def _build(
    spec: KustomizationSpec,
    tree: kustomize.Tree,
    path: str,
    given: Mapping[str, str] | None,
    strict: bool,
    decryption: Decryption | None,
    remote_seconds: float,
) -> Built:
    try:
        kustomization = kustomize.generate(
            tree,
            path,
            target_namespace=spec.target_namespace,
            name_prefix=spec.name_prefix,
            name_suffix=spec.name_suffix,
            patches=[encode(patch) for patch in spec.patches],
            images=[encode(image) for image in spec.images],
            components=spec.components,
            ignore_missing_components=spec.ignore_missing_components,
            build_metadata=spec.build_metadata,
        )
    except kustomize.Undecodable as error:
        problems = [f"failed to decode Kubernetes YAML from {problem}" for problem in error.problems]
        raise Failed("BuildFailed", listed.lines(problems)) from error
    except kustomize.BuildError as error:
        raise Failed("BuildFailed", f"failed to generate kustomization.yaml: {listed.lines(error.problems)}") from error
    if decryption is not None:
        tree = decryption.overlay(tree, path, kustomization)
    try:
        with Bases(within=remote_seconds) as bases:
            options = kustomize.BuildOptions.flux(remote=bases if remote_seconds else None)
            built = kustomize.build(tree, path, options, kustomization=kustomization)
    except kustomize.BuildError as error:
        raise Failed("BuildFailed", f"kustomize build failed: {_explained(error)}") from error
    manifests = built.values if decryption is None else decryption.objects(built)
    manifests = variables.filled_in(manifests, built.places, given, strict=strict)
    if spec.common_metadata is not None:
        for manifest in manifests:
            _add_common(manifest, spec.common_metadata.labels, spec.common_metadata.annotations)
    return Built.of(manifests, built.places, is_remote=bases.is_used)


def _explained(error: kustomize.BuildError) -> str:
    """The problems of a build, with the step that upstream names for what can't be loaded."""
    loading = any(problem.field.startswith(("resources", "components", "bases")) for problem in error.problems)
    return ("accumulating resources: " if loading else "") + listed.lines(error.problems)


def _add_common(manifest: Manifest, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
    metadata = manifest.setdefault("metadata", {})
    for name, added in (("labels", labels), ("annotations", annotations)):
        if added:
            metadata[name] = {**(metadata.get(name) or {}), **added}
