"""Keyless signatures: trust whom an identity provider vouched for, as a Sigstore instance recorded it.

    trusted root + identities → Keyless → certificate, log entry, time, signature → trusted or not

Nobody is asked: the signature brings its certificate and the log's promise or proof, and the trusted root has the
certificate authorities and the logs' keys. Bundles are sigstore's matter; the older form, a payload with annotations,
it doesn't know, so what holds a bundle together is checked here with its parts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from sigstore._internal.sct import verify_sct
from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult
from sigstore._internal.trust import KeyringPurpose
from sigstore._utils import KeyID
from sigstore.errors import Error as SigstoreError
from sigstore.errors import VerificationError
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier

from shared.text import regex
from source_controller.signatures import cosign, parse
from source_controller.signatures.errors import SignatureError

_CERTIFICATE = "dev.sigstore.cosign/certificate"
_LOG_ENTRY = "dev.sigstore.cosign/bundle"
_ISSUER, _ISSUER_1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8"), x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_USER_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
_UTF8_STRING = 0x0C


@dataclass(frozen=True)
class Identity:
    """Who must have signed: both patterns have to match somewhere."""

    issuer: regex.Pattern
    subject: regex.Pattern


class Identities:
    """Sigstore's policy: one of the identities. Without any, whoever the certificate authority knows."""

    def __init__(self, accepted: Sequence[Identity]) -> None:
        self._accepted = accepted

    def verify(self, cert: x509.Certificate) -> None:
        if not self._accepted:
            return
        issuer, subjects = issuer_of(cert), subjects_of(cert)
        for one in self._accepted:
            if one.issuer.search(issuer) and any(one.subject.search(each) for each in subjects):
                return
        who = ", ".join(subjects)[:300]
        raise VerificationError(f"the signer '{who}' of '{issuer[:300]}' is none of spec.verify.matchOIDCIdentity")


