"""GitHub Apps: an installation's short-lived token instead of a person's password.

    Secret → App → signed request → token → Credentials

Tokens are kept by the digest of what they were made of, as all tokens of this process are, and never leave it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from shared import http
from shared.api.meta import parse_time
from shared.auth.tokens import Fresh, Tokens
from shared.http import Answer, Http, HttpError

API = "https://api.github.com"
USER = "x-access-token"
"""The name that goes with a token."""
_LIFE = 540
_SLUG_LIFE = 3600.0


class GitHubError(Exception):
    """There is no token to be had; the message says what to fix."""


@dataclass(frozen=True, repr=False)
class App:
    """An installation of an App."""

    app: str
    key: str
    installation: str = ""
    owner: str = ""
    """Whose installation it is, to look it up by."""
    api: str = API

    @property
    def digest(self) -> str:
        """Stands for all of it."""
        parts = (self.app, self.key, self.installation, self.owner, self.api)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def from_secret(data: Mapping[str, bytes]) -> App:
    """The App that a Secret describes. GitHubError names the key that is missing or wrong."""
    values = {
        name: data.get(f"githubApp{name}", b"").decode(errors="replace").strip()
        for name in ("ID", "PrivateKey", "InstallationID", "InstallationOwner", "BaseURL")
    }
    for name in ("ID", "PrivateKey"):
        if not values[name]:
            raise GitHubError(f"the key 'githubApp{name}' is missing")
    if bool(values["InstallationID"]) == bool(values["InstallationOwner"]):
        raise GitHubError("it needs one of 'githubAppInstallationID' and 'githubAppInstallationOwner'")
    for name in ("ID", "InstallationID"):
        if values[name] and not re.fullmatch(r"[\w.-]{1,100}", values[name], re.A):
            raise GitHubError(f"the key 'githubApp{name}' holds no id")
    api = values["BaseURL"].rstrip("/") or API
    if not re.match(r"https?://[^/@\s]+", api):
        raise GitHubError("the key 'githubAppBaseURL' holds no http or https address")
    return App(values["ID"], values["PrivateKey"], values["InstallationID"], values["InstallationOwner"], api)


async def token(
    tokens: Tokens, app: App, *, tls: ssl.SSLContext | None = None, proxy: str = "", seconds: float = 60.0
) -> str:
    """A token of an installation, kept or asked for. GitHubError says why there is none."""

    async def make() -> Fresh[str]:
        async with _connected(tls, proxy, seconds) as connection:
            return await _asked(connection, app)

    return await tokens.find(("github", app.digest), make)


@asynccontextmanager
async def _connected(tls: ssl.SSLContext | None, proxy: str, seconds: float) -> AsyncIterator[http.Http]:
    """A connection whose failures are GitHubErrors."""
    try:
        async with http.open_(tls=tls, proxy=proxy, seconds=seconds) as connection:
            yield connection
    except HttpError as error:
        raise GitHubError(str(error)) from error


async def slug(
    tokens: Tokens, app: App, *, tls: ssl.SSLContext | None = None, proxy: str = "", seconds: float = 60.0
) -> str:
    """The App's name in addresses, by which its comments are known: "<slug>[bot]". Kept as a token is."""

    async def make() -> Fresh[str]:
        async with _connected(tls, proxy, seconds) as connection:
            found = _read(await connection.get(f"{app.api}/app", headers=_headers(app)), "the App").get("slug")
        if not isinstance(found, str) or not found:
            raise GitHubError("the server gives the App no slug")
        return Fresh(found, time.time() + _SLUG_LIFE)

    return await tokens.find(("github slug", app.digest), make)


def _headers(app: App) -> Mapping[str, str]:
    """What the App itself says who it is with."""
    return {
        "Authorization": f"Bearer {_signed(app, int(time.time()))}",
        "Accept": "application/vnd.github+json",
        "User-Agent": "fluvial",
    }


async def _asked(connection: Http, app: App) -> Fresh[str]:
    headers = _headers(app)
    installation = app.installation
    if not installation:
        found: Mapping[str, Any] = {}
        for kind in ("orgs", "users"):
            answer = await connection.get(f"{app.api}/{kind}/{quote(app.owner, safe='')}/installation", headers=headers)
            if answer.status != 404:
                found = _read(answer, f"the installation of '{app.owner}'")
                break
        installation = str(found.get("id") or "")
        if not installation:
            raise GitHubError(f"the App is not installed by '{app.owner}'")
    answer = await connection.post(
        f"{app.api}/app/installations/{quote(installation, safe='')}/access_tokens", headers=headers
    )
    body = _read(answer, f"a token of installation '{installation}'")
    token = body.get("token")
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise GitHubError("the server gave no token")
    try:
        until = parse_time(str(body.get("expires_at"))).timestamp()
    except ValueError:
        until = time.time()
    return Fresh(token, until)


def _read(answer: Answer, what: str) -> Mapping[str, Any]:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = {}
    if not isinstance(body, dict):
        body = {}
    if not answer.is_good:
        told = f" ({str(body['message'])[:200]})" if body.get("message") else ""
        hints = {
            401: "; check 'githubAppID' and 'githubAppPrivateKey'",
            404: "; check 'githubAppInstallationID' and 'githubAppBaseURL'",
        }
        raise GitHubError(f"could not get {what}: {answer.status} {answer.reason}{told}{hints.get(answer.status, '')}")
    return body


def _signed(app: App, now: int) -> str:
    """A JSON Web Token that says: this is the App. A minute back, for clocks that go after."""
    try:
        key = serialization.load_pem_private_key(app.key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise GitHubError("the key 'githubAppPrivateKey' holds no PEM private key") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise GitHubError("the key 'githubAppPrivateKey' holds no RSA key")
    claims = {"iat": now - 60, "exp": now + _LIFE, "iss": app.app}
    text = ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    return f"{text}.{_base64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
