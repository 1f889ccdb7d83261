"""OCIRepository: a layer of the chosen image becomes an artifact.

    Secrets → registry → tag → digest → manifest → layer → artifact

Asking for the digest costs one request (two with a version range, none where the spec names the digest); a layer
travels only when the digest, or what is to be made of it, changed. Objects that reach a registry alike share what was
asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import IO

from shared.api.meta import Artifact, parse_duration
from shared.api.source import OCIRepository, OCIRepositoryRef
from shared.artifact.revision import Revision
from shared.artifact.tar import ArchiveError
from shared.artifact.unpack import Limits, unpack
from shared.auth import Clouds
from shared.loop.attempt import Attempt
from shared.loop.kinds import ConfigRef, Kind
from shared.loop.verdict import Failed, Ready
from shared.oci.connections import Connections
from shared.oci.errors import InvalidReference, OCIError
from shared.oci.registry import Descriptor, Manifest, Registry
from shared.text import regex, semver
from source_controller import registries, verify
from source_controller.publish import FAILURES, Publisher, owner_of, room, stored
from source_controller.registries import FETCH_FAILED, Lookup
from source_controller.signatures import images
from source_controller.signatures.images import Signatures
from source_controller.twins import Twins

HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
LATEST = "latest.tar.gz"
IN_MEMORY = 1 << 20
"""Bytes of a layer up to which it isn't written to disk before it is read."""
_SOURCE, _REVISION = "org.opencontainers.image.source", "org.opencontainers.image.revision"


def kind(publisher: Publisher, connections: Connections, signatures: Signatures, clouds: Clouds) -> Kind[OCIRepository]:
    """The kind, on a store, on connections to registries, on what signatures are checked with, and on the clouds'
    logins."""

    lookups, twins = registries.Lookups(), Twins()

    async def reconcile(source: OCIRepository, attempt: Attempt[OCIRepository]) -> Ready:
        spec, status = source.spec, source.status
        before = status.artifact
        await publisher.require_stored(source, attempt)  # one that is gone is built again
        at = registries.address(source)  # URLInvalid stalls
        credentials = await registries.login(source, at, attempt)  # AuthenticationFailed
        transport = await registries.transport(source, attempt)
        if credentials is None:
            credentials = await registries.cloud_login(source, at, clouds, transport)  # FeatureGateDisabled stalls

        try:
            async with asyncio.timeout(parse_duration(spec.timeout)) as limit:
                remote = Registry(connections, at, credentials, transport)
                lookup = registries.lookup(lookups, source, remote, credentials, attempt)
                tag = await find_tag(source, lookup)  # ReadOperationFailed
                revision = await find_revision(source, lookup, tag)  # OCIArtifactPullFailed
                outdated = is_outdated(source, revision)
                if outdated:
                    named = at.at(tag or Revision.parse(revision).digest)
                    message = f"new revision '{revision}' for '{named}'"
                    attempt.mark("ArtifactOutdated", True, "NewRevision", message)
                    await attempt.progress(f"building artifact: {message}")
                await verify.require_signed_image(source, signatures, remote, revision, attempt)
                if not outdated:
                    message = f"artifact up-to-date with remote revision: '{revision}'"
                    attempt.unchanged("ArtifactUpToDate", message)
                    return _stored(source, attempt, before)
                digest = Revision.parse(revision).digest
                file = f"{digest}.tar.gz"
                async with twins.turn((*lookup.alike, digest, *wanted(source))) as twin:
                    artifact = await publisher.twin(source, file, revision, twin.made)
                    if artifact is None:  # nobody made the same before
                        manifest = await pull(source, remote, digest)
                        layer = find_layer(source, manifest)  # OCIArtifactLayerOperationFailed
                        async with fetched(source, remote, layer) as content:
                            limit.reschedule(None)  # the registry has done its part
                            artifact = await publish(publisher, source, content, file, revision, manifest.annotations)
                    twin.made = owner_of(source), artifact
        except TimeoutError as error:
            message = f"failed to pull artifact from '{spec.url}': timed out after {spec.timeout}"
            raise Failed("OCIArtifactPullFailed", message, condition=FETCH_FAILED) from error
        status.artifact = artifact
        await publisher.link(source, LATEST, attempt)
        status.observed_ignore = spec.ignore
        status.observed_layer_selector = spec.layer_selector
        return _stored(source, attempt, before)

    return Kind(
        type=OCIRepository,
        reconcile=reconcile,
        finalize=publisher.remove,
        abnormal=FAILURES,
        configs=configs,
    )


async def find_tag(source: OCIRepository, lookup: Lookup) -> str:
    """The tag that the spec selects; empty when it selects a digest."""
    ref = source.spec.ref or OCIRepositoryRef()
    if ref.digest:
        return ""
    if not ref.semver:
        return ref.tag or "latest"
    try:
        return highest(source, await lookup.tags(), ref)
    except (OCIError, semver.VersionError, regex.PatternError) as error:
        message = f"failed to determine the artifact tag for '{source.spec.url}': {error}"
        raise Failed("ReadOperationFailed", message, condition=FETCH_FAILED) from error


