"""Where the cluster is and who we are there: kubeconfig files, a kubeconfig's text, or the pod's service account.

    files, environment → Connection

Found as kubectl and upstream's controllers do: the given path, `KUBECONFIG` (several files, the first that names
something wins), the pod's service account, `~/.kube/config`. TLS is verified unless the kubeconfig says otherwise.
Loading reads files only; plugins run when the first request needs a token.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from shared.kube.credentials import Basic, Credentials, Plugin, Token, TokenFile, load_certificate
from shared.kube.errors import ConfigError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MAX_BYTES = 4 << 20
"""A kubeconfig, or a file it names, of more bytes is refused."""


@dataclass(slots=True)
class Connection:
    """One way to one API server."""

    server: str
    """The URL, without a slash at its end."""
    credentials: Credentials = field(default_factory=Credentials)
    ssl: ssl.SSLContext | None = None
    """None for plain HTTP."""
    server_hostname: str | None = None
    """The name the server's certificate must have, when it isn't the URL's."""
    proxy: str | None = None
    namespace: str = "default"


def load(kubeconfig: str | Path | None = None, context: str | None = None) -> Connection:
    """The cluster that kubectl would talk to. ConfigError says what is missing or wrong."""
    if kubeconfig:
        paths = [Path(kubeconfig)]
    elif os.environ.get("KUBECONFIG"):
        paths = [Path(p) for p in os.environ["KUBECONFIG"].split(os.pathsep) if p]
    elif "KUBERNETES_SERVICE_HOST" in os.environ and context is None:
        return in_cluster()
    else:
        paths = [Path.home() / ".kube" / "config"]
    found = [(path.expanduser(), _parse(_read(path.expanduser()), str(path))) for path in paths if _exists(path, paths)]
    if not found:
        raise ConfigError(f"no kubeconfig at {', '.join(map(str, paths))}: set KUBECONFIG or --kubeconfig")
    return _connect(_merge(found), context, _Rules(files=True, plugins=True, insecure=True))


def from_kubeconfig_text(
    text: str | bytes,
    context: str | None = None,
    *,
    allow_plugins: bool = False,
    allow_insecure: bool = False,
    source: str = "kubeconfig",
) -> Connection:
    """A cluster described by a kubeconfig that somebody else wrote (a Secret). It can't make us read our own files,
    and runs plugins or skips TLS verification only where allowed."""
    data = text.encode() if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{source} is larger than {MAX_BYTES >> 20} MiB")
    rules = _Rules(files=False, plugins=allow_plugins, insecure=allow_insecure)
    return _connect(_merge([(None, _parse(data, source))]), context, rules)


def in_cluster(root: Path = SERVICE_ACCOUNT) -> Connection:
    """The cluster this pod runs in, as its service account. The token is read again as the kubelet rotates it."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ConfigError("not in a cluster: KUBERNETES_SERVICE_HOST is not set")
    if not (root / "token").is_file():
        raise ConfigError(f"no service account token at {root / 'token'}: is automountServiceAccountToken off?")
    context = _tls(_read(root / "ca.crt"))
    namespace = root / "namespace"
    return Connection(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        credentials=TokenFile(root / "token"),
        ssl=context,
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
    )


def of_server(address: str, authority: str = "", credentials: Credentials | None = None) -> Connection:
    """A cluster by its address, which must be https, the PEM of its certificate authority (the system's when empty) and
    who we are there. ConfigError when one of them can't be used."""
    return Connection(
        server=canonical(address),
        credentials=credentials or Credentials(),
        ssl=_tls(authority.encode() or None),
        proxy=_proxy(_Entry({}, None), canonical(address)),
    )


def canonical(address: str) -> str:
    """https://host:port of an API server's address, which may leave out the scheme and the port. ConfigError."""
    try:
        parts = urlsplit(address if "://" in address else f"https://{address}")
        host, port = parts.hostname, parts.port or 443
    except ValueError as error:
        raise ConfigError(f"the address '{address}' of the API server can't be read") from error
    if not host or parts.username or parts.password or parts.path.strip("/") or parts.query:
        raise ConfigError(f"the address '{parts.hostname or ''}' of the API server must be https://<host>:<port>")
    if parts.scheme != "https":
        raise ConfigError(f"the address '{address}' of the API server must use https")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


@dataclass(frozen=True, slots=True)
class _Rules:
    """What this kubeconfig may make us do: read files, run programs, trust any certificate."""

    files: bool
    plugins: bool
    insecure: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    """A named cluster, user or context, and the directory that its relative paths start at."""

    value: Mapping[str, Any]
    directory: Path | None


@dataclass(slots=True)
class _Merged:
    current: str = ""
    clusters: dict[str, _Entry] = field(default_factory=dict)
    users: dict[str, _Entry] = field(default_factory=dict)
    contexts: dict[str, _Entry] = field(default_factory=dict)


def _exists(path: Path, paths: list[Path]) -> bool:
    """Of several files some may be missing; a single one must be there."""
    return len(paths) == 1 or path.expanduser().exists()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES >> 20} MiB")
    return data


