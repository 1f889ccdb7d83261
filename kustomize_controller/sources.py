"""Which artifact a Kustomization builds from, and whether it may."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from shared.api.kustomize import Kustomization
from shared.api.meta import Artifact, format_duration
from shared.api.producers import PRODUCERS, Producer, has_new_artifact
from shared.artifact.fetch import ArtifactError, ArtifactNotFound, Fetcher
from shared.loop.attempt import Attempt
from shared.loop.kinds import Ref
from shared.loop.verdict import Failed, Stalled, Waiting


@dataclass(frozen=True)
class Source:
    """The artifact to build from and the object that has it."""

    kind: str
    ref: Ref
    artifact: Artifact

    @property
    def about(self) -> dict[str, str]:
        """What events and the history say of the source."""
        return about(self.artifact.revision, self.artifact.origin_revision)


def about(revision: str | None, origin: str | None) -> dict[str, str]:
    """What events say of a revision, if there is one, and of the upstream one behind it."""
    said = {"revision": revision, "originRevision": origin}
    return {key: value for key, value in said.items() if value}


def ref(ks: Kustomization) -> Ref:
    """The namespace and name of the source."""
    wanted = ks.spec.source_ref
    return Ref(wanted.namespace or ks.metadata.namespace, wanted.name)


async def find(ks: Kustomization, attempt: Attempt[Kustomization]) -> Source:
    """The source's artifact. Stalls with AccessDenied where the reference isn't allowed. Waits with ArtifactFailed
    while there is none, of which nobody is told: the source's own events say why."""
    kind, where = ks.spec.source_ref.kind, ref(ks)
    if attempt.options.no_cross_namespace_refs and where.namespace != ks.metadata.namespace:
        raise Stalled(
            "AccessDenied",
            f"can't access '{kind}/{where.namespace}/{where.name}', cross-namespace references have been blocked",
        )
    if kind == "ExternalArtifact" and not attempt.options.feature_gates["ExternalArtifact"]:
        raise Stalled(
            "AccessDenied",
            f"can't access '{kind}/{where.namespace}/{where.name}', ExternalArtifact feature gate is disabled: "
            "start the controller with --feature-gates=ExternalArtifact=true",
        )
    type_ = PRODUCERS[kind]
    direct = attempt.options.feature_gates["DirectSourceFetch"]
    source = await attempt.read(type_, where.namespace, where.name, direct=direct)
    again = format_duration(attempt.options.requeue_dependency)
    if source is None:
        plural = f"{type_.resource.plural}.{type_.resource.group}"
        raise Waiting("ArtifactFailed", f'{plural} "{where.name}" not found', event="")
    artifact = source.status.artifact
    if artifact is None:
        raise Waiting("ArtifactFailed", f"Source artifact not found, retrying in {again}", event="")
    return Source(kind, where, artifact)


@contextlib.asynccontextmanager
async def fetched(source: Source, attempt: Attempt[Kustomization], fetcher: Fetcher) -> AsyncIterator[Path]:
    """The root of the artifact's files, to read. ArtifactFailed when they can't be had; waits while they aren't there.

    The first try is made at work; others hold no worker, and end when the source has something new.
    """
    again = format_duration(attempt.options.requeue_dependency)
    async with contextlib.AsyncExitStack() as stack:
        try:
            try:
                root = await stack.enter_async_context(fetcher.hold(source.artifact, retries=0))
            except ArtifactNotFound:
                raise
            except ArtifactError as error:
                attempt.log.info("trying again to fetch the artifact: %s", error)
                async with attempt.resting():
                    root = await stack.enter_async_context(fetcher.hold(source.artifact))
        except ArtifactNotFound as error:
            raise Waiting(
                "ArtifactFailed", f"Source is not ready, artifact not found, retrying in {again}: {error}", event=""
            ) from error
        except ArtifactError as error:
            raise Failed("ArtifactFailed", str(error), retry_after=attempt.options.requeue_dependency) from error
        yield root


def is_news(old: Producer | None, new: Producer | None) -> bool:
    """Whether a change of a source matters to those who build from it; that it is there at last does, too."""
    return old is None or has_new_artifact(old, new)
