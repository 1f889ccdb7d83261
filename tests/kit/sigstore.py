"""A Sigstore instance for tests, as values: certificate authority, certificate log, transparency log; no servers run.

    sigstore = Sigstore()
    sigstore.trusted_root                                       # the JSON that trusts it
    signer = sigstore.signer("https://issuer", "ada@example.com")
    signer.attach(registry, "app", digest)                      # as older ones of cosign do; `bundle` as newer ones do

What it makes is what Fulcio, Rekor and cosign make, with keys of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.kit.registry import FLUX_CONFIG, MANIFEST, Registry

SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT = "application/vnd.in-toto+json"
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER, _ISSUER_1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8"), x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Log:
    """What has a key and is known by its hash."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.id = hashlib.sha256(self.public).digest()

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    @property
    def trusted(self) -> dict[str, Any]:
        key = {
            "rawBytes": b64(self.public),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": {"start": "2020-01-01T00:00:00Z"},
        }
        identity = {"keyId": b64(self.id)}
        return {"baseUrl": "https://log.test", "hashAlgorithm": "SHA2_256", "publicKey": key, "logId": identity}


class Sigstore:
    """One instance: what it vouches for is trusted by who has its `trusted_root`."""

    def __init__(self) -> None:
        self.rekor, self.ct = Log(), Log()
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_BEGIN)
            .not_valid_after(_BEGIN + timedelta(days=36500))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def trusted_root(self) -> bytes:
        chain = {"certificates": [{"rawBytes": b64(self.certificate.public_bytes(Encoding.DER))}]}
        authority = {
            "subject": {"organization": "test", "commonName": "authority"},
            "uri": "https://fulcio.test",
            "certChain": chain,
            "validFor": {"start": "2020-01-01T00:00:00Z"},
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [self.rekor.trusted],
                "certificateAuthorities": [authority],
                "ctlogs": [self.ct.trusted],
                "timestampAuthorities": [],
            }
        ).encode()

    def signer(self, issuer: str, subject: str, **certificate: Any) -> Signer:
        """Who signs, with a certificate of ten minutes; `certificate` changes what `issue` takes."""
        return Signer(self, issuer, subject, **certificate)

    def issue(
        self,
        public: ec.EllipticCurvePublicKey,
        issuer: str,
        subject: str,
        *,
        since: datetime,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
        logged_by: Log | None = None,
    ) -> x509.Certificate:
        """A certificate that binds a key to a name, logged before it was issued."""
        name = x509.UniformResourceIdentifier(subject) if "://" in subject else x509.RFC822Name(subject)
        text = issuer.encode()
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(since + timedelta(minutes=10))
            .add_extension(usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, bytes([0x0C, len(text)]) + text), critical=False)
        )
        log, when = logged_by or self.ct, int(since.timestamp() * 1000)
        body = builder.sign(self.key, hashes.SHA256()).tbs_certificate_bytes
        by = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        entry = hashlib.sha256(by).digest() + len(body).to_bytes(3) + body
        signature = log.sign(struct.pack("!BBQH", 0, 0, when, 1) + entry + b"\0\0")
        sct = struct.pack("!B32sQH", 0, log.id, when, 0) + struct.pack("!BBH", 4, 3, len(signature)) + signature
        listed = struct.pack("!HH", len(sct) + 2, len(sct)) + sct
        wrapped = (
            bytes([0x04, len(listed)]) + listed if len(listed) < 128 else bytes([0x04, 0x81, len(listed)]) + listed
        )
        return builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, wrapped), critical=False).sign(
            self.key, hashes.SHA256()
        )

    def promise(self, body: bytes, when: datetime, index: int = 7) -> tuple[dict[str, Any], str]:
        """What the transparency log says of an entry, and its signature of that."""
        said = {
            "body": b64(body),
            "integratedTime": int(when.timestamp()),
            "logID": self.rekor.id.hex(),
            "logIndex": index,
        }
        return said, b64(self.rekor.sign(canonical(said)))

    def proof(self, body: bytes) -> dict[str, Any]:
        """Where an entry is in the log: the second of two."""
        first, leaf = hashlib.sha256(b"\0first").digest(), hashlib.sha256(b"\0" + body).digest()
        root = hashlib.sha256(b"\1" + first + leaf).digest()
        note = f"rekor.test - 1\n2\n{b64(root)}\n"
        signed = b64(self.rekor.id[:4] + self.rekor.sign(note.encode()))
        envelope = f"{note}\n— rekor.test {signed}\n"
        return {
            "logIndex": "1",
            "rootHash": b64(root),
            "treeSize": "2",
            "hashes": [b64(first)],
            "checkpoint": {"envelope": envelope},
        }