def _parse(data: bytes, source: str) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        from shared.text import yaml

        try:
            value = yaml.load(data.decode(), source=source)
        except ValueError as error:
            raise ConfigError(f"{source} is not a kubeconfig: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{source} is not a kubeconfig: it must be a map with clusters, users and contexts")
    return value


def _merge(files: Sequence[tuple[Path | None, dict[str, Any]]]) -> _Merged:
    merged = _Merged()
    for path, config in files:
        merged.current = merged.current or str(config.get("current-context") or "")
        directory = path.resolve().parent if path else None
        for key, inner, into in (
            ("clusters", "cluster", merged.clusters),
            ("users", "user", merged.users),
            ("contexts", "context", merged.contexts),
        ):
            rows = config.get(key) or []
            for row in rows if isinstance(rows, list) else [rows]:
                if not isinstance(row, dict) or not isinstance(row.get(inner) or {}, dict):
                    raise ConfigError(f"{path or 'kubeconfig'}: {key} must be a list of {{name, {inner}}}")
                into.setdefault(str(row.get("name", "")), _Entry(row.get(inner) or {}, directory))
    return merged


def _connect(merged: _Merged, context_name: str | None, rules: _Rules) -> Connection:
    name = context_name or merged.current
    if not name:
        raise ConfigError("the kubeconfig has no current-context: name a context")
    context = merged.contexts.get(name)
    if context is None:
        raise ConfigError(f'the kubeconfig has no context "{name}"')
    cluster_name, user_name = str(context.value.get("cluster", "")), str(context.value.get("user") or "")
    cluster = merged.clusters.get(cluster_name)
    if cluster is None:
        raise ConfigError(f'context "{name}": the kubeconfig has no cluster "{cluster_name}"')
    user = merged.users.get(user_name, _Entry({}, None))
    if user_name and user_name not in merged.users:
        raise ConfigError(f'context "{name}": the kubeconfig has no user "{user_name}"')

    server = str(cluster.value.get("server") or "").rstrip("/")
    if not server:
        raise ConfigError(f'cluster "{cluster_name}" has no server')
    if "://" not in server:
        server = f"http://{server}"
    tls = _tls_of(cluster, user, rules) if server.startswith("https://") else None
    return Connection(
        server=server,
        credentials=_credentials(cluster, user, tls, rules),
        ssl=tls,
        server_hostname=cluster.value.get("tls-server-name") or None,
        proxy=_proxy(cluster, server),
        namespace=str(context.value.get("namespace") or "default"),
    )


def _tls(authority: bytes | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError("the certificate authority is not PEM") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Clusters' own authorities often lack extensions that the strict mode of newer Pythons wants and Go does not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # A kubeconfig may trust the server's own certificate, or one between it and the root, as kubectl lets it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _tls_of(cluster: _Entry, user: _Entry, rules: _Rules) -> ssl.SSLContext:
    context = _tls(_data_or_file(cluster, "certificate-authority", rules))
    if cluster.value.get("insecure-skip-tls-verify"):
        if not rules.insecure:
            raise ConfigError("insecure-skip-tls-verify is not allowed here: give certificate-authority-data instead")
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate = _data_or_file(user, "client-certificate", rules)
    key = _data_or_file(user, "client-key", rules)
    if (certificate is None) != (key is None):
        raise ConfigError("client-certificate and client-key belong together: one of them is missing")
    if certificate is not None and key is not None:
        load_certificate(context, certificate, key)
    return context


def _credentials(cluster: _Entry, user: _Entry, tls: ssl.SSLContext | None, rules: _Rules) -> Credentials:
    value = user.value
    if value.get("tokenFile"):
        return TokenFile(_path(user, str(value["tokenFile"]), "tokenFile", rules))
    if value.get("token"):
        return Token(str(value["token"]))
    if value.get("username"):
        return Basic(str(value["username"]), str(value.get("password") or ""))
    for key in ("exec", "auth-provider"):
        if value.get(key):
            if not rules.plugins:
                raise ConfigError(f"{key} in a kubeconfig is not allowed here: use a token or a client certificate")
            return Plugin(dict(value), dict(cluster.value), user.directory, tls)
    return Credentials()


def _data_or_file(entry: _Entry, key: str, rules: _Rules) -> bytes | None:
    data = entry.value.get(f"{key}-data")
    if data:
        try:
            return base64.b64decode("".join(str(data).split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigError(f"{key}-data is not base64") from error
    if entry.value.get(key):
        return _read(_path(entry, str(entry.value[key]), key, rules))
    return None


def _path(entry: _Entry, path: str, key: str, rules: _Rules) -> Path:
    if not rules.files:
        raise ConfigError(f"{key} names a file, which is not allowed here: put its content into the kubeconfig")
    return (entry.directory or Path()) / Path(path).expanduser()


def _proxy(cluster: _Entry, server: str) -> str | None:
    proxy = cluster.value.get("proxy-url")
    if not proxy:
        parts = urlsplit(server)
        if not parts.hostname or urllib.request.proxy_bypass(parts.netloc):
            return None
        proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not str(proxy).startswith(("http://", "https://")):
        raise ConfigError("only http:// and https:// proxies are supported for the Kubernetes API")
    return str(proxy) if proxy else None
