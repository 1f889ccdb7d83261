"""How events are posted: to which URL, over which connection, and what is said when nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from fluvial.processes import free_ports
from shared.loop.endpoint import Endpoint, PostFailed


@dataclass
class Listener:
    """What came: each body with its URL, its user agent and the port of its connection."""

    port: int = 0
    status: int = 202
    came: list[tuple[str, bytes]] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever a connection has ended."""

    async def take(self, request: web.BaseRequest) -> web.Response:
        assert request.headers["Content-Type"] == "application/json"
        assert request.transport is not None
        self.came.append((request.path_qs, await request.read()))
        self.agents.add(request.headers["User-Agent"])
        self.ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(status=self.status)


class _Server(web.Server):
    """Tells when a connection has ended."""

    def __init__(self, take: Any, *, ended: Callable[[], None], **options: Any) -> None:
        super().__init__(take, **options)
        self._ended = ended

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._ended()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()
    runner = web.ServerRunner(_Server(made.take, keepalive_timeout=0.2, ended=made.ended.set))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "asked"), [("", "/"), ("/", "/"), ("/events", "/events"), ("/events/?of=a", "/events/?of=a")]
)
async def test_events_go_to_the_path_of_the_address(listener: Listener, path: str, asked: str) -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{listener.port}{path}", "source-controller")
    assert await endpoint.post(b'{"one":1}', 5) == 202
    await endpoint.close()
    assert listener.came == [(asked, b'{"one":1}')]
    assert listener.agents == {"source-controller"}


async def test_one_connection_takes_event_after_event(listener: Listener) -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{listener.port}/", "source-controller")
    for number in range(5):
        await endpoint.post(b"%d" % number, 5)
    await endpoint.close()
    assert [body for _, body in listener.came] == [b"0", b"1", b"2", b"3", b"4"]
    assert len(listener.ports) == 1


async def test_an_event_after_a_pause_arrives_over_a_new_connection(listener: Listener) -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{listener.port}/", "source-controller")
    await endpoint.post(b"1", 5)
    async with asyncio.timeout(5):
        await listener.ended.wait()  # it keeps a connection for a moment only
    assert await endpoint.post(b"2", 5) == 202
    await endpoint.close()
    assert [body for _, body in listener.came] == [b"1", b"2"]
    assert len(listener.ports) == 2


async def test_a_refusal_is_an_answer(listener: Listener) -> None:
    listener.status = 429
    endpoint = Endpoint(f"http://127.0.0.1:{listener.port}/", "source-controller")
    assert await endpoint.post(b"1", 5) == 429
    await endpoint.close()


async def test_nobody_listens() -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{free_ports(1)[0]}/", "source-controller")
    with pytest.raises(PostFailed, match="Connection refused"):
        await endpoint.post(b"1", 5)
    await endpoint.close()


async def test_who_listens_and_never_answers_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    endpoint = Endpoint(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "source-controller")
    with pytest.raises(PostFailed):
        await endpoint.post(b"1", 0.2)
    await endpoint.close()
    server.close()


@pytest.mark.parametrize("address", ["http://", "http://:9090/", "http://a:b:c/"])
async def test_an_address_without_a_host_is_a_failure_of_the_post(address: str) -> None:
    endpoint = Endpoint(address, "source-controller")
    with pytest.raises(PostFailed):
        await endpoint.post(b"1", 5)
    await endpoint.close()
