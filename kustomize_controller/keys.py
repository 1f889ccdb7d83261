"""Keys: the entries of a decryption Secret → what sops needs to use them.

    *.agekey, *.asc, sops.aws-kms, … → the child's environment, an OpenPGP keyring, a certificate file

Pure. What always holds: a key is in no repr, no message and no argument; a tenant's entry can't make sops read a file
of this machine; what an entry brings for a service replaces whatever the controller itself has for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.text import yaml

LARGEST = 100_000
"""Bytes of an entry: what the system takes as the value of one variable, with some room."""

_AGE = re.compile(r"AGE-(SECRET-KEY|PLUGIN)-[0-9A-Z+._-]+")
_PRIVATE = b"-----BEGIN PGP PRIVATE KEY BLOCK-----"
_GOOGLE = ("service_account", "authorized_user")

_ALWAYS = (
    "PATH",
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
    "SOPS_HC_VAULT_ALLOWLIST",
)
_SERVICES = {
    "age": ("SOPS_AGE_KEY", "SOPS_AGE_KEY_FILE"),
    "aws": ("AWS_",),
    "azure": ("AZURE_", "IDENTITY_", "IMDS_", "MSI_"),
    "gcp": ("GOOGLE_", "CLOUDSDK_", "GCE_METADATA_", "SOPS_GCP_KMS_"),
    "vault": ("VAULT_", "BAO_"),
}
"""The variables, by how they begin, with which the controller itself may be known to a service."""
_KEPT = (
    *("VAULT_CACERT", "VAULT_CAPATH", "VAULT_SKIP_VERIFY", "VAULT_TLS_SERVER_NAME", "VAULT_NAMESPACE"),
    *("AWS_CA_BUNDLE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS"),
    *("AWS_ENDPOINT_URL_STS", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AZURE_AUTHORITY_HOST"),
    *("SOPS_GCP_KMS_ENDPOINT", "SOPS_GCP_KMS_UNIVERSE_DOMAIN", "SOPS_GCP_KMS_CLIENT_TYPE"),
)
"""Settings of those that are no credentials: they stay whatever a Secret brings."""


class BadKey(Exception):
    """An entry of a decryption Secret can't be used; the message names the entry, and nothing of its content."""

    def __init__(self, entry: str, problem: str) -> None:
        super().__init__(f"failed to import '{entry}' data: {problem}")


@dataclass(frozen=True, repr=False)
class Keys:
    """What one attempt may decrypt with."""

    where: str = ""
    """The Secret, for messages: namespace/name."""
    digest: str = ""
    """Of all the Secret's entries: another one when a key changes."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The child's variables that hold keys."""
    pgp: tuple[tuple[str, bytes], ...] = ()
    """Armored OpenPGP keys by the name of their entry."""
    certificate: bytes = b""
    """What Azure is shown; it must be in a file."""
    services: frozenset[str] = frozenset()
    """The services for which the Secret brings credentials of its own."""

    def environment(self, outer: Mapping[str, str], replaced: frozenset[str] = frozenset()) -> dict[str, str]:
        """The child's variables: these keys, and of `outer` (the controller's own) only what sops has a use for, and
        nothing that would let it be the controller at the `replaced` services."""
        dropped = tuple(prefix for name in self.services | replaced for prefix in _SERVICES[name])
        allowed = tuple(prefix for prefixes in _SERVICES.values() for prefix in prefixes if prefix not in dropped)
        kept = {
            name: value
            for name, value in outer.items()
            if name in _ALWAYS or name in _KEPT or (allowed and name.startswith(allowed))
        }
        return {**kept, **self.variables}

    @property
    def secrets(self) -> list[str]:
        """All that must be in no message, longest first."""
        parts = {part for value in self.variables.values() for part in (value, *value.split()) if len(part) > 7}
        return sorted(parts, key=len, reverse=True)


NONE = Keys()
"""No Secret: whatever the controller itself may use."""


def of(where: str, entries: Mapping[str, bytes], *, only_age: bool = False) -> Keys:
    """The keys of a Secret's entries; others than keys are left alone. BadKey.

    `only_age`: take no credentials for services from it, as for the Secret that all Kustomizations share.
    """
    variables: dict[str, str] = {}
    services: set[str] = set()
    pgp: list[tuple[str, bytes]] = []
    age: list[str] = []
    certificate = b""
    for name, content in sorted(entries.items()):
        is_age, is_pgp = name.endswith(".agekey"), name.endswith(".asc") and not only_age
        known = None if only_age else _CREDENTIALS.get(name)
        if not (is_age or is_pgp or known):
            continue
        if len(content) > LARGEST:
            raise BadKey(name, f"it is larger than {LARGEST} bytes")
        if is_age:
            age += _age(name, _text(name, content))
        elif is_pgp:
            if _PRIVATE not in content:
                raise BadKey(
                    name, "it is no armored OpenPGP private key: export one with gpg --export-secret-keys --armor"
                )
            pgp.append((name, content))
        elif known is not None:
            service, read = known
            found = read(name, content)
            certificate = found.pop(_CERTIFICATE, "").encode() or certificate
            variables |= found
            services.add(service)
    if age:
        variables["SOPS_AGE_KEY"] = "\n".join(age)
        services.add("age")
        if len(variables["SOPS_AGE_KEY"]) > LARGEST:
            raise BadKey("*.agekey", f"all age keys together are larger than {LARGEST} bytes")
    return Keys(where, _digest(where, entries), variables, tuple(pgp), certificate, frozenset(services))


