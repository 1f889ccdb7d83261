"""Verification: is a commit or tag signed by a key of the Secret?

commit, tag + public keys → SourceVerified
"""

from __future__ import annotations

from shared.api.source import GitRepository
from shared.git.remote import Commit
from shared.loop.attempt import Attempt

VERIFIED = "SourceVerified"


def mode(repository: GitRepository) -> str | None:
    """What must be signed; None when nothing."""
    wanted = repository.spec.verify
    return None if wanted is None else ("HEAD" if wanted.mode == "head" else wanted.mode)


def is_due(repository: GitRepository) -> bool:
    """Must what the artifact is of be verified (again)? After every change of the spec."""
    wanted = mode(repository)
    if wanted is None:
        return False
    known = next((each for each in repository.status.conditions if each.type == VERIFIED), None)
    return (
        repository.status.source_verification_mode != wanted
        or known is None
        or known.status != "True"
        or known.observed_generation != repository.metadata.generation
    )


def forget(repository: GitRepository, attempt: Attempt[GitRepository]) -> None:
    """Without spec.verify nothing is said of signatures."""
    if repository.spec.verify is None:
        repository.status.source_verification_mode = None
        attempt.mark(VERIFIED, None)


async def require_signed(repository: GitRepository, commit: Commit, attempt: Attempt[GitRepository]) -> None:
    """Sets SourceVerified; raises when a signature is missing or not by a trusted key."""
