"""Who we are to an API server: each kind of credential gives the Authorization header, and can be renewed.

`headers()` is asked before every request and must be cheap; `renew()` once after a 401. No credential prints itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from shared.kube.errors import ApiError, ConfigError

logger = logging.getLogger(__name__)

REREAD_AFTER = 60.0
"""Seconds after which a token file is read again: kubelets rotate them."""
RENEW_BEFORE = 60.0
"""Seconds before its expiry at which a plugin's credential is renewed."""
USED = 0.8
"""The part of its life for which an issued token is used: clocks differ, and requests take a while."""
PLUGIN_TIMEOUT = 60.0
"""Seconds an exec plugin or an auth provider may take."""
MAX_TOKEN_BYTES = 1 << 20


class Credentials:
    """No credentials at all (or only a client certificate, which is the connection's)."""

    async def headers(self) -> Mapping[str, str]:
        return {}

    async def renew(self) -> bool:
        """Gets the credentials anew; says whether trying again makes sense."""
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Token(Credentials):
    def __init__(self, token: str) -> None:
        self._headers = _bearer(token)

    async def headers(self) -> Mapping[str, str]:
        return self._headers


class Basic(Credentials):
    def __init__(self, username: str, password: str) -> None:
        joined = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {joined}"}

    async def headers(self) -> Mapping[str, str]:
        return self._headers


