"""Google Cloud Storage, by its JSON interface.

    bucket + access token → listing, objects

STORAGE_EMULATOR_HOST says where it is when that isn't Google. An object is fetched as it was when it was listed; one
that was overwritten meanwhile is looked up again.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from shared import http
from shared.http import Answer, Http, HttpError
from source_controller.buckets.store import LIST_LIMIT, MAX_BYTES, BucketError, Downloads, NoSuchObject, require_few

HOST = "https://storage.googleapis.com"
_FIELDS = "nextPageToken,items(name,etag,generation)"


class GCS:
    """One bucket while its connections are open; made by `open_`."""

    def __init__(self, connection: Http, bucket: str, token: str, max_bytes: int) -> None:
        self._http, self._bucket = connection, bucket
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._downloads = Downloads(connection, max_bytes)
        self._listed: dict[str, tuple[str, str]] = {}
        """Name → ETag and generation."""
        host = os.environ.get("STORAGE_EMULATOR_HOST") or HOST
        self._base = f"{host if '://' in host else f'http://{host}'}/storage/v1/b/{quote(bucket, safe='')}/o"

    async def objects(self, prefix: str) -> dict[str, str]:
        """Name → ETag of all objects whose name begins with `prefix`. BucketError when there is no such bucket."""
        token = ""
        while True:
            query = {"fields": _FIELDS, "maxResults": "1000", "prefix": prefix, "pageToken": token}
            answer = await self._asked(f"{self._base}?{urlencode({k: v for k, v in query.items() if v})}")
            if answer.status == 404:
                raise BucketError(f"bucket '{self._bucket}' not found")
            page = self._read(answer)
            for entry in page.get("items") or ():
                self._note(entry)
            found = {name: etag for name, (etag, _) in self._listed.items()}
            require_few(self._bucket, found)
            token = str(page.get("nextPageToken") or "")
            if not token:
                return found

    async def fetch(self, key: str, out: BinaryIO) -> str:
        """Writes an object's bytes; its ETag. NoSuchObject when it is gone."""
        for again in (True, False):
            if key not in self._listed:
                await self._look_up(key)
            etag, generation = self._listed[key]
            url = f"{self._url(key)}?{urlencode({'alt': 'media', 'generation': generation})}"
            try:
                await self._downloads.fetch(key, url, self._headers, out, _reason)
            except NoSuchObject:
                if not again:
                    raise
                del self._listed[key]
            else:
                return etag
        raise AssertionError("unreachable")

    async def _look_up(self, key: str) -> None:
        answer = await self._asked(self._url(key))
        if answer.status == 404:
            raise NoSuchObject(f"object '{key}' is gone")
        self._note(self._read(answer))

    async def _asked(self, url: str) -> Answer:
        try:
            return await self._http.get(url, headers=self._headers, limit=LIST_LIMIT)
        except HttpError as error:
            raise BucketError(f"failed to list objects from bucket '{self._bucket}': {error}") from error

    def _read(self, answer: Answer) -> dict[str, Any]:
        if not answer.is_good:
            message = f"failed to list objects from bucket '{self._bucket}': {_reason(answer)}"
            raise BucketError(message, retry_after=answer.retry_after)
        try:
            said = json.loads(answer.body)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise BucketError(f"what the store says of bucket '{self._bucket}' is no JSON object")
        return said

    def _note(self, entry: Any) -> None:
        try:
            self._listed[str(entry["name"])] = str(entry["etag"]), str(entry["generation"])
        except (KeyError, TypeError) as error:
            raise BucketError(f"the listing of bucket '{self._bucket}' has an object without name or ETag") from error

    def _url(self, key: str) -> str:
        return f"{self._base}/{quote(key, safe='')}"


@asynccontextmanager
async def open_(
    bucket: str,
    token: str,
    *,
    tls: ssl.SSLContext | None = None,
    proxy: str = "",
    seconds: float = 60.0,
    max_bytes: int = MAX_BYTES,
) -> AsyncIterator[GCS]:
    """A bucket; `max_bytes` bounds all that is fetched from it together."""
    async with http.open_(tls=tls, proxy=proxy, seconds=seconds) as connection:
        yield GCS(connection, bucket, token, max_bytes)


def _reason(answer: Answer) -> str:
    """Status and what Google says."""
    text = f"{answer.status} {answer.reason}".strip()
    try:
        told = str(json.loads(answer.body)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
    return f"{text} ({told.splitlines()[0][:300]})" if told.strip() else text
