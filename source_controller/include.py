"""Includes: files of other GitRepositories' artifacts, put into this one's.

    spec.include → artifacts → files below the checkout

An included artifact is taken from the store, so it is bytes that were published, never a moving checkout.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shared.api.meta import Artifact
from shared.api.source import GitRepository, GitRepositoryInclude
from shared.artifact.addresses import Owner
from shared.artifact.store import Store
from shared.artifact.tar import ArchiveError
from shared.artifact.unpack import unpack
from shared.loop.attempt import Attempt
from shared.loop.kinds import Ref
from shared.loop.verdict import Failed, Waiting
from source_controller.publish import STORAGE_FAILED

UNAVAILABLE = "IncludeUnavailable"


class PathError(ValueError):
    """A path of an include leads out of the artifact."""


@dataclass(frozen=True)
class Included:
    """One include and the artifact that it stands for now."""

    wanted: GitRepositoryInclude
    owner: Owner
    artifact: Artifact

    @property
    def name(self) -> str:
        return self.wanted.repository.name


def refers(repository: GitRepository) -> Iterable[Ref]:
    """The objects that are included."""
    return [Ref(repository.metadata.namespace or "", each.repository.name) for each in repository.spec.include]


async def find(repository: GitRepository, attempt: Attempt[GitRepository]) -> list[Included]:
    """The artifacts to include, in the spec's order. Waits, IncludeUnavailable, for one that isn't there."""
    found = []
    namespace = repository.metadata.namespace or ""
    for wanted in repository.spec.include:
        name = wanted.repository.name
        other = await attempt.read(GitRepository, namespace, name)
        if other is None:
            resource = GitRepository.resource
            message = (
                f"could not get resource for include '{name}': {resource.plural}.{resource.group} \"{name}\" not found"
            )
            raise Waiting("NotFound", message, condition=UNAVAILABLE)
        if other.status.artifact is None:
            raise Waiting("NoArtifact", f"no artifact available for include '{name}'", condition=UNAVAILABLE)
        found.append(Included(wanted, Owner("GitRepository", namespace, name), other.status.artifact))
    return found


def changed(repository: GitRepository, included: list[Included]) -> bool:
    """Do the includes differ from those in the current artifact?"""
    status = repository.status
    if status.observed_include != repository.spec.include or len(status.included_artifacts) != len(included):
        return True
    return any(
        (old.digest, old.revision) != (new.artifact.digest, new.artifact.revision)
        for old, new in zip(status.included_artifacts, included, strict=True)
    )


async def copy(store: Store, included: list[Included], root: Path) -> None:
    """Puts the files of the includes below `root`, later ones over earlier ones."""
    for each in included:
        source, target = each.wanted.from_path or "", each.wanted.to_path or each.name
        try:
            file = store.file(each.owner, each.artifact)
            if file is None:
                raise OSError(f"its artifact '{each.artifact.path}' is not in storage")
            await store.run(_place, file, source, root, target)
        except PathError as error:
            message = f"path calculation for include '{each.name}' failed: {error}"
            raise Failed("IllegalPath", message, condition=STORAGE_FAILED) from error
        except (OSError, ArchiveError) as error:
            message = (
                f"failed to copy '{each.name}' include from {source or '/'} to {target}: "
                f"{getattr(error, 'strerror', None) or error}"
            )
            raise Failed("CopyFailure", message, condition=STORAGE_FAILED) from error


def _place(archive: Path, source: str, root: Path, target: str) -> None:
    with tempfile.TemporaryDirectory(prefix="include-", dir=root.parent) as folder:
        with archive.open("rb") as opened:
            unpack(opened, Path(folder))
        origin = Path(folder, *_parts(source))
        if not origin.is_dir():
            raise OSError(f"there is no directory '{source}' in the artifact")
        _copy_tree(origin, _made(root, _parts(target)))


def _copy_tree(origin: Path, target: Path) -> None:
    for folder, _, names in os.walk(origin):
        below = Path(folder).relative_to(origin).parts
        into = _made(target, below)
        for name in names:
            place = into / name
            if place.is_symlink():
                place.unlink()
            shutil.copy2(Path(folder, name), place)


def _parts(path: str) -> tuple[str, ...]:
    parts = tuple(part for part in PurePosixPath("/", path).parts[1:] if part != ".")
    if ".." in parts or "\0" in path:
        raise PathError(f"'{path}' leads out of the artifact")
    return parts


def _made(root: Path, parts: tuple[str, ...]) -> Path:
    """The directory below `root`, made where it is missing; a link on the way could lead anywhere."""
    path = root
    for part in parts:
        path /= part
        if path.is_symlink():
            raise PathError(f"'{path.relative_to(root)}' is a symbolic link in the repository")
        path.mkdir(exist_ok=True)
    return path
