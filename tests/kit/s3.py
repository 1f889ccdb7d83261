"""An object store for tests, in memory, on the loopback interface: lists buckets in pages and gives their objects.

    with S3() as store:
        store.buckets["app"] = {"a.yaml": b"a: 1"}      # the endpoint is store.endpoint

`keys` maps a bucket to the access key it wants; `region` is where it says its buckets are; `requests` lists what was
asked, with the Authorization header; `answer` may be set to a function of the path that returns a status and headers.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.kit.loopback import Handler, Loopback

LDAP_KEY = "LDAPKEY"


class _Handler(Handler):
    owner: S3

    def do_GET(self) -> None:
        owner, url = self.owner, urlsplit(self.path)
        sent = self.headers.get("Authorization", "")
        owner.requests.append((self.path, sent))
        if instead := owner.answer(self.path):
            self.reply(instead[0], b"", **instead[1])
            return
        name, _, key = unquote(url.path).lstrip("/").partition("/")
        if name not in owner.buckets:
            self._error(404, "NoSuchBucket")
            return
        wanted = owner.keys.get(name)
        if wanted and f"Credential={wanted}/" not in sent:
            self._error(403, "AccessDenied")
        elif wanted and f"/{owner.region}/s3/" not in sent:
            self._error(400, "AuthorizationHeaderMalformed", f"<Region>{owner.region}</Region>")
        elif not key:
            self._list(owner.buckets[name], parse_qs(url.query))
        elif key in owner.gone or key not in owner.buckets[name]:
            self._error(404, "NoSuchKey")
        else:
            self.reply(200, owner.buckets[name][key], ETag=_etag(owner.buckets[name][key]))

    def do_POST(self) -> None:
        """The token service that such stores have for the names of a directory."""
        form = {name: values[0] for name, values in parse_qs(self.body().decode()).items()}
        owner, name = self.owner, form.get("LDAPUsername", "")
        if form.get("Action") != "AssumeRoleWithLDAPIdentity" or owner.people.get(name) != form.get("LDAPPassword"):
            self._error(403, "AccessDenied")
            return
        owner.logins.append(name)
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        keys = {"AccessKeyId": LDAP_KEY, "SecretAccessKey": "LDAPSECRET", "SessionToken": "a-session"}
        entries = "".join(f"<{name}>{value}</{name}>" for name, value in {**keys, "Expiration": until}.items())
        action, namespace = "AssumeRoleWithLDAPIdentity", "https://sts.amazonaws.com/doc/2011-06-15/"
        text = f"<{action}Result><Credentials>{entries}</Credentials></{action}Result>"
        text = f'<{action}Response xmlns="{namespace}">{text}</{action}Response>'
        self.reply(200, text.encode())

    def _list(self, objects: dict[str, bytes], query: dict[str, list[str]]) -> None:
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        keys = sorted(key for key in objects if key.startswith(prefix) and key > after)
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><ETag>{escape(_etag(objects[key]))}</ETag></Contents>"
            for key in keys[: self.owner.page]
        )
        more = len(keys) > self.owner.page
        token = f"<NextContinuationToken>{escape(keys[self.owner.page - 1])}</NextContinuationToken>" if more else ""
        body = f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}"
        text = f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</ListBucketResult>'
        self.reply(200, text.encode())

    def _error(self, status: int, code: str, more: str = "") -> None:
        self.reply(status, f"<Error><Code>{code}</Code><Message>no</Message>{more}</Error>".encode())


class S3(Loopback):
    """Serves `buckets`; a page of a listing has `page` objects."""

    handler = _Handler

    def __init__(self, page: int = 1000, region: str = "us-east-1") -> None:
        super().__init__()
        self.page, self.region = page, region
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.keys: dict[str, str] = {}
        self.gone: set[str] = set()
        """Keys that are listed and not there."""
        self.people: dict[str, str] = {}
        """The passwords of those whom the token service gives the key LDAP_KEY."""
        self.logins: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.answer: Callable[[str], tuple[int, dict[str, str]] | None] = lambda path: None

    @property
    def endpoint(self) -> str:
        return self.host


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'
