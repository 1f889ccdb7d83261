"""A certificate authority of the server's own, and what it signs: EC keys, written to a directory or kept in memory."""

from __future__ import annotations

import base64
import ipaddress
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def authority(directory: Path | None = None) -> Pair:
    """The certificate authority, the same one each time for the same directory."""
    return _kept(directory, "ca", lambda: _authority())


def serving(ca: Pair, hosts: list[str], directory: Path | None = None) -> Pair:
    """A server certificate for `hosts` (names and addresses)."""
    pair = _kept(directory, "server", lambda: _signed(ca, "kube-apiserver", (), hosts))
    names = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = {str(value) for value in names.get_values_for_type(x509.DNSName)}
    known |= {str(value) for value in names.get_values_for_type(x509.IPAddress)}
    if not set(hosts) <= known or pair.certificate.issuer != ca.certificate.subject:
        if directory is not None:
            (directory / "server.key").unlink(missing_ok=True)
        pair = _kept(directory, "server", lambda: _signed(ca, "kube-apiserver", (), hosts))
    return pair


def client(ca: Pair, name: str, groups: tuple[str, ...]) -> Pair:
    """A client certificate: its common name is the user, its organisations are the groups."""
    return _signed(ca, name, groups, [])


def _kept(directory: Path | None, name: str, make: Callable[[], Pair]) -> Pair:
    if directory is None:
        return make()
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    if certificate.exists() and key.exists():
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        if isinstance(loaded, ec.EllipticCurvePrivateKey):
            return Pair(x509.load_pem_x509_certificate(certificate.read_bytes()), loaded)
    pair = make()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificate.write_bytes(pair.certificate_pem)
    write_private(key, pair.key_pem)
    return pair


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads; who waits for it never sees a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    unfinished.replace(path)


def _authority() -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fluvial-kubeapi")])
    certificate = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(certificate, key)


def _signed(ca: Pair, common_name: str, groups: tuple[str, ...], hosts: list[str]) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = (
        _builder(subject, ca.certificate.subject, key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    return Pair(builder.sign(ca.key, hashes.SHA256()), key)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def secret(directory: Path | None, name: str) -> str:
    """A random token, the same one each time for the same directory."""
    if directory is not None and (directory / name).exists():
        return (directory / name).read_text().strip()
    token = secrets.token_urlsafe(32)
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(directory / name, token.encode())
    return token


def signing_key(directory: Path | None) -> ec.EllipticCurvePrivateKey:
    """The key that signs service account tokens."""
    path = None if directory is None else directory / "sa.key"
    if path is not None and path.exists():
        loaded = serialization.load_pem_private_key(path.read_bytes(), None)
        if isinstance(loaded, ec.EllipticCurvePrivateKey):
            return loaded
    key = ec.generate_private_key(ec.SECP256R1())
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(path, pem)
    return key


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()
