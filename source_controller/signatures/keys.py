"""Public keys: trust what one of the keys of a Secret signed.

Keys say all: no transparency log and no clock is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from source_controller.signatures import cosign, parse
from source_controller.signatures.errors import SignatureError

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
_NOT_OURS = "it is signed by another key"


class Keys:
    """The public keys of a Secret, its entries that end in .pub. SignatureError when there is none."""

    def __init__(self, data: Mapping[str, bytes]) -> None:
        self._keys: Sequence[PublicKey] = [
            _key(name, value) for name, value in sorted(data.items()) if name.endswith(".pub")
        ]
        if not self._keys:
            raise SignatureError("it has no key that ends in '.pub'")

    def require_signed(self, payload: bytes, annotations: Mapping[str, str]) -> None:
        self._require(parse.base64_bytes(annotations.get(cosign.SIGNATURE)), payload)

    def statement(self, bundle: bytes) -> bytes:
        envelope = parse.member(parse.json_object(bundle), "dsseEnvelope")
        kind, payload = envelope.get("payloadType"), parse.base64_bytes(envelope.get("payload"))
        signatures = envelope.get("signatures")
        if kind != cosign.STATEMENT or not isinstance(signatures, list) or len(signatures) != 1:
            raise SignatureError("the bundle holds no statement with one signature")
        signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
        self._require(parse.base64_bytes(parse.member({"one": signatures[0]}, "one").get("sig")), signed)
        return payload

    def _require(self, signature: bytes, data: bytes) -> None:
        if not any(_verifies(key, signature, data) for key in self._keys):
            raise SignatureError(_NOT_OURS)


def _key(name: str, value: bytes) -> PublicKey:
    try:
        key = serialization.load_pem_public_key(value)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"the key '{name}' holds no PEM public key") from error
    if not isinstance(key, PublicKey):
        raise SignatureError(f"the key '{name}' is neither ECDSA, Ed25519 nor RSA")
    return key


def _verifies(key: PublicKey, signature: bytes, data: bytes) -> bool:
    try:
        match key:
            case ec.EllipticCurvePublicKey():
                return any(_ecdsa(key, signature, data, strength) for strength in _strengths(key.curve.key_size))
            case ed25519.Ed25519PublicKey():
                key.verify(signature, data)
            case rsa.RSAPublicKey():
                key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def _strengths(bits: int) -> list[hashes.HashAlgorithm]:
    """Older ones of cosign sign with SHA-256 whatever the curve, newer ones with the hash of the curve's size."""
    if bits <= 256:
        return [hashes.SHA256()]
    return [hashes.SHA384() if bits <= 384 else hashes.SHA512(), hashes.SHA256()]


def _ecdsa(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes, strength: hashes.HashAlgorithm) -> bool:
    try:
        key.verify(signature, data, ec.ECDSA(strength))
    except InvalidSignature:
        return False
    return True
