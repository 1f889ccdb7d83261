"""Notation's envelopes: what was signed, by whom, when; in JWS or COSE. Pure.

    bytes → Envelope, whose signature is by its first certificate and whose certificates each sign the one before

Whether the last certificate is trusted is not asked here. Only here: cbor2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from source_controller.signatures import parse
from source_controller.signatures.errors import SignatureError

JWS, COSE = "application/jose+json", "application/cose"
X509, SIGNING_AUTHORITY = "notary.x509", "notary.x509.signingAuthority"
PAYLOAD = "application/vnd.cncf.notary.payload.v1+json"
_NOTARY = "io.cncf.notary."
_SCHEME, _EXPIRY = _NOTARY + "signingScheme", _NOTARY + "expiry"
_TIMES = {X509: _NOTARY + "signingTime", SIGNING_AUTHORITY: _NOTARY + "authenticSigningTime"}
_TIMESTAMP = _NOTARY + "timestampSignature"
_ALGORITHM, _CRITICAL, _CONTENT, _CHAIN = 1, 2, 3, 33
_COSE_NAMES = {-37: "PS256", -38: "PS384", -39: "PS512", -7: "ES256", -35: "ES384", -36: "ES512"}
_COSE_SIGN1 = 18
_MAX_CHAIN = 10
_HASHES: Mapping[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_SIZES = {2048: "PS256", 3072: "PS384", 4096: "PS512"}
_CURVES = {256: "ES256", 384: "ES384", 521: "ES512"}
_OTHER_PURPOSES = (
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ExtendedKeyUsageOID.TIME_STAMPING,
    ExtendedKeyUsageOID.OCSP_SIGNING,
)


@dataclass(frozen=True)
class Envelope:
    """What an envelope says, and has signed."""

    payload: bytes
    scheme: str
    signed: datetime
    expires: datetime | None
    chain: Sequence[x509.Certificate]
    """The signer's certificate, then that of who issued it, and so on."""
    signature: bytes
    timestamp: bytes
    """An RFC 3161 token over the signature; empty without one."""


def read(media_type: str, data: bytes) -> Envelope:
    """The envelope. SignatureError when it is none, or isn't signed by its own certificates."""
    if media_type == JWS:
        return _jws(data)
    if media_type == COSE:
        return _cose(data)
    raise SignatureError(f"the signature is of the unknown type '{media_type[:100]}'")


def _jws(data: bytes) -> Envelope:
    whole = parse.json_object(data)
    header = parse.member(whole, "header")
    protected = parse.json_object(parse.base64_bytes(whole.get("protected"), url=True))
    payload = parse.base64_bytes(whole.get("payload"), url=True)
    signature = parse.base64_bytes(whole.get("signature"), url=True)
    chain = _certificates([parse.base64_bytes(each) for each in _list(header.get("x5c"))])
    signed = f"{whole['protected']}.{whole['payload']}".encode()
    stamp = header.get(_TIMESTAMP)
    return _checked(
        {"alg": protected.get("alg"), "cty": protected.get("cty"), "crit": protected.get("crit")},
        {key: value for key, value in protected.items() if key not in ("alg", "cty", "crit")},
        chain,
        payload,
        signature,
        signed,
        parse.base64_bytes(stamp) if stamp else b"",
        _rfc3339,
    )


def _cose(data: bytes) -> Envelope:
    try:
        message = cbor2.loads(data)
        if message.tag != _COSE_SIGN1:
            raise ValueError("another tag")
        protected_bytes, header, payload, signature = message.value
        protected = cbor2.loads(protected_bytes)
        stamp, listed = header.get(_TIMESTAMP) or b"", header.get(_CHAIN)
        own = {
            "alg": _COSE_NAMES.get(protected.get(_ALGORITHM)),
            "cty": protected.get(_CONTENT),
            "crit": protected.get(_CRITICAL),
        }
        rest = {key: value for key, value in protected.items() if key not in (_ALGORITHM, _CRITICAL, _CONTENT)}
    except Exception as error:  # what hostile bytes make it raise isn't documented
        raise SignatureError("the signature is no COSE envelope") from error
    if not all(isinstance(each, bytes) for each in (payload, signature, stamp)):
        raise SignatureError("the signature is no COSE envelope")
    signed = cbor2.dumps(["Signature1", protected_bytes, b"", payload])
    return _checked(own, rest, _certificates(_list(listed)), payload, signature, signed, stamp, _datetime)


