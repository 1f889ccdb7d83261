"""Clouds for tests: AWS by moto, and what nobody has built: Entra ID, Google's token services and its store.

The fakes give tokens only for what they should, and note for whom. A conftest imports the fixtures that its tests use:
`internet` is all the hosts there are, and `aws`, `entra`, `google` and `azurite` put themselves into it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.auth import gcp
from tests.kit.azurite import Azurite
from tests.kit.internet import Asked, Internet, Reply, forwarded


def token(**claims: Any) -> str:
    """A JSON Web Token that nobody signed."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256', 'typ': 'JWT', 'kid': 'k'})}.{part(claims)}.{'c2lnbmF0dXJl'}"


def claims(text: str) -> dict[str, Any]:
    """What a token says."""
    middle = text.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return found


def said(status: int, body: object) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


class Entra:
    """Entra ID: knows a tenant's clients by their secret, or by the subject of a federated token."""

    host = "login.microsoftonline.com"

    def __init__(self, internet: Internet) -> None:
        self.secrets: dict[str, str] = {}
        self.subjects: dict[str, str] = {}
        self.life = 3600
        internet.hosts_of[self.host] = self.answer

    def answer(self, asked: Asked) -> Reply:
        base, path = f"https://{asked.host}", urlsplit(asked.path).path
        if path == "/common/discovery/instance":
            names = [asked.host, "login.windows.net"]
            network = {"preferred_network": asked.host, "preferred_cache": asked.host, "aliases": names}
            return said(200, {"tenant_discovery_endpoint": f"{base}/t/v2.0/x", "metadata": [network]})
        tenant = path.split("/")[1]
        if path.endswith("/.well-known/openid-configuration"):
            return said(
                200,
                {
                    "issuer": f"{base}/{tenant}/v2.0",
                    "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
                    "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
                },
            )
        form = asked.form
        client = form.get("client_id", "")
        proven = form.get("client_secret") == self.secrets.get(client, object())
        if assertion := form.get("client_assertion"):
            about = claims(assertion)
            proven = about.get("sub") == self.subjects.get(client) and about.get("aud") in (
                ["api://AzureADTokenExchange"],
                f"{base}/{tenant}/oauth2/v2.0/token",
            )
        if not proven:
            text = f"AADSTS700213: no identity of the client '{client}'"
            return said(401, {"error": "invalid_client", "error_description": text})
        resource = form["scope"].split()[0].removesuffix("/.default")
        now = int(time.time())
        given = token(
            aud=resource, iss=f"https://sts.windows.net/{tenant}/", iat=now, nbf=now, exp=now + self.life, appid=client
        )
        return said(200, {"token_type": "Bearer", "expires_in": self.life, "access_token": given})


class Google:
    """Google's token services and Cloud Storage."""

    def __init__(self, internet: Internet) -> None:
        self.subjects: dict[str, str] = {}
        """Which subject may exchange its token at an identity provider."""
        self.impersonated: dict[str, str] = {}
        """Which subject may act as an email."""
        self.tokens: dict[str, str] = {}
        """Token → whose it is."""
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.readers: set[str] = set()
        self.page = 2
        internet.hosts_of["sts.googleapis.com"] = self._exchange
        internet.hosts_of["iamcredentials.googleapis.com"] = self._impersonate
        internet.hosts_of["storage.googleapis.com"] = self._store

    def give(self, whose: str) -> str:
        made = f"ya29.{hashlib.sha256(f'{whose} {len(self.tokens)}'.encode()).hexdigest()}"
        self.tokens[made] = whose
        return made

    def whose(self, asked: Asked) -> str:
        return self.tokens.get(asked.headers.get("Authorization", "").removeprefix("Bearer "), "")

    def _exchange(self, asked: Asked) -> Reply:
        form = asked.form
        about = claims(form["subject_token"])
        if about["sub"] != self.subjects.get(form["audience"]):
            return said(403, {"error": "unauthorized_client", "error_description": "this subject is unknown here"})
        given = self.give(about["sub"])
        return said(200, {"access_token": given, "expires_in": 3600, "token_type": "Bearer",
                          "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})  # fmt: skip

    def _impersonate(self, asked: Asked) -> Reply:
        email = unquote(asked.path).rpartition("/")[2].partition(":")[0]
        if not self.whose(asked) or self.impersonated.get(email) != self.whose(asked):
            return said(403, {"error": {"message": f"may not act as {email}"}})
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        return said(200, {"accessToken": self.give(email), "expireTime": until})

    def _store(self, asked: Asked) -> Reply:
        parts = urlsplit(asked.path).path.split("/", 6)  # /storage/v1/b/BUCKET/o[/NAME]
        bucket, name = unquote(parts[4]), unquote(parts[6]) if len(parts) > 6 else ""
        if self.whose(asked) not in self.readers:
            return said(403, {"error": {"message": f"{self.whose(asked) or 'anyone'} may not read {bucket}"}})
        if bucket not in self.buckets:
            return said(404, {"error": {"message": "The specified bucket does not exist."}})
        objects = self.buckets[bucket]
        if name:
            wanted = asked.query.get("generation")
            if name not in objects or (wanted and wanted != _generation(objects[name])):
                return said(404, {"error": {"message": f"No such object: {bucket}/{name}"}})
            return Reply(200, objects[name]) if asked.query.get("alt") else said(200, _entry(name, objects[name]))
        query = asked.query
        names = sorted(n for n in objects if n.startswith(query.get("prefix", "")) and n > query.get("pageToken", ""))
        page = {"items": [_entry(n, objects[n]) for n in names[: self.page]]}
        return said(200, page | ({"nextPageToken": names[self.page - 1]} if len(names) > self.page else {}))


def _generation(data: bytes) -> str:
    return str(int(hashlib.sha256(data).hexdigest()[:12], 16))


def _entry(name: str, data: bytes) -> dict[str, str]:
    return {"name": name, "etag": f"C{_generation(data)}=", "generation": _generation(data)}


def key_of_google(**change: str) -> bytes:
    """The JSON of a service account's key."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = {
        "type": "service_account",
        "private_key": private.decode(),
        "client_email": "robot@project.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps(key | change).encode()


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """AWS, in this process and empty; its address."""
    server = pytest.importorskip("moto.moto_server.threaded_moto_server", reason="moto isn't installed")
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    try:
        host, port = running.get_host_and_port()
        requests.post(f"http://{host}:{port}/moto-api/reset", timeout=20)  # what it holds is this process'
        yield f"http://{host}:{port}"
    finally:
        running.stop()


@pytest.fixture
def internet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Internet]:
    """All hosts there are; this process, and those it starts, find them and trust them."""
    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_", "VAULT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with Internet(tmp_path / "internet") as made:
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        # It was made when the module was imported, and is shared by all that bring no authority of their own.
        aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(made.ca)
        yield made


@pytest.fixture
def entra(internet: Internet) -> Entra:
    return Entra(internet)


@pytest.fixture
def google(internet: Internet, monkeypatch: pytest.MonkeyPatch) -> Google:
    monkeypatch.setattr(gcp, "_cluster", gcp._Cluster())
    return Google(internet)


@pytest.fixture
def aws(internet: Internet) -> Iterator[Internet]:
    with moto() as address:
        internet.hosts_of["*.amazonaws.com"] = forwarded(address)
        yield internet


@pytest.fixture
def azurite(internet: Internet, tmp_path: Path) -> Iterator[Azurite]:
    internet.context_of("azurite")
    with Azurite(tmp_path, tmp_path / "internet" / "azurite.pem") as running:
        internet.hosts_of[Azurite.host] = forwarded(running.address)
        yield running