_CERTIFICATE = "certificate"


def _digest(where: str, entries: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(where.encode())
    for name, content in sorted(entries.items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _text(name: str, content: bytes) -> str:
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise BadKey(name, "it is no text")
    return text


def _age(name: str, text: str) -> list[str]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        if not _AGE.fullmatch(line):
            raise BadKey(name, f"line {number} is no age key: it must begin with AGE-SECRET-KEY-")
        found.append(line)
    if not found:
        raise BadKey(name, "it has no age key: it must have a line that begins with AGE-SECRET-KEY-")
    return found


def _mapping(name: str, content: bytes) -> dict[str, str]:
    """The fields of a YAML or JSON entry, as text."""
    try:
        value: Any = yaml.load(_text(name, content))
    except yaml.YAMLError:
        value = None  # what the parser says may quote the entry
    if not isinstance(value, dict):
        raise BadKey(name, "it is no YAML or JSON mapping")
    fields = {}
    for key, entry in value.items():
        if isinstance(entry, bool):
            fields[str(key)] = str(entry).lower()
        elif isinstance(entry, str | int | float):
            fields[str(key)] = str(entry)
        elif entry is not None:
            fields[str(key)] = orjson.dumps(entry).decode()
    return fields


def _aws(name: str, content: bytes) -> dict[str, str]:
    fields = _mapping(name, content)
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    if not (fields.get(names[0]) and fields.get(names[1])):
        raise BadKey(name, f"it must have the fields {names[0]} and {names[1]}")
    return {field.upper(): fields[field] for field in names if fields.get(field)}


def _azure(name: str, content: bytes) -> dict[str, str]:
    fields = _mapping(name, content)

    def has(*names: str) -> bool:
        return all(fields.get(name) for name in names)

    def taken(*pairs: tuple[str, str]) -> dict[str, str]:
        wanted = (("authorityHost", "AZURE_AUTHORITY_HOST"), *pairs)
        return {variable: fields[name] for name, variable in wanted if fields.get(name)}

    tenant, client = ("tenantId", "AZURE_TENANT_ID"), ("clientId", "AZURE_CLIENT_ID")
    if has("tenantId", "clientId", "clientSecret"):
        return taken(tenant, client, ("clientSecret", "AZURE_CLIENT_SECRET"))
    if has("tenantId", "clientId", "clientCertificate"):
        return taken(
            tenant,
            client,
            ("clientCertificate", _CERTIFICATE),
            ("clientCertificatePassword", "AZURE_CLIENT_CERTIFICATE_PASSWORD"),
            ("clientCertificateSendChain", "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN"),
        )
    if has("tenant", "appId", "password"):  # what `az ad sp create-for-rbac` prints
        return taken(("tenant", "AZURE_TENANT_ID"), ("appId", "AZURE_CLIENT_ID"), ("password", "AZURE_CLIENT_SECRET"))
    if has("clientId"):
        return taken(client)
    raise BadKey(
        name,
        "it must have tenantId, clientId and clientSecret, or tenantId, clientId and clientCertificate, "
        "or tenant, appId and password, or only a clientId",
    )


def _gcp(name: str, content: bytes) -> dict[str, str]:
    try:
        value: Any = orjson.loads(_text(name, content))
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict) or value.get("type") not in _GOOGLE:
        # Other types name files to read and programs to run on the machine of whoever uses them.
        raise BadKey(name, f"it must be the JSON of a key whose type is {' or '.join(_GOOGLE)}")
    return {"GOOGLE_CREDENTIALS": orjson.dumps(value).decode()}


def _vault(name: str, content: bytes) -> dict[str, str]:
    token = _text(name, content).strip()
    if not token or any(character.isspace() for character in token):
        raise BadKey(name, "it must be one token")
    return {"VAULT_TOKEN": token}


_CREDENTIALS: dict[str, tuple[str, Callable[[str, bytes], dict[str, str]]]] = {
    "sops.aws-kms": ("aws", _aws),
    "sops.azure-kv": ("azure", _azure),
    "sops.gcp-kms": ("gcp", _gcp),
    "sops.vault-token": ("vault", _vault),
}