def _checked(
    own: Mapping[str, Any],
    attributes: Mapping[Any, Any],
    chain: Sequence[x509.Certificate],
    payload: bytes,
    signature: bytes,
    signed: bytes,
    timestamp: bytes,
    time: Callable[[Any], datetime],
) -> Envelope:
    """What holds for both forms: `own` are the form's headers, `attributes` the others that were signed."""
    if own["cty"] != PAYLOAD:
        raise SignatureError("what was signed is not of Notation's kind")
    scheme = attributes.get(_SCHEME)
    if not isinstance(scheme, str) or scheme not in _TIMES:
        raise SignatureError("its signing scheme is unknown")
    expires = time(attributes[_EXPIRY]) if attributes.get(_EXPIRY) is not None else None
    when = time(attributes.get(_TIMES[scheme]))
    _require_critical(scheme, attributes, _list(own["crit"]), expires is not None)
    if expires is not None and expires <= when:
        raise SignatureError("it expires before it is signed")
    _require_chain(chain)
    _require_signature(chain[0], str(own["alg"]), signature, signed)
    return Envelope(payload, scheme, when, expires, chain, signature, timestamp)


def _require_critical(scheme: str, attributes: Mapping[Any, Any], critical: Sequence[Any], has_expiry: bool) -> None:
    """Critical attributes must be understood, and those that matter be critical, lest an older reader miss them."""
    understood = {_SCHEME}
    if scheme == SIGNING_AUTHORITY:
        understood.add(_TIMES[scheme])
    if has_expiry:
        understood.add(_EXPIRY)
    if missing := understood.difference(each for each in critical if isinstance(each, str)):
        raise SignatureError(f"its headers must be critical and aren't: {', '.join(sorted(missing))}")
    others = [str(each)[:100] for each in critical if each not in understood]
    if others:
        raise SignatureError(f"its critical headers are not understood: {', '.join(others[:5])}")


def _require_chain(chain: Sequence[x509.Certificate]) -> None:
    """Does each certificate sign the one before, and may it?"""
    try:
        for index, certificate in enumerate(chain):
            issuer = chain[min(index + 1, len(chain) - 1)]
            certificate.verify_directly_issued_by(issuer)
            if index:
                _require_authority(certificate, index - 1)
        _require_code_signing(chain[0])
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError) as error:
        raise SignatureError("its certificates don't each sign the one before, up to one that signs itself") from error
    except x509.ExtensionNotFound as error:
        raise SignatureError(f"one of its certificates lacks an extension: {error}") from error


def _require_authority(certificate: x509.Certificate, below: int) -> None:
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    deep = constraints.path_length is not None and constraints.path_length < below
    if not constraints.ca or deep or not usage.key_cert_sign:
        raise SignatureError(f"its certificate '{shown(certificate)}' is not that of an authority")


def _require_code_signing(certificate: x509.Certificate) -> None:
    extensions = certificate.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    use = usage.value
    others = use.key_encipherment or use.data_encipherment or use.key_agreement or use.key_cert_sign or use.crl_sign
    purposes: Sequence[x509.ObjectIdentifier] = ()
    authority = False
    for each in extensions:
        if isinstance(each.value, x509.ExtendedKeyUsage):
            purposes = list(each.value)
        elif isinstance(each.value, x509.BasicConstraints):
            authority = each.value.ca
    if (
        authority
        or not usage.critical
        or not use.digital_signature
        or others
        or any(purpose in _OTHER_PURPOSES for purpose in purposes)
    ):
        raise SignatureError(f"its certificate '{shown(certificate)}' is not for signing code")


def _require_signature(certificate: x509.Certificate, algorithm: str, signature: bytes, signed: bytes) -> None:
    """The algorithm is the key's, whatever the envelope says."""
    key = certificate.public_key()
    try:
        if isinstance(key, rsa.RSAPublicKey) and _SIZES.get(key.key_size) == algorithm:
            strength = _HASHES[algorithm[2:]]
            pss = padding.PSS(padding.MGF1(strength), padding.PSS.DIGEST_LENGTH)
            key.verify(signature, signed, pss, strength)
            return
        if isinstance(key, ec.EllipticCurvePublicKey) and _CURVES.get(key.curve.key_size) == algorithm:
            half = (key.curve.key_size + 7) // 8
            if len(signature) == 2 * half:
                r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
                key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(_HASHES[algorithm[2:]]))
                return
    except InvalidSignature as error:
        raise SignatureError("what it says is not what was signed") from error
    raise SignatureError("its algorithm doesn't fit its certificate's key")


def shown(certificate: x509.Certificate) -> str:
    """The subject, for people."""
    return certificate.subject.rfc4514_string()[:300]


def _certificates(listed: Sequence[Any]) -> list[x509.Certificate]:
    if not 0 < len(listed) <= _MAX_CHAIN:
        raise SignatureError(f"it has no certificates, or more than {_MAX_CHAIN}")
    try:
        return [x509.load_der_x509_certificate(each) for each in listed]
    except (ValueError, TypeError) as error:
        raise SignatureError("one of its certificates can't be read") from error


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def _rfc3339(value: Any) -> datetime:
    try:
        return _datetime(datetime.fromisoformat(value))
    except (TypeError, ValueError) as error:
        raise SignatureError("it has no signing time, or an odd one") from error


def _datetime(value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise SignatureError("it has no signing time, or an odd one")
    return value.astimezone(UTC)
