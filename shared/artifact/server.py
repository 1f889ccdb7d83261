"""The file server: artifacts over HTTP, read only.

    GET or HEAD /<path> or /<digest>/<path> → a regular file below the root, whole or in ranges, with an ETag

What always holds: nothing outside the root is reachable, by `..`, by an absolute path or by a symbolic link; unfinished
files and directories are not there (404), except that `/` says that the server works; opening and sending files never
blocks the event loop. Files never change under an address (see store.py), so an ETag stays true for as long as the file
is there.
"""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path, PurePosixPath

from aiohttp import web

from shared.artifact import addresses


class FileServer:
    """Serves what is below `root`. `start` binds, `stop` waits for running downloads for a moment."""

    def __init__(self, root: Path, *, shutdown_timeout: float = 5.0):
        self._root = root.resolve()
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)  # HEAD comes with it
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=shutdown_timeout)
        self.port = 0

    async def start(self, addr: str) -> None:
        """Binds `host:port`; an empty host means all interfaces, port 0 a free one (see `port`)."""
        host, _, port = addr.rpartition(":")
        await self._runner.setup()
        site = web.TCPSite(self._runner, host.strip("[]") or None, int(port), backlog=512)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if not request.match_info["path"]:
            return web.Response(text="artifacts are served here\n")  # what the readiness probe of a Deployment asks
        file = await asyncio.to_thread(self._find, request.match_info["path"])
        if file is None:
            raise web.HTTPNotFound(text="no such artifact\n")
        kind = "application/gzip" if file.name.endswith((".gz", ".tgz")) or ".gz@" in file.name else None
        headers = {"X-Content-Type-Options": "nosniff"}
        response = web.FileResponse(file, chunk_size=1 << 18, headers=headers)
        response.content_type = kind or "application/octet-stream"
        return response

    def _find(self, path: str) -> Path | None:
        """The regular file that a request path names; None for all else. A link must lead to its own directory."""
        name = addresses.pinned_file(path)
        parts = PurePosixPath(name).parts
        if name.startswith("/") or "\0" in name or "\\" in name or any(part.startswith(".") for part in parts):
            return None
        file = self._root.joinpath(*parts)
        try:
            real = file.resolve(strict=True)
            if real.parent != file.parent or not stat.S_ISREG(real.stat().st_mode):
                return None
        except (OSError, RuntimeError):
            return None
        return real