class Signer:
    """Somebody with a certificate. Each `make_…` gives what is attached, to be spoilt by a test before it is."""

    def __init__(self, at: Sigstore, issuer: str, subject: str, **certificate: Any) -> None:
        self.at, self.key = at, ec.generate_private_key(ec.SECP256R1())
        self.when = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)
        certificate.setdefault("since", self.when - timedelta(minutes=1))
        self.certificate = at.issue(self.key.public_key(), issuer, subject, **certificate)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    def make_attachment(self, digest: str) -> tuple[bytes, dict[str, str]]:
        """A payload and the annotations of its layer."""
        critical = {
            "identity": {"docker-reference": "app"},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        }
        payload = canonical({"critical": critical, "optional": None})
        signature = self.sign(payload)
        entry = {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
                "signature": {"content": b64(signature), "publicKey": {"content": b64(self.pem)}},
            },
        }
        said, promise = self.at.promise(canonical(entry), self.when)
        return payload, {
            "dev.cosignproject.cosign/signature": b64(signature),
            "dev.sigstore.cosign/certificate": self.pem.decode(),
            "dev.sigstore.cosign/bundle": json.dumps({"SignedEntryTimestamp": promise, "Payload": said}),
        }

    def make_bundle(self, digest: str) -> dict[str, Any]:
        """A Sigstore bundle with a statement about a digest."""
        algorithm, _, value = digest.partition(":")
        statement = canonical(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"digest": {algorithm: value}}],
                "predicateType": "https://sigstore.dev/cosign/sign/v1",
                "predicate": {},
            }
        )
        signature = self.sign(f"DSSEv1 {len(STATEMENT)} {STATEMENT} {len(statement)} ".encode() + statement)
        envelope = {
            "payload": b64(statement),
            "payloadType": STATEMENT,
            "signatures": [{"sig": b64(signature)}],
        }
        entry = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(canonical(envelope)).hexdigest()},
                "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(statement).hexdigest()},
                "signatures": [{"signature": b64(signature), "verifier": b64(self.pem)}],
            },
        }
        body = canonical(entry)
        said, promise = self.at.promise(body, self.when)
        logged = {
            "logIndex": str(said["logIndex"]),
            "logId": {"keyId": b64(self.at.rekor.id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(said["integratedTime"]),
            "inclusionPromise": {"signedEntryTimestamp": promise},
            "inclusionProof": self.at.proof(body),
            "canonicalizedBody": b64(body),
        }
        material = {
            "certificate": {"rawBytes": b64(self.certificate.public_bytes(Encoding.DER))},
            "tlogEntries": [logged],
        }
        return {"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope}

    def attach(self, registry: Registry, path: str, digest: str) -> None:
        """Signs an image of the registry as older ones of cosign do."""
        attach(registry, path, digest, *self.make_attachment(digest))

    def bundle(self, registry: Registry, path: str, digest: str) -> None:
        """Signs an image of the registry as newer ones of cosign do."""
        refer(registry, path, digest, BUNDLE, json.dumps(self.make_bundle(digest)).encode())


def attach(registry: Registry, path: str, digest: str, payload: bytes, annotations: dict[str, str]) -> None:
    """Puts a signature under the tag that is named after the digest."""
    layer = {**registry.descriptor(SIMPLE, payload), "annotations": annotations}
    config = registry.descriptor(FLUX_CONFIG, b"{}")
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    registry.put(path, digest.replace(":", "-") + ".sig", manifest)


def refer(registry: Registry, path: str, digest: str, type_: str, data: bytes, media_type: str = "") -> None:
    """Puts a signature that refers to the digest; its bytes are of `media_type`, or of the artifact's type."""
    size = len(registry.manifests[path, digest][1]) if (path, digest) in registry.manifests else 1
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": type_,
        "config": registry.descriptor("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [registry.descriptor(media_type or type_, data)],
        "subject": {"mediaType": MANIFEST, "digest": digest, "size": size},
    }
    registry.put(path, f"refers-{len(registry.manifests)}", manifest)


def usage(**uses: bool) -> x509.KeyUsage:
    """A certificate's key usage: what is named, and nothing else."""
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: uses.get(name, False) for name in names})
