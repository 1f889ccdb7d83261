"""Files → objects: the kustomize build with the spec's fields laid over it, then variables, then common metadata.

    files → Template, the same for all who build alike → Built, with the variables of one Kustomization

The kustomization of a directory that has none is generated, and the spec's fields are laid over it in memory; nothing
is written to the artifact's tree, which others read too.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

import orjson

from kustomize_controller import decrypt, light, templates, variables
from kustomize_controller.decrypt import Decryption
from kustomize_controller.light import Light, TooMuch
from kustomize_controller.templates import Template
from shared import kustomize
from shared.api.kustomize import Kustomization, KustomizationSpec
from shared.api.meta import Manifest
from shared.apply import ObjectId
from shared.git.bases import Bases
from shared.kustomize import BuildOptions, Survey, Trace
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
    """Of each object where it is written, compressed: what is looked at only when something fails."""

    @classmethod
    def of(cls, manifests: list[Manifest], places: list[str]) -> Built:
        """What was just built; `places` says of each object where it is written, "" where that isn't known."""
        packed = orjson.dumps(manifests, option=orjson.OPT_SORT_KEYS)
        digest = f"sha256:{hashlib.sha256(packed).hexdigest()}"
        return cls(manifests, zlib.compress(packed, 1), digest, zlib.compress(orjson.dumps(places), 1))

    @classmethod
    def unpacked(cls, packed: bytes, digest: str, written: bytes) -> Built:
        """What was built before, from these of its fields."""
        return cls(orjson.loads(zlib.decompress(packed)), packed, digest, written)

    @property
    def places(self) -> Places:
        """Where objects are written."""
        return Places(self.packed, self.written)


class Places(NamedTuple):
    """Where the objects of a build are written, for who waits long and may have nothing to tell."""

    packed: bytes
    written: bytes
    """As in Built, both."""

    def by_object(self) -> dict[ObjectId, str]:
        """The file in the artifact with the line, such as `apps/web.yaml:3`."""
        manifests: list[Manifest] = orjson.loads(zlib.decompress(self.packed))
        places: list[str] = orjson.loads(zlib.decompress(self.written))
        return {ObjectId.of(manifest): place for manifest, place in zip(manifests, places, strict=True) if place}


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
    ids, places = [ObjectId.of(manifest) for manifest in encrypted], built.places.by_object()
    lines = [listed.placed(f"{id} {said}", places.get(id, "")) for id in ids]
    raise Failed("ReconciliationFailed", listed.lines(lines))


async def template(
    ks: Kustomization,
    survey: Survey,
    path: str,
    *,
    decryption: Decryption | None = None,
    remote_seconds: float = 0.0,
) -> Template:
    """What a directory of the artifact says, before variables are filled in. BuildFailed, with everything that is
    wrong.

    `survey` has the artifact's files. `decryption` decrypts what is encrypted; without it, that is refused.
    Repositories and files that the kustomizations name by URLs may take `remote_seconds` in all; with 0 they are
    refused.
    """
    if decryption is None:
        tree = Trace(survey)
        files = Light(tree)
        remote = files if remote_seconds else None
        with contextlib.suppress(TooMuch):
            made = _build(ks.spec, files, path, BuildOptions.flux(remote=remote, check=files.check))
            return Template(made.values, made.places, tree.footprint())
    return await asyncio.to_thread(_template, ks.spec, Trace(survey), path, decryption, remote_seconds)


async def filled(ks: Kustomization, made: Template, given: Mapping[str, str] | None, *, strict: bool) -> Built:
    """The objects of a template with the variables and the common metadata of a Kustomization. BuildFailed, with
    everything that is wrong.

    `given` are the variables to fill in, None for no substitution at all; `strict` refuses undefined ones.
    """
    if len(made.packed) <= light.BYTES:
        with contextlib.suppress(Failed):  # also of what grows too large for the loop; a thread tells
            return _filled(ks.spec, made, given, strict, light.BYTES)
    return await asyncio.to_thread(_filled, ks.spec, made, given, strict, variables.MOST)


def _template(
    spec: KustomizationSpec, tree: Trace, path: str, decryption: Decryption | None, remote_seconds: float
) -> Template:
    with Bases(within=remote_seconds) as bases:
        options = BuildOptions.flux(remote=bases if remote_seconds else None)
        made = _build(spec, tree, path, options, decryption)
    manifests = made.values if decryption is None else decryption.objects(made)
    footprint = tree.footprint()
    return Template(manifests, made.places, footprint, is_remote=bases.is_used)


def _build(
    spec: KustomizationSpec,
    tree: kustomize.Tree,
    path: str,
    options: BuildOptions,
    decryption: Decryption | None = None,
) -> kustomize.Build:
    try:
        kustomization = kustomize.generate(tree, path, **templates.overlay(spec))
    except kustomize.Undecodable as error:
        problems = [f"failed to decode Kubernetes YAML from {problem}" for problem in error.problems]
        raise Failed("BuildFailed", listed.lines(problems)) from error
    except kustomize.BuildError as error:
        raise Failed("BuildFailed", f"failed to generate kustomization.yaml: {listed.lines(error.problems)}") from error
    if decryption is not None:
        tree = decryption.overlay(tree, path, kustomization)
    try:
        return kustomize.build(tree, path, options, kustomization=kustomization)
    except kustomize.BuildError as error:
        raise Failed("BuildFailed", f"kustomize build failed: {_explained(error)}") from error


def _filled(spec: KustomizationSpec, made: Template, given: Mapping[str, str] | None, strict: bool, most: int) -> Built:
    manifests = made.manifests
    if given is not None:
        manifests = variables.filled_in(manifests, made.texts, made.places, given, strict=strict, most=most)
    if spec.common_metadata is not None:
        for manifest in manifests:
            _add_common(manifest, spec.common_metadata.labels, spec.common_metadata.annotations)
    return Built.of(manifests, made.places)


def _explained(error: kustomize.BuildError) -> str:
    """The problems of a build, with the step that upstream names for what can't be loaded."""
    loading = any(problem.field.startswith(("resources", "components", "bases")) for problem in error.problems)
    return ("accumulating resources: " if loading else "") + listed.lines(error.problems)


def _add_common(manifest: Manifest, labels: Mapping[str, str], annotations: Mapping[str, str]) -> None:
    metadata = manifest.setdefault("metadata", {})
    for name, added in (("labels", labels), ("annotations", annotations)):
        if added:
            metadata[name] = {**(metadata.get(name) or {}), **added}
