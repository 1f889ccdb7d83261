"""Azure's registries: an access token of Entra ID → the registry's own refresh token, which is its password.

Custom clouds are described by the file of AZURE_ENVIRONMENT_FILEPATH, as for Azure's cloud controllers.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import urlencode

from shared import http
from shared.auth.errors import AuthError
from shared.auth.results import Login
from shared.auth.sessions import SECONDS
from shared.auth.tokens import Fresh, ending
from shared.http import HttpError

USER = "00000000-0000-0000-0000-000000000000"
_HOST = re.compile(r".+\.azurecr\.(io|cn|de|us)")
_SCOPE = "https://containerregistry.azure.net/.default"


def environment() -> dict[str, str]:
    """What a custom cloud's file says; empty without one. AuthError when it can't be read."""
    file = os.environ.get("AZURE_ENVIRONMENT_FILEPATH")
    if file is None:
        return {}
    try:
        found = json.loads(Path(file).read_bytes())
        return {str(key): str(value) for key, value in found.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise AuthError("the file of AZURE_ENVIRONMENT_FILEPATH can't be read: it must be a JSON object") from error


def scope(host: str) -> str:
    """The scope of tokens for a registry. AuthError for a host that isn't one of Azure's."""
    custom = environment()
    if not _HOST.fullmatch(host):
        suffix = custom.get("containerRegistryDNSSuffix", "")
        if not suffix or not host.endswith(suffix):
            raise AuthError(f"'{host}' is no registry of Azure: it must end in .azurecr.io{suffix and f' or {suffix}'}")
    if custom:
        return _required(custom, "resourceManagerEndpoint").rstrip("/") + "/.default"
    return _SCOPE


async def login(host: str, token: str, proxy: str) -> Fresh[Login]:
    """The login that a registry gives for an access token."""
    form = urlencode({"grant_type": "access_token", "service": host, "access_token": token})
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    try:
        async with http.open_(proxy=proxy, seconds=SECONDS) as connection:
            answer = await connection.post(f"https://{host}/oauth2/exchange", form.encode(), headers=headers)
    except HttpError as error:
        raise AuthError(str(error)) from error
    if not answer.is_good:
        raise AuthError(f"the registry '{host}' doesn't take the token of Entra ID: {answer.status} {answer.reason}")
    try:
        given = str(json.loads(answer.body)["refresh_token"])
        return Fresh(Login(USER, given), ending(given))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AuthError(f"the registry '{host}' answers with no refresh token") from error


def _required(custom: dict[str, str], name: str) -> str:
    if not custom.get(name):
        raise AuthError(f"the file of AZURE_ENVIRONMENT_FILEPATH has no '{name}'")
    return custom[name]
