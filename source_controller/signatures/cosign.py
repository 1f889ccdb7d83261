"""Cosign: find the signatures of an image, and require that one of them is trusted and is of this very image.

    digest → tag sha256-<hex>.sig, or Sigstore bundles that refer to it → payload → is it trusted, and of this digest?

Whom to trust is another module's: keys.py or keyless.py. A signature counts only for the digest that is in the payload
that was signed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from shared.oci.errors import NotFound, OCIError
from shared.oci.registry import Descriptor, Registry
from source_controller.signatures import parse
from source_controller.signatures.errors import SignatureError

SIGNATURE = "dev.cosignproject.cosign/signature"
STATEMENT = "application/vnd.in-toto+json"
_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_BUNDLE = "application/vnd.dev.sigstore.bundle"
MAX_SIGNATURES = 100
_MAX_SIZE = 1 << 20


class Trust(Protocol):
    """Whom to believe. Both block, and raise SignatureError when nobody who is trusted signed."""

    def require_signed(self, payload: bytes, annotations: Mapping[str, str]) -> None:
        """A payload with its signature in the annotations that cosign gives its layer."""

    def statement(self, bundle: bytes) -> bytes:
        """The in-toto statement in a Sigstore bundle."""


class Cosign:
    """The proof that cosign's signatures are."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    async def require_signed(self, remote: Registry, digest: str) -> bool:
        """True when a trusted signature of the digest is there; else raises SignatureError, or an OCIError."""
        seen, why = 0, ""
        async for problem in _checked(remote, digest, self._trust):
            if problem is None:
                return True
            seen, why = seen + 1, problem
        if seen:
            raise SignatureError(f"no matching signatures: none of {seen} is of this digest by who is trusted ({why})")
        raise SignatureError(f"no signatures found for '{remote.at.at(digest)}'")


async def _checked(remote: Registry, digest: str, trust: Trust) -> AsyncIterator[str | None]:
    """For each signature that is there: what is wrong with it, None for a good one."""
    for layer in (await _attached(remote, digest))[:MAX_SIGNATURES]:
        try:
            payload = await fetch(remote, layer)
            await asyncio.to_thread(trust.require_signed, payload, layer.annotations)
            require_payload_of(payload, digest)
        except (SignatureError, OCIError) as error:
            yield str(error)
        else:
            yield None
    listed = [each for each in await remote.referrers(digest) if each.artifact_type.startswith(_BUNDLE)]
    for reference in listed[:MAX_SIGNATURES]:
        try:
            require_statement_of(await asyncio.to_thread(trust.statement, await _bundle(remote, reference)), digest)
        except (SignatureError, OCIError) as error:
            yield str(error)
        else:
            yield None


async def _attached(remote: Registry, digest: str) -> list[Descriptor]:
    """The signatures under the tag that is named after the digest."""
    try:
        manifest = await remote.manifest(digest.replace(":", "-", 1) + ".sig")
    except NotFound:
        return []
    return [layer for layer in manifest.layers if layer.media_type == _PAYLOAD]


async def _bundle(remote: Registry, reference: Descriptor) -> bytes:
    manifest = await remote.manifest(reference.digest)
    for layer in manifest.layers:
        if layer.media_type.startswith(_BUNDLE):
            return await fetch(remote, layer)
    raise SignatureError(f"'{reference.digest}' holds no Sigstore bundle")


async def fetch(remote: Registry, layer: Descriptor) -> bytes:
    """The bytes of a signature; SignatureError for one that is too large to be one."""
    if layer.size > _MAX_SIZE:
        raise SignatureError(f"the signature {layer.digest} is larger than {_MAX_SIZE} bytes")
    return await remote.content(layer)


def require_payload_of(payload: bytes, digest: str) -> None:
    """SignatureError unless what was signed names the digest."""
    image = parse.member(parse.member(parse.json_object(payload), "critical"), "image")
    if image.get("docker-manifest-digest") != digest:
        raise SignatureError("what was signed is another image")


def require_statement_of(statement: bytes, digest: str) -> None:
    """SignatureError unless one of the statement's subjects is the digest."""
    algorithm, _, value = digest.partition(":")
    subjects = parse.json_object(statement).get("subject")
    listed = subjects if isinstance(subjects, list) else []
    if not any(parse.member(each, "digest").get(algorithm) == value for each in listed):
        raise SignatureError("what was signed is another image")
