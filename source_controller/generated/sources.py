"""Sources: the artifacts that an ArtifactGenerator takes files from.

spec.sources → artifacts by alias → a digest of them all → trees of files, to read
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path

from shared.api.meta import Artifact, Resource
from shared.api.producers import artifact_of
from shared.api.source import ArtifactGenerator, Bucket, ExternalArtifact, GitRepository, HelmChart, OCIRepository
from shared.artifact.fetch import ArtifactError, Fetcher
from shared.loop.attempt import Attempt
from shared.loop.kinds import Ref
from shared.loop.verdict import Failed, Stalled

KINDS: dict[str, type[Resource]] = {
    each.resource.kind: each for each in (GitRepository, OCIRepository, Bucket, HelmChart, ExternalArtifact)
}
"""Metadata key of an artifact that names the upstream revision it was made of."""
_FAILED = "SourceFetchFailed"


def refers_to(kind: str) -> Callable[[ArtifactGenerator], Iterable[Ref]]:
    """What tells which sources of a kind a generator takes files from."""

    def refers(generator: ArtifactGenerator) -> Iterable[Ref]:
        own = generator.metadata.namespace
        return [Ref(each.namespace or own, each.name) for each in generator.spec.sources if each.kind == kind]

    return refers


def require_access(generator: ArtifactGenerator, *, own_namespace_only: bool) -> None:
    """Stalls with AccessDenied where a source may not be used."""
    own = generator.metadata.namespace
    for each in generator.spec.sources:
        if own_namespace_only and (each.namespace or own) != own:
            raise Stalled(
                "AccessDenied",
                f"cross-namespace reference to source {each.kind}/{each.namespace}/{each.name} is not allowed",
            )


async def find(generator: ArtifactGenerator, attempt: Attempt[ArtifactGenerator]) -> dict[str, Artifact]:
    """The sources' artifacts by alias. SourceFetchFailed when one isn't there yet; its change wakes the generator."""
    found: dict[str, Artifact] = {}
    for each in generator.spec.sources:
        namespace, type_ = each.namespace or generator.metadata.namespace, KINDS[each.kind]
        source = await attempt.read(type_, namespace, each.name)
        if source is None:
            plural = f"{type_.resource.plural}.{type_.resource.group}"
            raise Failed(_FAILED, f'get sources failed: {plural} "{each.name}" not found in namespace {namespace}')
        artifact = artifact_of(source)
        if artifact is None:
            raise Failed(_FAILED, f"get sources failed: source '{each.kind}/{namespace}/{each.name}' is not ready")
        found[each.alias] = artifact
    return found


def digest(found: Mapping[str, Artifact]) -> str:
    """What status.observedSourcesDigest says of these artifacts."""
    parts = []
    for alias in sorted(found):
        value, revision, url = found[alias].known_by
        parts.append(f"{alias}=[digest={value},revision={revision},url={url}]")
    return f"sha256:{hashlib.sha256('|'.join(parts).encode()).hexdigest()}"


@contextlib.asynccontextmanager
async def fetched(found: Mapping[str, Artifact], fetcher: Fetcher) -> AsyncIterator[dict[str, Path]]:
    """The roots of the artifacts' files by alias, to read while the block runs. SourceFetchFailed."""
    async with contextlib.AsyncExitStack() as stack:
        trees: dict[str, Path] = {}
        for alias, artifact in found.items():
            try:
                trees[alias] = await stack.enter_async_context(fetcher.hold(artifact, retries=0))
            except ArtifactError as error:
                raise Failed(_FAILED, f"fetch sources failed: {error}") from error
        yield trees


def origin(artifact: Artifact) -> str:
    """The upstream revision behind an artifact, or else its own."""
    return artifact.origin_revision or artifact.revision
