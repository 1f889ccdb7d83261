"""Clouds for tests: AWS by moto, Blob Storage by Azurite, and what nobody has built: Entra ID, Google's token services.

The fakes give tokens only for what they should, and note for whom. `entra(…)` and `google(…)` are put into an
`Internet`; `moto()` and `Azurite` are servers of their own.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
import requests

from tests.kit.internet import Asked, Internet, Reply
from tests.kit.processes import free_ports

AZURITE = "3.35.0"
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""What Azurite documents for everyone."""


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


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """AWS, in this process; its address."""
    server = pytest.importorskip("moto.moto_server.threaded_moto_server", reason="moto isn't installed")
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    try:
        host, port = running.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        running.stop()


class Azurite:
    """Blob Storage, over HTTPS so that it takes tokens; installed on first use below ~/.cache/fluvial."""

    def __init__(self, folder: Path, certificate: Path, key: Path) -> None:
        (port,) = free_ports(1)
        self.address = f"https://127.0.0.1:{port}"
        program = _azurite()
        self._log = (folder / "azurite.log").open("w")
        self._process = subprocess.Popen(
            [str(program), "--inMemoryPersistence", "--skipApiVersionCheck", "--oauth", "basic", "--cert",
             str(certificate), "--key", str(key), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"],
            cwd=folder, stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                requests.get(self.address, verify=False, timeout=5)
                return
            except requests.ConnectionError:
                assert self._process.poll() is None, (folder / "azurite.log").read_text()
                assert time.monotonic() < deadline, "azurite doesn't answer"
                time.sleep(0.1)

    def __enter__(self) -> Azurite:
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def put(self, container: str, blobs: dict[str, bytes]) -> None:
        """Makes a container with these blobs."""
        self._send("PUT", f"/{ACCOUNT}/{container}?restype=container", b"", {})
        for name, data in blobs.items():
            self._send("PUT", f"/{ACCOUNT}/{container}/{quote(name)}", data, {"x-ms-blob-type": "BlockBlob"})

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        parts = urlsplit(path)
        headers = {**headers, "x-ms-date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
                   "x-ms-version": "2021-12-02"}  # fmt: skip
        query = dict(part.split("=") for part in parts.query.split("&") if part)
        shown = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        asked = "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        length = str(len(body)) if body else ""
        text = f"{method}\n\n\n{length}\n\n\n\n\n\n\n\n\n{shown}/{ACCOUNT}{parts.path}{asked}"
        signature = base64.b64encode(hmac.digest(base64.b64decode(ACCOUNT_KEY), text.encode(), "sha256")).decode()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
        answer = requests.request(method, self.address + path, data=body, headers=headers, verify=False, timeout=20)
        assert answer.status_code in (201, 409), answer.text


def _azurite() -> Path:
    folder = Path.home() / ".cache" / "fluvial" / f"azurite-{AZURITE}"
    program = folder / "node_modules" / ".bin" / "azurite-blob"
    if not program.exists():
        if not shutil.which("npm"):
            pytest.skip("Azurite needs npm (Node.js) to be installed")
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", f"azurite@{AZURITE}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode:
            pytest.skip(f"Azurite can't be installed: {done.stderr[-200:]}")
    return program
