"""A bare API client for the benchmark: it sends what it is told, 32 requests at a time, and watches one collection.

It shares nothing with the code under test, so that the floor it measures is no image of that code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import aiohttp

from tests.kit.api import Api

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"


PROGRESS = 10.0
"""Seconds after which whoever waits for many objects says how many are there."""


class BenchFailed(Exception):
    """A phase could not be measured; the message says where it stood."""


class Client:
    """One API server, as the administrator of the kubeconfig that `api` was made from."""

    def __init__(self, api: Api, session: aiohttp.ClientSession) -> None:
        self._url, self._session = api.url, session
        self._headers = {"Authorization": str(api.session.headers.get("Authorization", ""))}
        ca = api.session.verify
        self._ssl: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca) if isinstance(ca, str) else bool(ca)
        self._turn = asyncio.Semaphore(32)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "application/json",
        user: str = "",
        agent: str = "bench",
        fine: int = 0,
    ) -> Any:
        """One call, as `user` if given; the decoded answer. The server takes `agent` as its field manager. BenchFailed
        on a 4xx or 5xx other than `fine`. Sent again when the server asks for that (429), as it does while a kind is
        new."""
        headers = {**self._headers, "Content-Type": kind, "User-Agent": agent}
        if user:
            headers["Impersonate-User"] = user
        data = None if body is None else json.dumps(body)
        async with self._turn:
            while True:
                async with self._session.request(
                    method, self._url + path, data=data, headers=headers, ssl=self._ssl
                ) as answer:
                    text = await answer.text()
                if answer.status != 429:
                    break
                await asyncio.sleep(float(answer.headers.get("Retry-After", 1)))
        if answer.status >= 400 and answer.status != fine:
            raise BenchFailed(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text)

    async def watch(self, path: str) -> Collection:
        """List a collection and follow it from then on; close() the result."""
        listed = await self.send("GET", path)
        found = Collection(path)
        for item in listed["items"]:
            found.put(item)
        found.task = asyncio.create_task(self._follow(found, listed["metadata"]["resourceVersion"]))
        return found

    async def _follow(self, found: Collection, version: str) -> None:
        """Watch for good: a server may end a watch at any time, so it is taken up again where it ended."""
        no_end = aiohttp.ClientTimeout(total=None)
        while True:
            query = f"?watch=true&resourceVersion={version}&allowWatchBookmarks=true"
            async with self._session.get(
                self._url + found.path + query, headers=self._headers, ssl=self._ssl, timeout=no_end
            ) as answer:
                rest = b""
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        change = json.loads(line)
                        if change["type"] == "ERROR":
                            raise BenchFailed(f"watch {found.path}: {change['object']}")
                        version = change["object"]["metadata"]["resourceVersion"]
                        if change["type"] != "BOOKMARK":
                            found.put(change["object"], gone=change["type"] == "DELETED")


@contextlib.asynccontextmanager
async def connected(api: Api) -> AsyncIterator[Client]:
    """A client with connections for all that it sends at once, and for its watches."""
    connector, limit = aiohttp.TCPConnector(limit=64), aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
        yield Client(api, session)


class Collection:
    """The live objects of one collection by name, as a watch tells them."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.objects: dict[str, dict[str, Any]] = {}
        self.task: asyncio.Task[None] | None = None
        self.came: dict[str, float] = {}
        """When the newest state of each object came, by time.monotonic()."""
        self._changed = asyncio.Event()
        self._news: set[str] = set()

    def put(self, obj: dict[str, Any], *, gone: bool = False) -> None:
        """Note one change."""
        name = obj["metadata"]["name"]
        self.came[name] = time.monotonic()
        self._news.add(name)
        if gone:
            self.objects.pop(name, None)
        else:
            self.objects[name] = obj
        self._changed.set()

    async def until_all(self, count: int, holds: Callable[[dict[str, Any]], bool], what: str, timeout: float) -> None:
        """Wait until exactly `count` objects are there and it holds of all; BenchFailed after `timeout` seconds. Says
        on stderr how far it is while it takes long."""
        start = told = time.monotonic()
        lacking: set[str] = set()
        self._news = set(self.objects)
        while True:
            # Only what changed is looked at, and changes in bursts: else a fleet costs its square.
            news, self._news = self._news, set()
            for name in news:
                (lacking.discard if name not in self.objects or holds(self.objects[name]) else lacking.add)(name)
            if len(self.objects) == count and not lacking:
                return
            now = time.monotonic()
            if now - start > timeout:
                raise BenchFailed(self._explain(count, sorted(lacking), what, timeout))
            if now - told > PROGRESS:
                done, told = len(self.objects) - len(lacking), now
                print(f"  {what}: {done} of {count} after {now - start:.0f} s", file=sys.stderr, flush=True)
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 1)
                await asyncio.sleep(0.02)
            if self.task and self.task.done():
                self.task.result()

    async def until(self, name: str, holds: Callable[[dict[str, Any]], bool], what: str, timeout: float) -> float:
        """Wait until it holds of one object; when, by time.monotonic(), the change came that made it so. BenchFailed
        after `timeout` seconds."""
        await self._until(lambda: name in self.objects and holds(self.objects[name]), what, timeout)
        return self.came[name]

    async def until_gone(self, name: str, timeout: float) -> None:
        """Wait until an object is gone; BenchFailed after `timeout` seconds."""
        await self._until(lambda: name not in self.objects, f"end of {name}", timeout)

    async def _until(self, is_so: Callable[[], bool], what: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not is_so():
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise BenchFailed(f"{what}: not after {timeout:.0f} s") from None
            if self.task and self.task.done():
                self.task.result()

    def _explain(self, count: int, lacking: Sequence[str], what: str, timeout: float) -> str:
        said = ""
        if lacking:
            status = self.objects[lacking[0]].get("status", {})
            said = f"; {lacking[0]} says {json.dumps(status.get('conditions', status))[:800]}"
        return f"{what}: {len(self.objects) - len(lacking)} of {count} after {timeout:.0f} s{said}"

    def close(self) -> None:
        """Stop following."""
        if self.task:
            self.task.cancel()
