"""STS: short-lived keys for a store of one's own, for a name in an LDAP directory.

username + password → AssumeRoleWithLDAPIdentity → Keys
"""

from __future__ import annotations

import ssl
import time
from urllib.parse import urlencode

from shared import http
from shared.api.meta import parse_time
from shared.auth import Keys
from shared.auth.tokens import Fresh
from shared.http import HttpError
from source_controller.buckets.store import BucketError, document, reason


async def of_ldap(
    endpoint: str,
    username: str,
    password: str,
    *,
    tls: ssl.SSLContext | None = None,
    proxy: str = "",
    seconds: float = 60.0,
) -> Fresh[Keys]:
    """The keys that the service gives. BucketError says why it gives none."""
    form = urlencode(
        {
            "Action": "AssumeRoleWithLDAPIdentity",
            "LDAPUsername": username,
            "LDAPPassword": password,
            "Version": "2011-06-15",
        }
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        async with http.open_(tls=tls, proxy=proxy, seconds=seconds) as connection:
            answer = await connection.post(endpoint, form.encode(), headers=headers)
    except HttpError as error:
        raise BucketError(str(error)) from error
    if not answer.is_good:
        raise BucketError(_refusal(reason(answer)))
    found = document(answer.body).find(".//Credentials")
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    access, secret, session = ((found.findtext(name) or "" if found is not None else "") for name in names)
    if found is None or not access or not secret:
        raise BucketError("its answer has no keys in it")
    try:
        expires = parse_time(found.findtext("Expiration") or "").timestamp()
    except ValueError:
        expires = time.time()
    return Fresh(Keys(access, secret, session), expires)


def _refusal(text: str) -> str:
    return f"it gives no keys: {text}"
