"""GitRepository: the chosen commit of a repository becomes an artifact.

    Secrets → remote → head → commit → verify → files → includes → artifact

Asking the remote for its head costs one request; files travel only when the head, or what is to be made of it, changed.
Objects that reach a repository with the same credentials share what was asked and fetched, and those that want the same
of it share the artifact's bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from shared.api.meta import Artifact, parse_duration
from shared.api.producers import has_new_artifact
from shared.api.source import GitRepository, GitRepositoryRef
from shared.artifact.revision import of_commit
from shared.auth import Clouds
from shared.git import remote
from shared.git.errors import GitError
from shared.git.mirrors import Mirrors
from shared.git.refs import Reference
from shared.loop.attempt import Attempt
from shared.loop.kinds import ConfigRef, Kind, Wake
from shared.loop.verdict import Ready
from source_controller import access, include, verify
from source_controller.publish import FAILURES, Publisher, owner_of, stored, workdir
from source_controller.twins import Twins


@dataclass(frozen=True)
class Git:
    """What all repositories share: the flags' options for connections, and what is kept between attempts."""

    options: remote.Options
    mirrors: Mirrors
    clouds: Clouds
    twins: Twins = field(default_factory=Twins)


def kind(publisher: Publisher, git: Git) -> Kind[GitRepository]:
    """The kind, on a store and on what repositories share."""

    async def reconcile(repository: GitRepository, attempt: Attempt[GitRepository]) -> Ready:
        spec, status = repository.spec, repository.status
        before = status.artifact
        await publisher.require_stored(repository, attempt)  # one that is gone is built again
        at = access.address(repository)  # URLInvalid stalls
        credentials = await access.find(repository, at, git.clouds, attempt)  # AuthenticationFailed
        included = await include.find(repository, attempt)  # IncludeUnavailable waits
        verify.forget(repository, attempt)

        shared = f"{at.url} {credentials.digest}"  # who reaches it alike
        seconds = parse_duration(spec.timeout)
        async with workdir(attempt) as work:  # DirectoryCreationFailed
            root = work / "files"
            with _explained(repository):  # GitOperationFailed
                async with (
                    git.mirrors.held(shared, repository.metadata.uid) as mirror,
                    remote.session(at, credentials, seconds=seconds, options=git.options) as session,
                ):
                    head = await session.resolve(reference(spec.ref), mirror=mirror, since=attempt.since)
                    revision = of_commit(head.name, head.commit)
                    reason = outdated(repository, revision, included)
                    if reason is None:
                        message = f"no changes since last reconciliation: observed revision '{revision}'"
                        attempt.unchanged("GitOperationSucceeded", message)
                        return _stored(repository, attempt, before, revision)
                    attempt.mark("ArtifactOutdated", True, *reason)
                    await attempt.progress(f"building artifact: {reason[1]}")
                    commit = await session.fetch(head, submodules=spec.recurse_submodules, mirror=mirror)
                    await verify.require_signed(repository, commit, attempt)  # SourceVerified=False
                    file = f"{commit.hash}.tar.gz"
                    async with git.twins.turn((shared, commit.hash, *wanted(repository, included))) as twin:
                        artifact = await publisher.twin(repository, file, commit.revision, twin.made)
                        if artifact is None:  # nobody made the same before
                            await checkout(repository, session, commit, root)
                            await include.copy(publisher.store, included, root)  # CopyFailure
                            artifact = await publisher.tree(
                                repository, root, file, commit.revision, ignored=spec.ignore
                            )  # ArchiveOperationFailed
                        twin.made = owner_of(repository), artifact
            status.artifact = artifact
        status.included_artifacts = [each.artifact for each in included]
        status.observed_include = spec.include
        status.observed_ignore = spec.ignore
        status.observed_recurse_submodules = spec.recurse_submodules
        status.observed_sparse_checkout = spec.sparse_checkout
        return _stored(repository, attempt, before, commit.title or commit.revision)

    async def finalize(repository: GitRepository, attempt: Attempt[GitRepository]) -> None:
        await publisher.remove(repository, attempt)
        await git.mirrors.forget(repository.metadata.uid)

    return Kind(
        type=GitRepository,
        reconcile=reconcile,
        finalize=finalize,
        abnormal=FAILURES,
        wakes=(Wake(type=GitRepository, refers=include.refers, when=has_new_artifact),),
        configs=configs,
    )


def _stored(repository: GitRepository, attempt: Attempt[GitRepository], before: Artifact | None, commit: str) -> Ready:
    revision = repository.status.artifact.revision if repository.status.artifact else ""
    message = f"stored artifact for revision '{revision}'"
    return stored(repository, attempt, before, message, f"stored artifact for commit '{commit}'")


def reference(wanted: GitRepositoryRef | None) -> Reference:
    """The spec's reference, empty where unset."""
    ref = wanted or GitRepositoryRef()
    return Reference(
        branch=ref.branch or "",
        tag=ref.tag or "",
        semver=ref.semver or "",
        name=ref.name or "",
        commit=ref.commit or "",
    )


def outdated(repository: GitRepository, revision: str, included: list[include.Included]) -> tuple[str, str] | None:
    """Why the artifact must be built anew, as reason and message; None when it is what the spec asks for."""
    spec, status = repository.spec, repository.status
    if status.artifact is not None and include.changed(repository, included):
        return "IncludeChange", "included artifacts differ from last observed includes"
    same = (
        status.artifact is not None
        and status.artifact.revision == revision
        and status.observed_ignore == spec.ignore
        and status.observed_recurse_submodules == spec.recurse_submodules
        and status.observed_sparse_checkout == spec.sparse_checkout
        and not verify.is_due(repository)
    )
    return None if same else ("NewRevision", f"new upstream revision '{revision}'")


async def checkout(repository: GitRepository, session: remote.Session, commit: remote.Commit, root: Path) -> None:
    """The files of the commit that the spec asks for."""
    spec = repository.spec
    await session.checkout(commit, root, sparse=spec.sparse_checkout, submodules=spec.recurse_submodules)


def wanted(repository: GitRepository, included: list[include.Included]) -> tuple[Hashable, ...]:
    """What is to be made of a commit: all that the artifact's bytes depend on besides."""
    spec = repository.spec
    others = tuple((each.artifact.digest, each.wanted.from_path, each.wanted.to_path, each.name) for each in included)
    return tuple(spec.sparse_checkout), spec.recurse_submodules, spec.ignore, others


def configs(repository: GitRepository) -> Iterable[ConfigRef]:
    """The Secrets that an object reads."""
    spec = repository.spec
    named = (spec.secret_ref, spec.proxy_secret_ref, spec.verify.secret_ref if spec.verify else None)
    return [ConfigRef("Secret", repository.metadata.namespace or "", each.name) for each in named if each is not None]


@contextlib.contextmanager
def _explained(repository: GitRepository) -> Iterator[None]:
    try:
        yield
    except GitError as error:
        raise access.failed(repository, error) from error
