"""The transport against a server that says any bytes: what becomes of each way in which an exchange can go or end."""

from __future__ import annotations

import asyncio
import gc
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.http import tls as trust
from shared.kube import connections, errors, transport, wire
from shared.kube.credentials import Token
from shared.kube.limits import Bucket
from shared.kube.transport import Transport
from tests.kit.gitserver import Certificates
from tests.kit.hooks import Hooks, Reply
from tests.kube.raw_server import OK, Peer, RawServer, answering, connected


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def trusted(certificates: Certificates) -> ssl.SSLContext:
    return trust.context({"ca.crt": certificates.ca.encode()})


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, certificates: Certificates) -> ssl.SSLContext | None:
    """What the server speaks."""
    return certificates.context() if request.param == "tls" else None


@asynccontextmanager
async def talking(
    talk: Callable[[Peer], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
    trusted: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Transport, RawServer]]:
    async with (
        RawServer(talk).running(tls) as server,
        connected(server.address, tls=trusted if tls else None, **options) as client,
    ):
        yield client, server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between tries."""
    monkeypatch.setattr(transport._Retryable, "pause", lambda *_: 0.0)


def always(*answers: bytes) -> Callable[[Peer], Awaitable[None]]:
    return lambda peer: answering(peer, *answers)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# What an answer may look like


@pytest.mark.parametrize(
    ("answer", "body", "again"),
    [
        (OK, b"ok", True),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nTrailer: t\r\n\r\n",
            b"ok",
            True,
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK, b"ok", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
    ],
    ids=["length", "chunked", "informational", "204", "empty", "close", "1.0", "1.0-keep-alive"],
)
async def test_an_answer_is_read_to_its_end_and_the_connection_used_again_where_it_may(
    answer: bytes, body: bytes, again: bool, tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    async with talking(always(answer), tls, trusted) as (client, server):
        for _ in range(3):
            assert (await client.call("GET", "/x")).body == body
        assert server.accepted == (1 if again else 3)


async def test_requests_are_counted_by_how_they_were_answered(impatient: None) -> None:
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"
    async with talking(always(OK, refusal, OK)) as (client, server):
        host = server.address.removeprefix("http://")
        await client.call("GET", "/x")
        await client.call("APPLY", "/x", body=b"{}")
        async with client.stream("/x?watch=1", seconds=1):
            pass
        assert client.answers == {("200", host, "GET"): 2, ("503", host, "PATCH"): 1, ("200", host, "PATCH"): 1}
        apart = client.apart(1)
        await apart.call("GET", "/x")
        await apart.close()
        assert client.answers["200", host, "GET"] == 3
    async with connected(server.address) as client:
        with pytest.raises(errors.Unavailable):
            await client.call("POST", "/x", body=b"{}")
        assert client.answers == {("<error>", host, "POST"): transport.TRIES}


async def test_an_answer_may_come_byte_by_byte(tls: ssl.SSLContext | None, trusted: ssl.SSLContext) -> None:
    async def slowly(peer: Peer) -> None:
        await peer.request()
        for byte in b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n":
            await peer.say(bytes([byte]))
            await asyncio.sleep(0)

    async with talking(slowly, tls, trusted) as (client, _):
        assert await client.call("GET", "/x") == (201, b"ok")


async def test_a_body_without_length_ends_with_the_connection(
    tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    async def closes(peer: Peer) -> None:
        await peer.request()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\nto the end")

    async with talking(closes, tls, trusted) as (client, _):
        assert (await client.call("GET", "/x")).body == b"to the end"


async def test_a_large_body_comes_whole(tls: ssl.SSLContext | None, trusted: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 20_000
    async with talking(always(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body), tls, trusted) as (
        client,
        server,
    ):
        for _ in range(2):
            assert (await client.call("GET", "/x")).body == body
        assert server.accepted == 1


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + bytes([120]) * (300 << 10), "head of its answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Y: 0123456789\r\n" * 20_000, "head of its answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000, "head of its answer"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-Y: 0123456789\r\n" * 20_000,
            "head of its answer",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + bytes(1001), "more than 0 MiB"),
    ],
)
async def test_what_is_no_fit_answer_ends_the_connection(
    answer: bytes, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_BODY", 1000)
    async with talking(always(answer)) as (client, server):
        with pytest.raises(errors.Unavailable, match=problem):
            await client.call("POST", "/x", body=b"{}")
        await until(lambda: server.open == 0)


async def test_an_answer_that_is_too_large_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BODY", 1000)
    async with talking(always(CHUNKED + chunk(bytes(1001)))) as (client, server):
        with pytest.raises(errors.Unavailable, match="sent too much"):
            await client.call("GET", "/x")
        assert len(server.asked) == 1


async def test_a_watch_that_is_left_half_read_is_not_in_the_way_of_the_next(
    tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    """Its end had come, and reading was held up until somebody takes it."""
    async with talking(always(CHUNKED + chunk(bytes(wire.HELD + 1)) + b"0\r\n\r\n"), tls, trusted) as (client, _):
        for _ in range(3):
            async with client.stream("/x", seconds=20):
                await asyncio.sleep(0.05)
        assert len((await client.call("GET", "/x", seconds=2)).body) == wire.HELD + 1


async def test_what_comes_unasked_is_taken_for_no_answer(tls: ssl.SSLContext | None, trusted: ssl.SSLContext) -> None:
    """Neither right behind an answer, nor later."""
    late = asyncio.Event()

    async def talks_on(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            await peer.say(OK + OK.replace(b"ok", b"no"))
        elif peer.number == 2:
            await peer.say(OK)
            await late.wait()
            await peer.say(OK.replace(b"ok", b"no"))
        else:
            await peer.say(OK)
        await peer.request()

    async with talking(talks_on, tls, trusted) as (client, server):
        assert (await client.call("GET", "/1")).body == b"ok"
        assert (await client.call("GET", "/2")).body == b"ok"
        late.set()
        await until(lambda: server.open == 0)
        assert (await client.call("GET", "/3")).body == b"ok"
        assert [asked.connection for asked in server.asked] == [1, 2, 3]


# What is sent


async def test_a_small_request_is_one_piece_with_all_its_headers(trusted: ssl.SSLContext) -> None:
    async with talking(always(OK)) as (client, server):
        await client.call("APPLY", "/api/v1/x?force=true", body=b'{"a": 1}', headers=b"Accept: x/y\r\nA: b\r\n")
        await client.call("DELETE", "/api/v1/x")
    host = server.address.partition("//")[2]
    common = f"Host: {host}\r\nUser-Agent: test\r\nAccept-Encoding: identity\r\n"
    assert [asked.head for asked in server.asked] == [
        f"PATCH /api/v1/x?force=true HTTP/1.1\r\n{common}Accept: x/y\r\nA: b\r\nContent-Length: 8\r\n",
        f"DELETE /api/v1/x HTTP/1.1\r\n{common}Accept: application/json\r\n",
    ]
    assert server.asked[0].body == b'{"a": 1}'


async def test_a_server_may_have_a_path_of_its_own() -> None:
    async with RawServer(always(OK)).running() as server, connected(f"{server.address}/k8s/clusters/c-1") as client:
        await client.call("GET", "/api/v1")
        assert server.asked[0].head.startswith("GET /k8s/clusters/c-1/api/v1 HTTP/1.1\r\n")


async def test_a_servers_address_may_hold_a_login() -> None:
    async with RawServer(always(OK)).running() as server:
        address = server.address.replace("://", "://ada:pa%40ss@")
        async with connected(address) as client, connected(address, credentials=Token("t")) as other:
            await client.call("GET", "/x")
            await other.call("GET", "/x")
            host = server.address.partition("//")[2]
            assert list(client.answers) == [("200", host, "GET")], "what is counted is no secret"
        assert [asked.header("Authorization") for asked in server.asked] == [["Basic YWRhOnBhQHNz"], ["Bearer t"]]
        assert {*server.asked[0].header("Host"), *server.asked[1].header("Host")} == {host}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("address", ["http://", "http://x:999999", "http://[::1", "nothing"])
async def test_what_is_no_address_is_unreachable(address: str) -> None:
    async with connected(address) as client:
        with pytest.raises(errors.Unavailable, match="can't be read"):
            await client.call("POST", "/x", body=b"{}")
        with pytest.raises(errors.Unavailable, match="can't be read"):
            async with client.stream("/x", seconds=5):
                pass


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", "/a\n", "/ä", ""])
async def test_a_path_can_not_end_its_line(path: str) -> None:
    async with talking(always(OK)) as (client, server):
        with pytest.raises(errors.BadRequest):
            await client.call("GET", path)
        assert server.asked == []


async def test_a_large_request_is_sent_as_fast_as_it_is_read(
    tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    body = bytes(range(256)) * 40_000
    ready = asyncio.Event()

    async def hesitates(peer: Peer) -> None:
        await ready.wait()
        await answering(peer, OK)

    async with talking(hesitates, tls, trusted) as (client, server):
        call = asyncio.create_task(client.call("PUT", "/x", body=body))
        await until(lambda: server.open == 1)
        await asyncio.sleep(0.1)
        (only,) = client._pool._wires  # type: ignore[union-attr]
        assert only._transport.get_write_buffer_size() < len(body) / 4
        ready.set()
        await call
        await client.call("GET", "/y")
        assert server.asked[0].body == body
        assert server.accepted == 1


async def test_a_refusal_may_come_before_the_request_is_sent(
    tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    async def refuses(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 8\r\n\r\ntoo much")
        await asyncio.Event().wait()

    async with talking(refuses, tls, trusted) as (client, server):
        with pytest.raises(errors.ApiError, match="too much") as caught:
            await client.call("POST", "/x", body=bytes(50 << 20))
        assert caught.value.status == 413
        await until(lambda: server.open == 0 or not client._pool._wires)  # type: ignore[union-attr]


# How an exchange may end


async def test_an_idle_connection_that_was_closed_is_replaced_at_once(
    tls: ssl.SSLContext | None, trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the end shows only once the next request is sent."""
    monkeypatch.setattr(transport._Retryable, "pause", lambda *_: pytest.fail("it need not wait"))

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await peer.request()
        peer.asked.pop()

    async with talking(once, tls, trusted) as (client, server):
        for verb in ("GET", "APPLY", "PUT", "DELETE"):
            await client.call(verb, "/x")
        assert [asked.connection for asked in server.asked] == [1, 2, 3, 4]