def highest(source: OCIRepository, tags: Iterable[str], ref: OCIRepositoryRef) -> str:
    """The tag with the highest version in the range. A chart's tag has `_` where its version has `+`."""
    wanted = semver.parse_range(ref.semver or "*")
    if ref.semver_filter:
        pattern = regex.compile(ref.semver_filter)
        tags = [tag for tag in tags if pattern.search(tag)]
    selector = source.spec.layer_selector
    is_chart = selector is not None and selector.media_type == HELM_CHART
    versions = {tag.replace("_", "+") if is_chart else tag: tag for tag in tags}
    found = semver.highest(versions, wanted)
    if found is None:
        matching = f" and filter: {ref.semver_filter}" if ref.semver_filter else ""
        raise OCIError(f"no match found for semver: {ref.semver}{matching}")
    return versions[found]


async def find_revision(source: OCIRepository, lookup: Lookup, tag: str) -> str:
    """`tag@digest`, or the digest alone where the spec names it: then nobody is asked."""
    ref = source.spec.ref
    if ref is not None and ref.digest:
        return ref.digest
    try:
        is_first = source.status.artifact is None  # then the manifest is wanted in any case
        return f"{tag}@{await lookup.digest(tag, with_manifest=is_first)}"
    except OCIError as error:
        message = f"failed to determine artifact digest: {error}"
        raise Failed("OCIArtifactPullFailed", message, condition=FETCH_FAILED) from error


def is_outdated(source: OCIRepository, revision: str) -> bool:
    """Must the artifact be built anew?"""
    spec, status = source.spec, source.status
    return (
        status.artifact is None
        or status.artifact.revision != revision
        or status.observed_ignore != spec.ignore
        or status.observed_layer_selector != spec.layer_selector
    )


def wanted(source: OCIRepository) -> tuple[Hashable, ...]:
    """What is to be made of an image: all that the artifact's bytes depend on besides."""
    selector = source.spec.layer_selector
    return (selector.media_type, selector.operation) if selector else (), source.spec.ignore


async def pull(source: OCIRepository, remote: Registry, digest: str) -> Manifest:
    """The manifest of a digest."""
    try:
        return await remote.manifest(digest)
    except (OCIError, InvalidReference) as error:
        message = f"failed to pull artifact from '{source.spec.url}': {error}"
        raise Failed("OCIArtifactPullFailed", message, condition=FETCH_FAILED) from error


def find_layer(source: OCIRepository, manifest: Manifest) -> Descriptor:
    """The layer that the selector names; the first without one."""
    selector = source.spec.layer_selector
    wanted = selector.media_type if selector else None
    if not manifest.layers:
        raise _layer_failed("no layers found in artifact")
    if not wanted:
        return manifest.layers[0]
    for layer in manifest.layers:
        if layer.media_type == wanted:
            return layer
    raise _layer_failed(f"failed to find layer with media type '{wanted}' in artifact")


@contextlib.asynccontextmanager
async def fetched(source: OCIRepository, remote: Registry, layer: Descriptor) -> AsyncIterator[IO[bytes]]:
    """The layer's bytes: in memory when they are few, else in a file that goes when this ends."""
    with room(), tempfile.SpooledTemporaryFile(IN_MEMORY) as content:
        try:
            await remote.blob(layer, content)
        except OCIError as error:
            raise _layer_failed(f"failed to pull artifact from '{source.spec.url}': {error}") from error
        content.seek(0)
        yield content


async def publish(
    publisher: Publisher,
    source: OCIRepository,
    layer: IO[bytes],
    file: str,
    revision: str,
    annotations: Mapping[str, str],
) -> Artifact:
    """The layer as an artifact: its bytes, or its files packed anew."""
    if _is_copy(source):
        return await publisher.file(source, file, revision, partial(shutil.copyfileobj, layer), metadata=annotations)

    def extract(root: Path) -> None:
        try:
            unpack(layer, root, Limits(links="skip"))
        except (ArchiveError, OSError) as error:
            raise _layer_failed(f"failed to extract layer contents from artifact: {error}") from error

    return await publisher.extracted(source, extract, file, revision, ignored=source.spec.ignore, metadata=annotations)


def configs(source: OCIRepository) -> Iterable[ConfigRef]:
    """The Secrets that an object reads."""
    spec = source.spec
    named = [each.name for each in (spec.secret_ref, spec.cert_secret_ref, spec.proxy_secret_ref) if each is not None]
    named += images.secrets(spec.verify)
    return [ConfigRef("Secret", source.metadata.namespace or "", name) for name in named]


def _is_copy(source: OCIRepository) -> bool:
    selector = source.spec.layer_selector
    return selector is not None and selector.operation == "copy"


def _layer_failed(message: str) -> Failed:
    return Failed("OCIArtifactLayerOperationFailed", message, condition=FETCH_FAILED)


def _stored(source: OCIRepository, attempt: Attempt[OCIRepository], before: Artifact | None) -> Ready:
    artifact = source.status.artifact
    assert artifact is not None
    origin = artifact.metadata or {}
    news = f"stored artifact with revision '{artifact.revision}' from '{source.spec.url}'"
    if origin.get(_SOURCE):
        news += f", origin source '{origin[_SOURCE]}'"
    if origin.get(_REVISION):
        news += f", origin revision '{origin[_REVISION]}'"
    return stored(source, attempt, before, f"stored artifact for digest '{artifact.revision}'", news)