class TokenFile(Credentials):
    """A token that someone keeps fresh in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._headers: Mapping[str, str] = {}
        self._read_at = float("-inf")

    async def headers(self) -> Mapping[str, str]:
        if time.monotonic() - self._read_at >= REREAD_AFTER:
            try:
                self._read()
            except ConfigError:
                if not self._headers:
                    raise
                logger.warning(
                    "can't read the token file again, keeping the old token", extra={"path": str(self._path)}
                )
                self._read_at = time.monotonic()
        return self._headers

    async def renew(self) -> bool:
        before = self._headers
        self._read()
        return self._headers != before

    def _read(self) -> None:
        self._headers = _bearer(read_token(self._path))
        self._read_at = time.monotonic()


class IssuedToken(NamedTuple):
    """A token that is good for a while."""

    token: str
    expires: float
    """In seconds of Unix time."""
    audiences: tuple[str, ...] = ()
    """Whom it is meant for, as far as the issuer says."""

    def __repr__(self) -> str:
        return f"<IssuedToken until {self.expires:.0f}>"


class Issued(Credentials):
    """A token that is issued on request, for a while: asked for when it is first needed, and again before its end,
    however many requests need it at the moment. `issue` raises ApiError or ConfigError when there is none."""

    def __init__(self, issue: Callable[[], Awaitable[IssuedToken]], *, longest: float = float("inf")) -> None:
        """`longest` is for how many seconds a token is used at most."""
        self._issue, self._longest = issue, longest
        self._headers: Mapping[str, str] = {}
        self._until = float("-inf")
        self._lock = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        if time.time() >= self._until:
            async with self._lock:
                if time.time() >= self._until:
                    await self._ask()
        return self._headers

    async def renew(self) -> bool:
        before = self._headers
        async with self._lock:
            if self._headers is before:
                await self._ask()
        return True

    async def _ask(self) -> None:
        now = time.time()
        try:
            issued = await self._issue()
        except ApiError as error:
            raise ConfigError(f"no token is issued: {error}") from error
        self._headers = _bearer(issued.token)
        self._until = now + min((issued.expires - now) * USED, self._longest)


class Plugin(Credentials):
    """An exec plugin or a legacy auth provider, run by the kubernetes package, in a thread, one at a time.

    `user` is the kubeconfig's user entry, `cluster` its cluster entry. A client certificate that the plugin hands out
    is loaded into `context`, where new connections pick it up.
    """

    def __init__(
        self, user: dict[str, Any], cluster: dict[str, Any], directory: Path | None, context: ssl.SSLContext | None
    ) -> None:
        self._user = user
        self._cluster = cluster
        self._directory = directory
        self._context = context
        self._headers: Mapping[str, str] | None = None
        self._expires: float | None = None
        self._lock = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        if self._headers is None or self._is_stale():
            async with self._lock:
                if self._headers is None or self._is_stale():
                    await self._run()
        return self._headers or {}

    async def renew(self) -> bool:
        before = self._headers
        async with self._lock:
            if self._headers is before:
                await self._run()
        return True

    def _is_stale(self) -> bool:
        return self._expires is not None and time.time() >= self._expires - RENEW_BEFORE

    async def _run(self) -> None:
        run = self._run_exec if "exec" in self._user else self._run_provider
        try:
            async with asyncio.timeout(PLUGIN_TIMEOUT):
                self._headers, self._expires = await asyncio.to_thread(run)
        except TimeoutError as error:
            raise ConfigError(f"the kubeconfig's login did not answer within {PLUGIN_TIMEOUT:.0f}s") from error

    def _run_exec(self) -> tuple[Mapping[str, str], float | None]:
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.config.exec_provider import ExecProvider
        from kubernetes.config.kube_config import ConfigNode

        command = self._user["exec"].get("command")
        node: Any = ConfigNode
        provider: Any = ExecProvider
        directory = str(self._directory) if self._directory else ""
        try:
            found = provider(node("exec", self._user["exec"]), directory, node("cluster", self._cluster)).run()
        except (ConfigException, OSError) as error:
            raise ConfigError(f"the kubeconfig's exec plugin {command} failed: {str(error)[:500]}") from error
        if found.get("clientCertificateData") and found.get("clientKeyData") and self._context is not None:
            load_certificate(self._context, found["clientCertificateData"].encode(), found["clientKeyData"].encode())
        elif not found.get("token"):
            raise ConfigError(f"the kubeconfig's exec plugin {command} gave neither a token nor a client certificate")
        return _bearer(found["token"]) if found.get("token") else {}, timestamp(found.get("expirationTimestamp"))

    def _run_provider(self) -> tuple[Mapping[str, str], float | None]:
        from kubernetes.client import Configuration
        from kubernetes.config.config_exception import ConfigException
        from kubernetes.config.kube_config import KubeConfigLoader

        name = self._user["auth-provider"].get("name")
        configuration = Configuration()
        make: Any = KubeConfigLoader
        try:
            loader = make(
                {
                    "current-context": "it",
                    "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                    "clusters": [{"name": "it", "cluster": {"server": "http://unused.invalid"}}],
                    "users": [{"name": "it", "user": {"auth-provider": self._user["auth-provider"]}}],
                },
                config_base_path=str(self._directory or ""),
            )
            loader.load_and_set(configuration)
        except (ConfigException, OSError) as error:
            raise ConfigError(f"the kubeconfig's auth provider {name} failed: {str(error)[:500]}") from error
        authorization = configuration.api_key.get("BearerToken") or configuration.api_key.get("authorization")
        if not authorization:
            raise ConfigError(f"the kubeconfig's auth provider {name} gave no token: use an exec plugin")
        expires = getattr(loader, "expiry", None)
        return {"Authorization": authorization}, expires.timestamp() if expires else None


def load_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Puts a PEM certificate and key into a context. The ssl module reads only files: they live for this moment, in a
    directory of our own that nobody else may read."""
    with tempfile.TemporaryDirectory(prefix="fluvial-") as directory:
        certificate_path, key_path = Path(directory, "crt"), Path(directory, "key")
        for path, data in ((certificate_path, certificate), (key_path, key)):
            path.touch(mode=0o600)
            path.write_bytes(data)
        try:
            context.load_cert_chain(certificate_path, key_path)
        except (ssl.SSLError, ValueError) as error:
            raise ConfigError(
                "the client certificate and key can't be loaded: both must be PEM and belong together"
            ) from error


def read_token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            token = file.read(MAX_TOKEN_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read the token file {path}: {error}") from error
    if not token:
        raise ConfigError(f"the token file {path} is empty")
    return token


def _bearer(token: str) -> Mapping[str, str]:
    token = token.strip()
    if any(ord(c) < 33 or ord(c) > 126 for c in token):
        raise ConfigError("the token holds characters that no token has: line breaks, blanks or binary data")
    return {"Authorization": f"Bearer {token}"}


def timestamp(text: Any) -> float | None:
    """Unix time of a date as the API writes it; None when it is none."""
    if isinstance(text, str):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(text).timestamp()
    return None
