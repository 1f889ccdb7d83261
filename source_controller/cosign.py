"""Cosign: is an image signed by one of the public keys of a Secret?

    digest → tag sha256-<hex>.sig, or Sigstore bundles that refer to it → payload, signature → verified or not

A signature counts only for the digest that is in the payload that was signed. Keys say all: no transparency log is
asked.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from shared.oci.errors import NotFound
from shared.oci.registry import Registry

_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_SIGNATURE = "dev.cosignproject.cosign/signature"
_BUNDLE = "application/vnd.dev.sigstore.bundle"
_STATEMENT = "application/vnd.in-toto+json"
_MAX_SIGNATURES = 100
_MAX_PAYLOAD = 1 << 20
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class SignatureError(Exception):
    """There is no signature by a trusted key, or no key."""


def keys(data: Mapping[str, bytes]) -> list[PublicKey]:
    """The public keys of a Secret, its entries that end in .pub. SignatureError when there is none."""
    found: list[PublicKey] = []
    for name, value in sorted(data.items()):
        if not name.endswith(".pub"):
            continue
        try:
            key = serialization.load_pem_public_key(value)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise SignatureError(f"the key '{name}' holds no PEM public key") from error
        if not isinstance(key, PublicKey):
            raise SignatureError(f"the key '{name}' is neither ECDSA, Ed25519 nor RSA")
        found.append(key)
    if not found:
        raise SignatureError("it has no key that ends in '.pub'")
    return found


async def require_signed(remote: Registry, digest: str, trusted: Sequence[PublicKey]) -> None:
    """Returns when a signature of the digest by a trusted key is there; else raises SignatureError, or an OCIError."""
    there = 0
    async for is_good in _checked(remote, digest, trusted):
        if is_good:
            return
        there += 1
    if there:
        raise SignatureError(f"no matching signatures: none of {there} is of this digest by a key that is trusted")
    raise SignatureError(f"no signatures found for '{remote.at.at(digest)}'")


async def _checked(remote: Registry, digest: str, trusted: Sequence[PublicKey]) -> AsyncIterator[bool]:
    """For each signature that is there: is it good?"""
    try:
        manifest = await remote.manifest(digest.replace(":", "-", 1) + ".sig")
        layers = [layer for layer in manifest.layers if layer.media_type == _PAYLOAD][:_MAX_SIGNATURES]
    except NotFound:
        layers = []
    for layer in layers:
        if layer.size > _MAX_PAYLOAD:
            continue
        out = io.BytesIO()
        await remote.blob(layer, out)
        yield is_signed(out.getvalue(), _decoded(layer.annotations.get(_SIGNATURE, "")), digest, trusted)
    for reference in (await remote.referrers(digest))[:_MAX_SIGNATURES]:
        if not reference.artifact_type.startswith(_BUNDLE):
            continue
        manifest = await remote.manifest(reference.digest)
        for layer in manifest.layers:
            if layer.media_type.startswith(_BUNDLE) and layer.size <= _MAX_PAYLOAD:
                out = io.BytesIO()
                await remote.blob(layer, out)
                yield is_bundle_signed(out.getvalue(), digest, trusted)


def is_signed(payload: bytes, signature: bytes, digest: str, trusted: Sequence[PublicKey]) -> bool:
    """Is this a simple signing payload of the digest, signed by a trusted key?"""
    if not any(_verifies(key, signature, payload) for key in trusted):
        return False
    critical = _map(_parsed(payload).get("critical"))
    return _map(critical.get("image")).get("docker-manifest-digest") == digest


def is_bundle_signed(bundle: bytes, digest: str, trusted: Sequence[PublicKey]) -> bool:
    """Is this a Sigstore bundle whose statement has the digest as a subject, signed by a trusted key?"""
    envelope = _map(_parsed(bundle).get("dsseEnvelope"))
    kind, payload = str(envelope.get("payloadType") or ""), _decoded(str(envelope.get("payload") or ""))
    signed = b"DSSEv1 %d %s %d %s" % (len(kind.encode()), kind.encode(), len(payload), payload)
    listed = envelope.get("signatures")
    signatures = (
        [_decoded(str(_map(each).get("sig") or "")) for each in listed or ()] if isinstance(listed, list) else []
    )
    if kind != _STATEMENT or not any(_verifies(key, each, signed) for each in signatures for key in trusted):
        return False
    algorithm, _, value = digest.partition(":")
    subjects = _parsed(payload).get("subject")
    return isinstance(subjects, list) and any(
        _map(_map(subject).get("digest")).get(algorithm) == value for subject in subjects
    )


def _verifies(key: PublicKey, signature: bytes, data: bytes) -> bool:
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                strength = hashes.SHA256() if key.curve.key_size <= 256 else hashes.SHA384()
                key.verify(signature, data, ec.ECDSA(hashes.SHA512() if key.curve.key_size > 384 else strength))
            case ed25519.Ed25519PublicKey():
                key.verify(signature, data)
            case rsa.RSAPublicKey():
                key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _parsed(data: bytes) -> Mapping[str, Any]:
    try:
        return _map(json.loads(data))
    except (ValueError, RecursionError):
        return {}


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""
