"""A small HTTP client for the tests of the server: it speaks plain requests, so that every header is the test's own."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class Events:
    def __init__(self, response: aiohttp.ClientResponse):
        self.response = response

    async def next(self, timeout: float = 5) -> Any:
        line = await asyncio.wait_for(self.response.content.readline(), timeout)
        assert line, "the watch has ended"
        return json.loads(line)

    async def ended(self) -> None:
        while await self.response.content.readline():
            pass


class Api:
    def __init__(self, server: Any, session: aiohttp.ClientSession, token: str = ""):
        self.server = server
        self.session = session
        self.token = token or server.token

    def as_(self, token: str) -> Api:
        return Api(self.server, self.session, token)

    def raw(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return self.session.request(method, self.server.url + path, headers=headers, **options)

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        expect: int | None = None,
        accept: str = "application/json",
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Any:
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": content_type, "Accept": accept, **(headers or {})}
        async with self.raw(method, path, data=data, headers=sent) as response:
            text = await response.text()
            if expect is None:
                assert response.status < 400, text
            else:
                assert response.status == expect, text
            return json.loads(text)

    async def get(self, path: str, **options: Any) -> Any:
        return await self.send("GET", path, **options)

    async def post(self, path: str, body: Any, **options: Any) -> Any:
        return await self.send("POST", path, body, **options)

    async def put(self, path: str, body: Any, **options: Any) -> Any:
        return await self.send("PUT", path, body, **options)

    async def patch(self, path: str, body: Any, kind: str = "merge", **options: Any) -> Any:
        return await self.send("PATCH", path, body, content_type=PATCHES[kind], **options)

    async def apply(self, path: str, body: Any, manager: str = "test", *, force: bool = False, **options: Any) -> Any:
        query = f"fieldManager={manager}&force={str(force).lower()}"
        return await self.patch(f"{path}?{query}", body, "apply", **options)

    async def delete(self, path: str, body: Any = None, **options: Any) -> Any:
        return await self.send("DELETE", path, body, **options)

    @asynccontextmanager
    async def watch(self, path: str, **query: str):
        async with self.raw("GET", path, params={"watch": "true", **query}) as response:
            assert response.status == 200, await response.text()
            yield Events(response)

    async def until(self, path: str, check: Any, timeout: float = 5) -> Any:
        """Read a path until `check` holds of it (None while it isn't there)."""
        end = asyncio.get_running_loop().time() + timeout
        while True:
            async with self.raw("GET", path) as response:
                found = await response.json() if response.status == 200 else None
            if check(found):
                return found
            assert asyncio.get_running_loop().time() < end, f"{path} never became as wanted: {found}"
            await asyncio.sleep(0.01)
