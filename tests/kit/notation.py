"""Notation's signers for tests: an authority, certificates, envelopes in JWS and COSE, a timestamp authority.

authority = Authority()
signer = authority.signer("ada")
refer(registry, "app", digest, ARTIFACT, signer.jws(digest), media_type=JWS)
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.kit.registry import MANIFEST
from tests.kit.sigstore import usage

ARTIFACT = "application/vnd.cncf.notary.signature"
JWS, COSE = "application/jose+json", "application/cose"
X509, SIGNING_AUTHORITY = "notary.x509", "notary.x509.signingAuthority"
_PAYLOAD = "application/vnd.cncf.notary.payload.v1+json"
_N = "io.cncf.notary."


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def name(common: str) -> x509.Name:
    return x509.Name.from_rfc4514_string(f"CN={common},O=Penguins,ST=Ross,C=AQ")


class Authority:
    """Who makes certificates; `revocations` are the addresses that they name, by kind ("ocsp", "crl")."""

    def __init__(self, common: str = "authority", **revocations: str) -> None:
        self.key, self.revocations = ec.generate_private_key(ec.SECP256R1()), revocations
        self.certificate = self.issue(
            name(common), self.key.public_key(), [usage(key_cert_sign=True, crl_sign=True)], ca=True
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        extensions: list[x509.ExtensionType],
        *,
        ca: bool = False,
        since: timedelta = timedelta(days=-100),
        until: timedelta = timedelta(days=100),
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if ca else self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now() + since)
            .not_valid_after(now() + until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        for each in extensions:
            builder = builder.add_extension(each, critical=isinstance(each, x509.KeyUsage | x509.ExtendedKeyUsage))
        return builder.sign(self.key, hashes.SHA256())

    def signer(self, common: str, *extensions: x509.ExtensionType, **more: Any) -> Signer:
        """Who signs, with a certificate for that; `extensions` replace its key usage."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = list(extensions or [usage(digital_signature=True)])
        if "ocsp" in self.revocations:
            at = x509.UniformResourceIdentifier(self.revocations["ocsp"])
            access = x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.OCSP, at)
            parts.append(x509.AuthorityInformationAccess([access]))
        if "crl" in self.revocations:
            at = x509.UniformResourceIdentifier(self.revocations["crl"])
            parts.append(x509.CRLDistributionPoints([x509.DistributionPoint([at], None, None, None)]))
        return Signer(key, [self.issue(name(common), key.public_key(), parts, **more), self.certificate])


class Signer:
    """Who signs. `changed` replaces signed headers; None leaves one out."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, chain: list[x509.Certificate]) -> None:
        self.key, self.chain = key, chain

    def sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    def jws(self, digest: str, *, tsa: TimestampAuthority | None = None, **changed: Any) -> bytes:
        headers = self._headers(changed, {"alg": "ES256", "cty": _PAYLOAD}, "crit", lambda at: at.isoformat())
        protected, payload = _url(json.dumps(headers).encode()), _url(_payload(digest))
        signature = self.sign(f"{protected}.{payload}".encode())
        header: dict[str, Any] = {"x5c": [base64.b64encode(der).decode() for der in self._ders()]}
        if tsa:
            header[_N + "timestampSignature"] = base64.b64encode(tsa.stamp(signature)).decode()
        return json.dumps(
            {"payload": payload, "protected": protected, "header": header, "signature": _url(signature)}
        ).encode()

    def cose(self, digest: str, *, tsa: TimestampAuthority | None = None, **changed: Any) -> bytes:
        headers = self._headers(changed, {1: -7, 3: _PAYLOAD}, 2, lambda at: cbor2.CBORTag(1, int(at.timestamp())))
        protected, payload = cbor2.dumps(headers), _payload(digest)
        signature = self.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
        header: dict[Any, Any] = {33: self._ders()}
        if tsa:
            header[_N + "timestampSignature"] = tsa.stamp(signature)
        return cbor2.dumps(cbor2.CBORTag(18, [protected, header, payload, signature]))

    def _ders(self) -> list[bytes]:
        return [each.public_bytes(Encoding.DER) for each in self.chain]

    def _headers(self, changed: dict[str, Any], own: dict[Any, Any], critical: Any, time: Any) -> dict[Any, Any]:
        scheme = changed.pop("scheme", X509)
        label = _N + ("signingTime" if scheme == X509 else "authenticSigningTime")
        listed = [_N + "signingScheme"] + ([label] if scheme != X509 else [])
        headers = {**own, _N + "signingScheme": scheme, label: time(changed.pop("signed", now()))}
        if expires := changed.pop("expires", None):
            headers[_N + "expiry"] = time(expires)
            listed.append(_N + "expiry")
        headers[critical] = listed
        if "critical" in changed:
            headers[critical] = changed.pop("critical")
        headers.update({key: value for key, value in changed.pop("headers", {}).items() if value is not None})
        assert not changed, changed
        return headers


class TimestampAuthority:
    """Who says when something was there: OpenSSL's, with a certificate of an authority."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        folder.mkdir(parents=True)
        self.folder, key = folder, ec.generate_private_key(ec.SECP256R1())
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
        made = authority.issue(name("tsa"), key.public_key(), [usage(digital_signature=True), purpose])
        (folder / "tsa.pem").write_bytes(made.public_bytes(Encoding.PEM))
        (folder / "tsa.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "serial").write_text("01\n")
        (folder / "config").write_text(
            f"[tsa]\ndefault_tsa=own\n[own]\nserial={folder}/serial\nsigner_cert={folder}/tsa.pem\n"
            f"signer_key={folder}/tsa.key\nsigner_digest=sha256\ndefault_policy=1.2.3.4\n"
            "digests=sha256\naccuracy=secs:1\ness_cert_id_alg=sha256\n"
        )

    def stamp(self, data: bytes) -> bytes:
        """A token over data."""
        digest = hashlib.sha256(data).hexdigest()
        query = ["openssl", "ts", "-query", "-digest", digest, "-sha256", "-cert"]
        (self.folder / "query").write_bytes(subprocess.run(query, check=True, capture_output=True).stdout)
        reply = ["openssl", "ts", "-reply", "-config", f"{self.folder}/config", "-queryfile", f"{self.folder}/query"]
        return subprocess.run([*reply, "-token_out"], check=True, capture_output=True).stdout


def _payload(digest: str) -> bytes:
    return json.dumps({"targetArtifact": {"mediaType": MANIFEST, "digest": digest, "size": 1}}).encode()


def _url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def policy(
    level: str = "strict", *, stores: tuple[str, ...] = ("ca:one",), identities: tuple[str, ...] = ("*",), **more: Any
) -> dict[str, Any]:
    """A trust policy for all repositories; `more` goes to signatureVerification."""
    statement = {
        "name": "all",
        "registryScopes": ["*"],
        "signatureVerification": {"level": level, **more},
        "trustStores": list(stores),
        "trustedIdentities": list(identities),
    }
    return {"version": "1.0", "trustPolicies": [statement]}
