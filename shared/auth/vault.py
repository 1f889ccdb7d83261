"""Vault and OpenBao: a ServiceAccount's token → a login path of the server → a token of the server.

The server's settings are those of its own tools: VAULT_CACERT, VAULT_CAPATH, VAULT_SKIP_VERIFY and VAULT_NAMESPACE.
"""

from __future__ import annotations

import json
import os
import ssl
from urllib.parse import quote, urlsplit

from shared import http
from shared.auth import threads
from shared.auth.errors import AuthError
from shared.auth.sessions import SECONDS
from shared.http import HttpError


async def login(address: str, path: str, role: str, token: str) -> str:
    """The token that a server gives for an account's. AuthError."""
    if urlsplit(address).scheme not in ("http", "https"):
        raise AuthError(f"'{address[:200]}' is no http or https address of a Vault server")
    body = json.dumps({"role": role, "jwt": token}).encode()
    headers = {"Content-Type": "application/json", "X-Vault-Request": "true"}
    if namespace := os.environ.get("VAULT_NAMESPACE"):
        headers["X-Vault-Namespace"] = namespace
    url = f"{address.rstrip('/')}/v1/{quote(path.strip('/'))}"
    try:
        async with http.open_(tls=await threads.done(_context), seconds=SECONDS) as connection:
            answer = await connection.post(url, body, headers=headers)
    except HttpError as error:
        raise AuthError(f"Vault can't be asked for a login: {error}") from error
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        said = {}
    where = f"Vault '{address}' at '{path}' for the role '{role}'"
    if not answer.is_good:
        errors = said.get("errors")
        told = "; ".join(str(each)[:200] for each in errors[:3]) if isinstance(errors, list) else ""
        raise AuthError(f"no login at {where}: {answer.status} {answer.reason}{told and f' ({told})'}")
    given = said["auth"].get("client_token") if isinstance(said.get("auth"), dict) else None
    if not isinstance(given, str) or not given or any(character.isspace() for character in given):
        raise AuthError(f"no login at {where}: its answer has no token")
    return given


def _context() -> ssl.SSLContext | None:
    file, folder = os.environ.get("VAULT_CACERT"), os.environ.get("VAULT_CAPATH")
    lax = os.environ.get("VAULT_SKIP_VERIFY", "").lower() in ("1", "t", "true")
    if not (file or folder or lax):
        return None
    try:
        made = ssl.create_default_context(cafile=file or None, capath=folder or None)
    except OSError as error:
        raise AuthError(f"the authorities of VAULT_CACERT or VAULT_CAPATH can't be read: {error.strerror}") from error
    if lax:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made
