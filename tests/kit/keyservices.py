"""Key services for tests, of which nobody built a stand-in: Azure Key Vault, Google's KMS, and Vault's transit keys.

Each encrypts and decrypts for who proves to be somebody, and notes in `served` who that was. "Encrypted" is turned
around: what counts is who gets it.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from tests.kit.clouds import Google, claims, said
from tests.kit.internet import Asked, Internet, Reply
from tests.kit.loopback import Handler, Loopback

GOOGLE_KEY = "projects/p/locations/global/keyRings/r/cryptoKeys/k"


class KeyVault:
    """An Azure Key Vault; who is served is the client of the token."""

    host = "team.vault.azure.net"
    key = f"https://{host}/keys/k/0123456789abcdef0123456789abcdef"

    def __init__(self, internet: Internet) -> None:
        self.served: list[str] = []
        internet.hosts_of[self.host] = self._answer

    def _answer(self, asked: Asked) -> Reply:
        given = asked.headers.get("Authorization", "").removeprefix("Bearer ")
        if not given:
            where = 'authorization="https://login.microsoftonline.com/tenant"'
            return Reply(401, b"", {"WWW-Authenticate": f'Bearer {where}, resource="https://vault.azure.net"'})
        about = claims(given)
        if about.get("aud") != "https://vault.azure.net":
            return said(403, {"error": {"code": "Forbidden", "message": "this token is for something else"}})
        self.served.append(about["appid"])
        sent = json.loads(asked.body)["value"]
        value = base64.urlsafe_b64decode(sent + "=" * (-len(sent) % 4))[::-1]
        return said(200, {"kid": self.key, "value": base64.urlsafe_b64encode(value).rstrip(b"=").decode()})


class GoogleKMS:
    """A key of Google's; who is served is whose the token is."""

    def __init__(self, internet: Internet, google: Google) -> None:
        self.served: list[str] = []
        self._google = google
        internet.hosts_of["cloudkms.googleapis.com"] = self._answer

    def _answer(self, asked: Asked) -> Reply:
        whose = self._google.whose(asked)
        if not whose:
            return said(403, {"error": {"code": 403, "message": "nobody", "status": "PERMISSION_DENIED"}})
        self.served.append(whose)
        body = json.loads(asked.body)
        sent, answer = ("plaintext", "ciphertext") if ":encrypt" in asked.path else ("ciphertext", "plaintext")
        return said(200, {"name": GOOGLE_KEY, answer: base64.b64encode(base64.b64decode(body[sent])[::-1]).decode()})


class _Handler(Handler):
    owner: Vault

    def do_POST(self) -> None:
        owner, body = self.owner, json.loads(self.body())
        if self.path == f"/v1/{owner.login}":
            about = claims(body["jwt"])
            if owner.roles.get(body["role"]) != about["sub"] or about["aud"] != [owner.address]:
                self._said(403, {"errors": ["permission denied"]})
                return
            token = f"hvs.{len(owner.tokens)}-{body['role']}"
            owner.tokens[token] = body["role"]
            self._said(200, {"auth": {"client_token": token, "lease_duration": 3600}})
            return
        given = self.headers.get("X-Vault-Token", "")
        owner.seen.append(given)
        found = re.fullmatch(r"/v1/transit/(encrypt|decrypt)/k", self.path)
        if given not in owner.tokens or not found:
            self._said(403, {"errors": ["permission denied"]})
            return
        owner.served.append(owner.tokens[given])
        if found[1] == "encrypt":
            self._said(200, {"data": {"ciphertext": f"vault:v1:{body['plaintext'][::-1]}"}})
        else:
            self._said(200, {"data": {"plaintext": body["ciphertext"].removeprefix("vault:v1:")[::-1]}})

    do_PUT = do_POST  # noqa: N815

    def _said(self, status: int, body: Any) -> None:
        self.reply(status, json.dumps(body).encode(), **{"Content-Type": "application/json"})


class Vault(Loopback):
    """A Vault server with a transit key; who is served is the role of the token."""

    handler = _Handler

    def __init__(self, login: str = "auth/kubernetes/login") -> None:
        super().__init__()
        self.login = login
        self.roles: dict[str, str] = {}
        """The subject that may log in as a role."""
        self.tokens = {"root": "root"}
        self.served: list[str] = []
        self.seen: list[str] = []
        """Every token that was sent with a request for the key."""

    @property
    def key(self) -> str:
        return f"{self.address}/v1/transit/keys/k"
