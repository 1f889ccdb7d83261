"""S3: what Amazon's store and all that speak its protocol understand.

    bucket + keys → signed requests → listing, objects

Requests are signed with AWS Signature Version 4, or not at all without keys. The region is the spec's, else what the
store says it is. This speaks with stores of anyone, so it is done here, over the bounded client, rather than by AWS'
library, which is an extra and bounds nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO
from urllib.parse import quote, urlencode

from shared import http
from shared.auth import Keys
from shared.http import Answer, Http, HttpError
from source_controller.buckets.store import (
    LIST_LIMIT,
    MAX_BYTES,
    BucketError,
    Downloads,
    document,
    reason,
    require_few,
)

DEFAULT_REGION = "us-east-1"
_NOTHING = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Bucket:
    """Where a bucket is."""

    name: str
    endpoint: str
    region: str = ""
    insecure: bool = False
    virtual_host: bool = False
    """Whether the bucket's name is part of the host, as Amazon wants it, or of the path."""

    @property
    def host(self) -> str:
        """The host to ask."""
        return f"{self.name}.{self.endpoint}" if self.virtual_host else self.endpoint

    def path(self, key: str = "") -> str:
        """The path of the bucket or of an object in it, encoded as it is signed."""
        folder = "" if self.virtual_host else f"/{_encoded(self.name)}"
        return f"{folder}/{_encoded(key, '/')}" if key or not folder else folder


class S3:
    """One bucket while its connections are open; made by `open_`."""

    def __init__(self, connection: Http, bucket: Bucket, keys: Keys, max_bytes: int) -> None:
        self._http, self._bucket, self._keys = connection, bucket, keys
        self._downloads = Downloads(connection, max_bytes)
        self._region = bucket.region or DEFAULT_REGION

    async def objects(self, prefix: str) -> dict[str, str]:
        """Key → ETag of all objects whose key begins with `prefix`. BucketError when there is no such bucket."""
        found: dict[str, str] = {}
        token = ""
        while True:
            query = {"list-type": "2", **({"prefix": prefix} if prefix else {})}
            answer = await self._listed({**query, "continuation-token": token} if token else query)
            page = document(answer.body)
            for entry in page.iter("Contents"):
                key, etag = entry.findtext("Key") or "", entry.findtext("ETag") or ""
                found[key] = etag.strip('"')
            require_few(self._bucket.name, found)
            token = page.findtext("NextContinuationToken") or ""
            if page.findtext("IsTruncated") != "true" or not token:
                return found

    async def fetch(self, key: str, out: BinaryIO) -> str:
        """Writes an object's bytes; its ETag. NoSuchObject when it is gone."""
        path = self._bucket.path(key)
        answer = await self._downloads.fetch(key, self._url(path), self._signed(path, ""), out, reason)
        return answer.headers.get("ETag", "").strip('"')

    async def _listed(self, query: Mapping[str, str]) -> Answer:
        path, text = self._bucket.path(), urlencode(sorted(query.items()), quote_via=quote, safe="-_.~")
        name = self._bucket.name
        for again in (True, False):
            try:
                answer = await self._http.get(
                    f"{self._url(path)}?{text}", headers=self._signed(path, text), limit=LIST_LIMIT
                )
            except HttpError as error:
                raise BucketError(f"failed to list objects from bucket '{name}': {error}") from error
            if answer.is_good:
                return answer
            region = _told_region(answer)
            if again and region and region != self._region and not self._bucket.region:
                self._region = region
                continue
            if answer.status == 404:
                raise BucketError(f"bucket '{name}' not found")
            hint = f" (the bucket is in region '{region}': set spec.region)" if region else ""
            message = f"failed to list objects from bucket '{name}': {reason(answer)}{hint}"
            raise BucketError(message, retry_after=answer.retry_after)
        raise AssertionError("unreachable")

    def _url(self, path: str) -> str:
        return f"{'http' if self._bucket.insecure else 'https'}://{self._bucket.host}{path}"

    def _signed(self, path: str, query: str) -> dict[str, str]:
        if not self._keys.access:
            return {}
        return sign(self._keys, self._region, self._bucket.host, path, query, datetime.now(UTC))


@asynccontextmanager
async def open_(
    bucket: Bucket,
    keys: Keys,
    *,
    tls: ssl.SSLContext | None = None,
    proxy: str = "",
    seconds: float = 60.0,
    max_bytes: int = MAX_BYTES,
) -> AsyncIterator[S3]:
    """A bucket; `max_bytes` bounds all that is fetched from it together."""
    async with http.open_(tls=tls, proxy=proxy, seconds=seconds) as connection:
        yield S3(connection, bucket, keys, max_bytes)


def sign(keys: Keys, region: str, host: str, path: str, query: str, now: datetime) -> dict[str, str]:
    """The headers that sign a GET request without a body. `path` and `query` as they are sent, `query` sorted."""
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    headers = {"host": host, "x-amz-content-sha256": _NOTHING, "x-amz-date": stamp}
    if keys.session:
        headers["x-amz-security-token"] = keys.session
    names = ";".join(headers)
    shown = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"GET\n{path}\n{query}\n{shown}\n{names}\n{_NOTHING}"
    scope = f"{day}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {"Authorization": authorization, **{name: headers[name] for name in headers if name != "host"}}


def _encoded(text: str, safe: str = "") -> str:
    return quote(text, safe=f"-_.~{safe}")


def _told_region(answer: Answer) -> str:
    """The region that a refusal says the bucket is in."""
    region = answer.headers.get("x-amz-bucket-region", "")
    if not region and answer.status in (301, 307, 400):
        try:
            region = document(answer.body).findtext("Region") or ""
        except BucketError:
            return ""
    return region if re.fullmatch(r"[a-z0-9-]{1,64}", region) else ""
