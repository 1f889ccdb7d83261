"""Verification: is a commit, tag or image signed as spec.verify asks for?

    commit, tag + public keys, image + whom to trust → SourceVerified

What is signed is taken from the very objects that were checked out. Each attempt has a keyring of its own that holds
the Secret's keys and nothing else, so a key that was removed from the Secret counts no more.
"""

from __future__ import annotations

from shared.api.source import GitRepository, HelmChart, OCIRepository
from shared.artifact.revision import Revision, of_commit
from shared.git.remote import Commit, Tag
from shared.kube.errors import NotFound
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed, NotReady, Stalled
from shared.oci.errors import OCIError
from shared.oci.registry import Registry
from source_controller.charts.errors import VerificationFailed
from source_controller.signatures import git as signatures
from source_controller.signatures import images
from source_controller.signatures.errors import SignatureError

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
    return repository.status.source_verification_mode != wanted or not is_verified(repository)


def is_verified(source: GitRepository | HelmChart | OCIRepository) -> bool:
    """Was what the artifact is of verified as the spec now asks for?"""
    known = next((each for each in source.status.conditions if each.type == VERIFIED), None)
    return known is not None and known.status == "True" and known.observed_generation == source.metadata.generation


def forget(repository: GitRepository, attempt: Attempt[GitRepository]) -> None:
    """Without spec.verify nothing is said of signatures."""
    if repository.spec.verify is None:
        repository.status.source_verification_mode = None
        attempt.mark(VERIFIED, None)


async def require_signed(repository: GitRepository, commit: Commit, attempt: Attempt[GitRepository]) -> None:
    """Raises, with SourceVerified=False, unless all that the mode asks for is signed by a trusted key."""
    wanted = repository.spec.verify
    if wanted is None:
        return
    try:
        found = await _verified(repository, commit, wanted.secret_ref.name, attempt)
    except NotReady as error:
        attempt.mark(VERIFIED, False, error.reason, error.message)
        raise
    message = "verified signature of" + "".join(f"\n\t- {what}" for what in found)
    repository.status.source_verification_mode = mode(repository)
    attempt.mark(VERIFIED, True, "Succeeded", message)
    attempt.event("Succeeded", message, "trace")


async def require_signed_image(
    source: OCIRepository, using: images.Signatures, remote: Registry, revision: str, attempt: Attempt[OCIRepository]
) -> None:
    """Raises, with SourceVerified=False, unless the image is signed as spec.verify asks for.

    What the artifact is of isn't verified again before the spec changes. An image that the trust policy lets pass
    unproven has no such condition.
    """
    wanted, artifact = source.spec.verify, source.status.artifact
    if wanted is None:
        attempt.mark(VERIFIED, None)
        return
    if artifact is not None and artifact.revision == revision and is_verified(source):
        return
    try:
        proof = await using.proof(wanted, attempt)
        is_proven = await proof.require_signed(remote, Revision.parse(revision).digest)
    except (SignatureError, OCIError) as error:
        message = images.failed(wanted, error)
        attempt.mark(VERIFIED, False, "VerificationError", message)
        raise Failed("VerificationError", message) from error
    if is_proven:
        attempt.mark(VERIFIED, True, "Succeeded", f"verified signature of revision {revision}")
    else:
        attempt.mark(VERIFIED, None)


async def chart_proof(
    chart: HelmChart, using: images.Signatures, is_registry: bool, attempt: Attempt[HelmChart]
) -> images.Proof | None:
    """What spec.verify asks for; None when nothing. Raises, with SourceVerified=False, when that can't be had."""
    wanted = chart.spec.verify
    if wanted is None:
        attempt.mark(VERIFIED, None)
        return None
    try:
        if not is_registry:
            raise SignatureError("only charts of a registry have signatures: the HelmRepository must be of type oci")
        return await using.proof(wanted, attempt)
    except SignatureError as error:
        message = images.failed(wanted, error)
        attempt.mark(VERIFIED, False, "VerificationError", message)
        raise Failed("VerificationError", message) from error


async def require_signed_chart(
    proof: images.Proof, remote: Registry, digest: str, version: str, attempt: Attempt[HelmChart]
) -> None:
    """Raises VerificationFailed, with SourceVerified=False, unless the image of a chart's version is signed."""
    try:
        is_proven = await proof.require_signed(remote, digest)
    except (SignatureError, OCIError) as error:
        failure = VerificationFailed(f"failed to verify oci://{remote.at.at(digest)}: {error}")
        attempt.mark(VERIFIED, False, failure.reason, f"{failure.phrase}: {failure}")
        raise failure from error
    if is_proven:
        attempt.mark(VERIFIED, True, "Succeeded", f"verified signature of version {version}")
    else:
        attempt.mark(VERIFIED, None)


async def _verified(
    repository: GitRepository, commit: Commit, secret: str, attempt: Attempt[GitRepository]
) -> list[str]:
    """What was verified, with the key that signed it."""
    wanted = mode(repository)
    try:
        keys = signatures.keys((await attempt.secret(secret)).values())
    except (NotFound, SignatureError) as error:
        name = f"{repository.metadata.namespace}/{secret}"
        raise Failed("VerificationError", f"public keys secret error: secret '{name}': {error}") from error
    found = []
    if wanted != "HEAD":
        if not _names_a_tag(repository):
            raise Stalled(
                "InvalidVerificationMode",
                "cannot verify tag object's signature if a tag reference is not specified",
            )
        found.append(await _tag(commit, keys))
    if wanted != "Tag":
        try:
            key = await signatures.verify(*signatures.of_commit(commit.raw), keys)
        except SignatureError as error:
            message = f"signature verification of commit '{commit.hash}' failed: {error}"
            raise Failed("InvalidCommitSignature", message) from error
        found.append(f"commit '{commit.hash}' with key '{key}'")
    return found


async def _tag(commit: Commit, keys: signatures.Keys) -> str:
    tag = commit.tag
    if tag is None or not signatures.is_signed(tag.raw):
        name = tag.name if tag else commit.name
        raise Failed("InvalidGitObject", f"cannot verify signature of tag '{name}' since it is not signed")
    shown = of_commit(tag.name, tag.hash)
    try:
        _require_same_name(tag)
        key = await signatures.verify(*signatures.of_tag(tag.raw), keys)
    except SignatureError as error:
        raise Failed("InvalidTagSignature", f"signature verification of tag '{shown}' failed: {error}") from error
    return f"tag '{shown}' with key '{key}'"


def _require_same_name(tag: Tag) -> None:
    """A signed tag object says which tag it is; under another name it would pass an old release off as a new one."""
    headers = tag.raw.partition(b"\n\n")[0].split(b"\n")
    said = next((line[4:].decode(errors="replace") for line in headers if line.startswith(b"tag ")), "")
    if said != tag.name:
        raise SignatureError(f"what was signed is the tag '{said}'")


def _names_a_tag(repository: GitRepository) -> bool:
    ref = repository.spec.ref
    if ref is None or ref.commit:
        return False
    if ref.name:
        return ref.name.startswith("refs/tags/")
    return bool(ref.tag or ref.semver)