class Keyless:
    """What a trusted root's instance recorded of an accepted identity."""

    def __init__(self, root: TrustedRoot, accepted: Sequence[Identity]) -> None:
        self._root, self._identities = root, Identities(accepted)
        try:
            self._verifier = Verifier(trusted_root=root)
            self._logs = root.rekor_keyring(KeyringPurpose.VERIFY)
            self._certificate_logs = root.ct_keyring(KeyringPurpose.VERIFY)
        except (SigstoreError, ValueError) as error:
            raise SignatureError(f"the trusted root can't be used: {error}") from error

    def statement(self, bundle: bytes) -> bytes:
        try:
            kind, payload = self._verifier.verify_dsse(Bundle.from_json(bundle), self._identities)
        except SigstoreError as error:
            raise SignatureError(str(error)) from error
        except Exception as error:  # what hostile bytes make it raise isn't documented
            raise SignatureError(f"the bundle can't be read: {type(error).__name__}") from error
        if kind != cosign.STATEMENT:
            raise SignatureError("the bundle holds no in-toto statement")
        return payload

    def require_signed(self, payload: bytes, annotations: Mapping[str, str]) -> None:
        signature = parse.base64_bytes(annotations.get(cosign.SIGNATURE))
        if _CERTIFICATE not in annotations or _LOG_ENTRY not in annotations:
            raise SignatureError("it has no certificate with an entry of the transparency log")
        try:
            certificate = x509.load_pem_x509_certificate(annotations[_CERTIFICATE].encode())
            entry = parse.json_object(annotations[_LOG_ENTRY])
            when = self._recorded(entry, certificate, signature, payload)
            self._require_certificate(certificate, when)
            _require_signature(certificate, signature, payload)
        except SigstoreError as error:
            raise SignatureError(str(error)) from error
        except (ValueError, OverflowError, OSError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
            raise SignatureError(f"the certificate or the log entry can't be read: {error}") from error

    def _recorded(
        self, entry: Mapping[str, Any], certificate: x509.Certificate, signature: bytes, payload: bytes
    ) -> datetime:
        """When the log says that it recorded this signature by this certificate of this payload."""
        said = parse.member(entry, "Payload")
        body, at, index, log = (said.get(key) for key in ("body", "integratedTime", "logIndex", "logID"))
        if not (isinstance(body, str) and type(at) is int and type(index) is int and isinstance(log, str)):
            raise SignatureError("the log entry lacks what a log entry has")
        promised = json.dumps(
            {"body": body, "integratedTime": at, "logID": log, "logIndex": index}, separators=(",", ":")
        )
        promise = parse.base64_bytes(entry.get("SignedEntryTimestamp"))
        self._logs.verify(key_id=KeyID(bytes.fromhex(log)), signature=promise, data=promised.encode())
        _require_entry_of(parse.json_object(parse.base64_bytes(body)), certificate, signature, payload)
        return datetime.fromtimestamp(at, tz=UTC)

    def _require_certificate(self, certificate: x509.Certificate, when: datetime) -> None:
        """Was it valid then, made by the root's authorities for signing code, logged, and for an accepted identity?"""
        recorded = TimestampVerificationResult(TimestampSource.TRANSPARENCY_SERVICE, when)
        chain = self._verifier._verify_chain_at_time(certificate, recorded)
        verify_sct(certificate, chain, self._certificate_logs)
        extensions = certificate.extensions
        uses = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if (
            ExtendedKeyUsageOID.CODE_SIGNING not in uses
            or not extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
        ):
            raise SignatureError("its certificate is not for signing code")
        self._identities.verify(certificate)


def trusted_root(data: bytes) -> TrustedRoot:
    """The parsed trusted_root.json. SignatureError when it is none."""
    from sigstore_models.trustroot import v1

    try:
        return TrustedRoot(v1.TrustedRoot.from_json(data))
    except (SigstoreError, ValueError, RecursionError) as error:
        first = str(error).partition("\n")[0]
        raise SignatureError(f"it is no Sigstore trusted root: {first[:200]}") from error


def issuer_of(certificate: x509.Certificate) -> str:
    """The identity provider that vouched for the signer; empty when the certificate doesn't say."""
    for oid in (_ISSUER, _ISSUER_1):
        try:
            raw = certificate.extensions.get_extension_for_oid(oid).value.public_bytes()
        except x509.ExtensionNotFound:
            continue
        return (raw if oid == _ISSUER_1 else _utf8(raw)).decode(errors="replace")
    return ""


def subjects_of(certificate: x509.Certificate) -> list[str]:
    """The names of the signer: mail addresses, URIs, DNS names and user names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    found = [str(each.value) for each in names if isinstance(each, x509.RFC822Name | x509.DNSName)]
    found += [each.value for each in names if isinstance(each, x509.UniformResourceIdentifier)]
    others = (each for each in names if isinstance(each, x509.OtherName) and each.type_id == _USER_NAME)
    return found + [_utf8(each.value).decode(errors="replace") for each in others]


def _utf8(der: bytes) -> bytes:
    """The text of a DER UTF8String; empty for anything else."""
    if len(der) < 2 or der[0] != _UTF8_STRING:
        return b""
    length, start = der[1], 2
    if length >= 0x80:
        start += length - 0x80
        length = int.from_bytes(der[2:start])
    return der[start:] if len(der) - start == length else b""


def _require_entry_of(body: Mapping[str, Any], certificate: x509.Certificate, signature: bytes, payload: bytes) -> None:
    """The promise is for the entry alone; without this, another signature's promise would do."""
    spec = parse.member(body, "spec")
    hashed = parse.member(parse.member(spec, "data"), "hash")
    signed = parse.member(spec, "signature")
    key = parse.base64_bytes(parse.member(signed, "publicKey").get("content"))
    if (
        body.get("kind") != "hashedrekord"
        or hashed.get("algorithm") != "sha256"
        or hashed.get("value") != hashlib.sha256(payload).hexdigest()
        or parse.base64_bytes(signed.get("content")) != signature
        or x509.load_pem_x509_certificate(key).public_bytes(Encoding.DER) != certificate.public_bytes(Encoding.DER)
    ):
        raise SignatureError("the log entry is of another signature")


def _require_signature(certificate: x509.Certificate, signature: bytes, payload: bytes) -> None:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise SignatureError("its certificate's key is not ECDSA")
    try:
        key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise SignatureError("the payload is not what was signed") from error
