"""The HTTP servers that every controller has: /healthz and /readyz, and /metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from shared.loop import metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def address(text: str) -> tuple[str, int]:
    """Host and port of a listen address such as `:8080` or `127.0.0.1:0`; an empty host is all interfaces."""
    host, _, port = text.rpartition(":")
    if not port.isdigit():
        raise ValueError(f"{text!r} is not an address: expected HOST:PORT or :PORT")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - what an empty host means for these flags


async def serve(routes: Mapping[str, Handler], listen: str) -> web.AppRunner | None:
    """Serve GET routes at an address until the runner is cleaned up; "0" or "" turns the server off."""
    if listen in ("", "0"):
        return None
    app = web.Application()
    app.add_routes([web.get(path, handler) for path, handler in routes.items()])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    host, port = address(listen)
    await web.TCPSite(runner, host, port).start()
    return runner


async def alive(_: web.Request) -> web.Response:
    """200 while the event loop turns."""
    return web.Response(text="ok")


def ready(check: Callable[[], str]) -> Handler:
    """200 when `check` returns "", else 503 with what it says."""

    async def handler(_: web.Request) -> web.Response:
        problem = check()
        return web.Response(text=problem or "ok", status=503 if problem else 200)

    return handler


async def expose(_: web.Request) -> web.Response:
    """Prometheus' text format. A scrape of thousands of objects keeps nobody waiting."""
    pieces = []
    for piece in metrics.pieces():
        pieces.append(piece)
        await asyncio.sleep(0)
    body = b"".join(pieces)
    return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})