async def test_a_create_on_a_connection_that_ends_is_not_sent_twice() -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)
        await peer.request()

    async with talking(once) as (client, server):
        await client.call("GET", "/x")
        with pytest.raises(errors.Unavailable, match="cut the connection"):
            await client.call("POST", "/x", body=b"{}")
        assert len(server.asked) == 2


async def test_connections_that_the_server_closed_meanwhile_harm_no_create(
    tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.say(OK)

    async with talking(once, tls, trusted) as (client, server):
        for _ in range(5):
            await client.call("POST", "/x", body=b"{}")
            await until(lambda: server.open == 0 and not client._pool._idle)  # type: ignore[union-attr]
        assert server.accepted == 5


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"])
@pytest.mark.parametrize("reset", [False, True])
async def test_a_cut_answer_is_asked_for_again_where_that_does_no_harm(
    said: bytes, reset: bool, tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    async def cuts(peer: Peer) -> None:
        await peer.request()
        if peer.number != 2:
            await peer.say(said)
            if reset:
                peer.reset()
            return
        await answering_first(peer)

    async def answering_first(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

    async with talking(cuts, tls, trusted) as (client, server):
        assert (await client.call("APPLY", "/x")).body == b"ok"
        assert server.accepted == 2
        with pytest.raises(errors.Unavailable, match="cut the connection"):
            await client.call("POST", "/x", body=b"{}")
        assert server.accepted == 3


async def test_time_counts_from_when_the_request_has_a_connection() -> None:
    async def takes_a_while(peer: Peer) -> None:
        while True:
            await peer.request()
            await asyncio.sleep(0.15)
            await peer.say(OK)

    async with talking(takes_a_while, timeout=1.5, connections=1) as (client, _):
        answers = await asyncio.gather(*(client.call("GET", "/x") for _ in range(12)))
        assert len(answers) == 12


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"])
async def test_a_slow_answer_ends_in_time_and_frees_what_it_held(
    said: bytes, tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    async def hangs(peer: Peer) -> None:
        while True:
            asked = await peer.request()
            await peer.say(OK if asked.head.startswith("GET /ok ") else said)

    async with talking(hangs, tls, trusted, connections=1) as (client, server):
        await client.call("GET", "/ok")
        with pytest.raises(errors.Unavailable, match="did not answer in time") as caught:
            await client.call("GET", "/slow", seconds=0.1)
        assert caught.value.reason == "Timeout"
        await until(lambda: server.open == 0)
        assert (await client.call("GET", "/ok")).body == b"ok"
        assert len(server.asked) == 3


async def test_a_server_that_takes_no_tls_handshake_is_given_up_in_time(trusted: ssl.SSLContext) -> None:
    async def silent(peer: Peer) -> None:
        await peer.reader.read()

    async with RawServer(silent).running() as server:
        address = server.address.replace("http:", "https:")
        async with connected(address, tls=trusted, timeout=0.2) as client:
            with pytest.raises(errors.Unavailable, match="did not answer in time"):
                await client.call("GET", "/x")


@pytest.mark.parametrize("steps", range(12))
async def test_a_call_can_be_cancelled_anywhere(
    steps: int, tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    """Whatever had come about: the connection is closed, its place is free, and no answer goes to another request."""

    async def echo(peer: Peer) -> None:
        while True:
            asked = await peer.request()
            await asyncio.sleep(0.002)
            path = asked.head.split()[1].encode()
            await peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    async with talking(echo, tls, trusted, connections=1) as (client, server):
        if steps % 2:
            await client.call("GET", "/warm")
        call = asyncio.create_task(client.call("PUT", "/cancelled", body=b"{}"))
        for _ in range(steps):
            await asyncio.sleep(0.0005 if steps > 6 else 0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        async with asyncio.timeout(5):
            assert (await client.call("GET", "/next")).body == b"/next"
        await until(lambda: server.open == 1)


async def test_a_write_whose_caller_is_gone_can_be_waited_for(
    tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    allowed = asyncio.Event()

    async def slow(peer: Peer) -> None:
        await peer.request()
        await allowed.wait()
        await peer.say(OK)
        await peer.request()

    async with talking(slow, tls, trusted) as (client, server):
        call = asyncio.create_task(client.call("PUT", "/x", body=b"{}"))
        await until(lambda: bool(server.asked))
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await client.settle(within=0.05)
        assert server.open == 1, "the server was left alone with what it was asked"
        settled = asyncio.create_task(client.settle())
        allowed.set()
        await settled
        await until(lambda: server.open == 0)


async def test_a_read_whose_caller_is_gone_ends_at_once(tls: ssl.SSLContext | None, trusted: ssl.SSLContext) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.request()

    async with talking(silent, tls, trusted) as (client, server):
        call = asyncio.create_task(client.call("GET", "/x"))
        await until(lambda: bool(server.asked))
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await until(lambda: server.open == 0)


async def test_an_idle_connection_is_closed_after_a_while(
    tls: ssl.SSLContext | None, trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "KEEP", 0.2)
    async with talking(always(OK), tls, trusted) as (client, server):
        await client.call("GET", "/x")
        await client.call("GET", "/x")
        assert server.accepted == server.open == 1
        await until(lambda: server.open == 0)
        await client.call("GET", "/x")
        assert server.accepted == 2


async def test_a_closed_client_leaves_nothing_and_says_so(tls: ssl.SSLContext | None, trusted: ssl.SSLContext) -> None:
    async def hangs(peer: Peer) -> None:
        if (await peer.request()).head.startswith("GET /x "):
            await peer.say(OK)
        await peer.request()

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        async with talking(hangs, tls, trusted) as (client, server):
            await client.call("GET", "/x")
            call = asyncio.create_task(client.call("POST", "/hangs", body=b"{}"))
            await until(lambda: len(server.asked) == 2)
            await client.close()
            with pytest.raises(errors.Unavailable):
                await call
            await until(lambda: server.open == 0)
            with pytest.raises(errors.Unavailable, match="the client is closed"):
                await client.call("GET", "/x")
        gc.collect()


# Where it goes


async def test_the_server_must_be_the_one_it_should_be(certificates: Certificates, trusted: ssl.SSLContext) -> None:
    async with RawServer(always(OK)).running(certificates.context()) as server:
        async with connected(server.address, tls=trusted) as client:
            await client.call("GET", "/x")
        async with connected(server.address, tls=trusted, name="localhost") as client:
            await client.call("GET", "/x")
        async with connected(server.address, tls=trusted, name="another.example.com") as client:
            with pytest.raises(errors.Unavailable, match="no trusted TLS connection"):
                await client.call("GET", "/x")
        async with connected(server.address, tls=ssl.create_default_context()) as client:
            with pytest.raises(errors.Unavailable, match="no trusted TLS connection"):
                await client.call("GET", "/x")
        assert len(server.asked) == 2


async def test_a_server_that_wants_a_certificate_gets_it(tmp_path: Path) -> None:
    strict = Certificates(tmp_path, want_client=True)
    own = trust.context({"ca.crt": strict.ca.encode()})
    async with RawServer(always(OK)).running(strict.context()) as server:
        async with connected(server.address, tls=own) as client:
            with pytest.raises(errors.Unavailable):
                await client.call("POST", "/x", body=b"{}")
        own.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")
        async with connected(server.address, tls=own) as client:
            await client.call("GET", "/x")
        assert len(server.asked) == 1


async def test_a_server_may_have_an_ipv6_address() -> None:
    async with RawServer(always(OK)).running(host="::1") as server, connected(server.address) as client:
        await client.call("GET", "/x")
        assert server.asked[0].header("Host") == [server.address.partition("//")[2]]


async def test_a_name_with_several_addresses_leads_to_the_one_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async with RawServer(always(OK)).running() as server:
        port = int(server.address.rpartition(":")[2])
        loop = asyncio.get_running_loop()
        known = await loop.getaddrinfo("127.0.0.1", port, type=1)

        async def several(*_: object, **__: object) -> list[object]:
            family, kind, protocol, name, _address = known[0]
            return [(family, kind, protocol, name, ("127.0.0.2", port)), *known]

        monkeypatch.setattr(loop, "getaddrinfo", several)
        async with connected(f"http://cluster.example.com:{port}") as client:
            assert (await client.call("GET", "/x")).body == b"ok"


@pytest.mark.usefixtures("impatient")
async def test_a_name_that_nobody_knows_is_unreachable() -> None:
    async with connected("http://nowhere.invalid") as client:
        with pytest.raises(errors.Unavailable, match=r"can't reach the Kubernetes API at http://nowhere\.invalid"):
            await client.call("GET", "/x", seconds=2)


@pytest.mark.parametrize("secure", [False, True])
async def test_a_proxy_leads_to_the_server_through_a_tunnel(
    secure: bool, certificates: Certificates, trusted: ssl.SSLContext
) -> None:
    async with RawServer(always(OK)).running(certificates.context()) as server:
        port = server.address.rpartition(":")[2]
        with Hooks(certificates.context() if secure else None, behind=f"127.0.0.1:{port}") as proxy:
            through = proxy.address.replace("://", "://ada:pa%40ss@")
            address = f"https://localhost:{port}"
            async with connected(address, tls=trusted, proxy=through) as client:
                for _ in range(2):
                    assert (await client.call("GET", "/x")).body == b"ok"
            assert [(asked.method, asked.target) for asked in proxy.requests] == [("CONNECT", f"localhost:{port}")]
            assert proxy.requests[0].headers["proxy-authorization"] == "Basic YWRhOnBhQHNz"
        assert server.asked[0].header("Host") == [f"localhost:{port}"]
        assert server.asked[0].header("Proxy-Authorization") == []


async def test_a_proxy_is_asked_for_plain_http_by_the_whole_address() -> None:
    with Hooks() as proxy:
        proxy.answers = [Reply(200, b"{}")]
        through = proxy.address.replace("://", "://ada:x@")
        async with connected("http://cluster.example.com:8080/base", proxy=through) as client:
            assert (await client.call("GET", "/x?a=b")).body == b"{}"
        (asked,) = proxy.requests
        assert (asked.method, asked.target) == ("GET", "http://cluster.example.com:8080/base/x?a=b")
        assert asked.headers["host"] == "cluster.example.com:8080"
        assert asked.headers["proxy-authorization"] == "Basic YWRhOng="


@pytest.mark.usefixtures("impatient")
async def test_a_proxy_that_refuses_is_named_without_its_password(trusted: ssl.SSLContext) -> None:
    async def refuses(peer: Peer) -> None:
        await peer.head()
        await peer.say(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    async with RawServer(refuses).running() as proxy:
        through = proxy.address.replace("://", "://ada:secret@")
        async with connected("https://cluster.example.com", tls=trusted, proxy=through) as client:
            with pytest.raises(errors.Unavailable, match=f"the proxy {proxy.address} answered 407") as caught:
                await client.call("GET", "/x")
        assert "secret" not in str(caught.value)


async def test_a_proxy_that_is_silent_is_given_up_in_time(trusted: ssl.SSLContext) -> None:
    async def silent(peer: Peer) -> None:
        await peer.reader.read()

    async with RawServer(silent).running() as proxy:
        async with connected("https://x.example.com", tls=trusted, proxy=proxy.address, timeout=0.2) as client:
            with pytest.raises(errors.Unavailable, match="did not answer in time"):
                await client.call("GET", "/x")
        await until(lambda: proxy.open == 0)


async def test_a_limit_of_ours_ends_where_the_server_has_its_own() -> None:
    bucket = Bucket(1000, 1000)
    answer = b"HTTP/1.1 200 OK\r\nX-Kubernetes-PF-FlowSchema-UID: u\r\nContent-Length: 0\r\n\r\n"
    async with talking(always(answer), bucket=bucket) as (client, _):
        await client.call("GET", "/x")
        assert bucket.qps < 0


# Watches


async def test_a_watch_gives_line_by_line_however_they_come(
    tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    long = b"x" * 3_000_000

    async def talk(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.say(CHUNKED + chunk(b"one\ntw"))
            await asyncio.sleep(0.01)
            await peer.say(chunk(b"o\n\n") + chunk(b"three\n" + long) + chunk(b"\nend\n") + b"0\r\n\r\n")

    async with talking(talk, tls, trusted) as (client, server):
        for _ in range(2):
            async with client.stream("/x", seconds=5) as lines:
                assert [line async for line in lines] == [b"one", b"two", b"three", long, b"end"]
        assert server.accepted == 1


async def test_a_server_waits_for_a_watch_that_is_read_slowly(
    tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    line, said = b"y" * 65_000 + b"\n", 0

    async def talk(peer: Peer) -> None:
        nonlocal said
        await peer.request()
        await peer.say(CHUNKED)
        for _ in range(400):
            await peer.say(chunk(line))
            said += 1
        await peer.say(b"0\r\n\r\n")

    async with talking(talk, tls, trusted) as (client, _), client.stream("/x", seconds=20) as lines:
        first = await anext(lines)
        before = -1
        while said != before:  # until the server can't say more
            before = said
            await asyncio.sleep(0.1)
        assert said < 300
        (only,) = client._pool._wires  # type: ignore[union-attr]
        assert only._held <= wire.HELD + wire.READ
        rest = [line async for line in lines]
        assert [first, *rest] == [line[:-1]] * 400


@pytest.mark.parametrize("reset", [False, True])
async def test_a_watch_that_is_cut_gives_what_came_and_says_so(
    reset: bool, tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED + chunk(b"one\ntwo\nhal"))
        await asyncio.sleep(0.05)
        if reset:
            peer.reset()

    seen = []
    async with talking(talk, tls, trusted) as (client, _):
        with pytest.raises(errors.Unavailable, match="cut the connection"):
            async with client.stream("/x", seconds=5) as lines:
                async for line in lines:
                    seen.append(line)  # noqa: PERF401 (it ends with an error)
    assert seen == [b"one", b"two"]


async def test_a_watch_ends_after_its_time(tls: ssl.SSLContext | None, trusted: ssl.SSLContext) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED + chunk(b"one\n"))
        await peer.request()

    async with talking(talk, tls, trusted) as (client, server):
        with pytest.raises(errors.Unavailable, match="did not answer in time"):
            async with client.stream("/x", seconds=0.2) as lines:
                assert [line async for line in lines]
        await until(lambda: server.open == 0)


async def test_a_watch_that_is_left_or_cancelled_is_closed(tls: ssl.SSLContext | None, trusted: ssl.SSLContext) -> None:
    async def talk(peer: Peer) -> None:
        await peer.request()
        await peer.say(CHUNKED + chunk(b"one\n"))
        await peer.request()

    async with talking(talk, tls, trusted, connections=1) as (client, server):
        async with client.stream("/x", seconds=20) as lines:
            await anext(lines)
        await until(lambda: server.open == 0)

        async def follow() -> None:
            async with client.stream("/x", seconds=20) as lines:
                async for _ in lines:
                    started.set()

        started = asyncio.Event()
        task = asyncio.create_task(follow())
        await started.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await until(lambda: server.open == 0)


async def test_watches_take_no_place_of_calls() -> None:
    async def talk(peer: Peer) -> None:
        while "/watch" not in (await peer.request()).head:
            await peer.say(OK)
        await peer.say(CHUNKED)
        await peer.request()

    async with (
        talking(talk, connections=1) as (client, _),
        client.stream("/watch", seconds=20),
        client.stream("/watch", seconds=20),
        asyncio.timeout(5),
    ):
        await client.call("GET", "/x")


async def test_a_refused_watch_says_why() -> None:
    answer = b'{"kind": "Status", "reason": "Expired", "message": "too old"}'
    async with talking(always(b"HTTP/1.1 410 Gone\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)) as (
        client,
        server,
    ):
        for _ in range(2):
            with pytest.raises(errors.Gone, match="too old"):
                async with client.stream("/x", seconds=5):
                    pass
        assert server.accepted == 1


async def test_many_calls_get_each_its_own_answer_while_connections_end(
    tls: ssl.SSLContext | None, trusted: ssl.SSLContext
) -> None:
    """A server that is about to go closes a connection after some answers, with or without a word."""

    async def talk(peer: Peer) -> None:
        for number in range(3 + peer.number % 5):
            path = (await peer.request()).head.split()[1].encode()
            close = b"Connection: close\r\n" if number == 2 and peer.number % 2 else b""
            await peer.say(b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (close, len(path), path))
            if close:
                return

    async with talking(talk, tls, trusted, connections=8) as (client, _):
        paths = [f"/{number}" for number in range(300)]
        answers = await asyncio.gather(*(client.call("GET", path) for path in paths))
        assert [answer.body.decode() for answer in answers] == paths
