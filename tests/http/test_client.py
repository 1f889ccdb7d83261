"""One client for servers that others own: what it follows, how much it reads, and what it never sends on."""

from __future__ import annotations

import asyncio

import pytest

from shared.http import HttpError, SecretError, open_, pause, tls
from tests.kit.gitserver import Certificates
from tests.kit.hooks import Hooks, Reply

HEADERS = {"Authorization": "Bearer t0ken", "DD-API-KEY": "t0ken", "Content-Type": "text/plain"}


@pytest.fixture
def server():
    with Hooks() as made:
        yield made


@pytest.fixture
def other():
    with Hooks() as made:
        yield made


async def sent(url, method="POST", **more):
    async with open_(seconds=5, **more) as http:
        return await http.send(method, url, b"body", headers=HEADERS)


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_that_keeps_the_method_gets_the_body_too(server, status):
    server.answers = [Reply(status, headers={"Location": "/there"}), Reply(body=b"done")]
    assert (await sent(server.url, "PUT")).body == b"done"
    assert [(it.method, it.target, it.body) for it in server.requests] == [
        ("PUT", "/", b"body"),
        ("PUT", "/there", b"body"),
    ]
    assert server.requests[1].headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_other_redirects_are_followed_by_a_get(server, status):
    server.answers = [Reply(status, headers={"Location": "/there"}), Reply(body=b"done")]
    assert (await sent(server.url)).body == b"done"
    assert (server.requests[1].method, server.requests[1].body) == ("GET", b"")
    assert "content-type" not in server.requests[1].headers


async def test_no_header_that_may_let_one_in_goes_to_another_host(server, other):
    server.answers = [Reply(307, headers={"Location": other.url})]
    await sent(server.url)
    assert other.requests[0].headers["content-type"] == "text/plain"
    assert not {"authorization", "dd-api-key"} & other.requests[0].headers.keys()


async def test_redirects_end(server):
    server.answers = [Reply(307, headers={"Location": "/again"})]
    with pytest.raises(HttpError, match="redirects too often") as failed:
        await sent(server.url)
    assert failed.value.is_final
    assert len(server.requests) == 5


async def test_of_a_long_answer_the_beginning_is_read(server):
    server.answers = [Reply(endless=True)]
    async with open_(seconds=5) as http:
        answer = await http.send("POST", server.url, limit=1000)
        assert len(answer.body) == 1000
        server.answers = [Reply(body=b"short")]
        assert (await http.send("POST", server.url, limit=1000)).body == b"short"


@pytest.mark.parametrize("url", ["http://", "ftp://example.com/x", "nothing"])
async def test_what_is_no_address_never_will_be(url):
    with pytest.raises(HttpError) as failed:
        await sent(url)
    assert failed.value.is_final


async def test_the_environments_proxy_leads_to_others_and_not_to_this_machine(server, other, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://ada:s3cret@{server.host}")
    monkeypatch.setenv("no_proxy", "inside.example.com")
    await sent("http://hooks.example.com/x")
    await sent(other.url)
    assert [it.target for it in server.requests] == ["http://hooks.example.com/x"]
    assert server.requests[0].headers["proxy-authorization"] == "Basic YWRhOnMzY3JldA=="
    assert [it.target for it in other.requests] == ["/"]
    with pytest.raises(HttpError, match="no such host"):
        await sent("http://inside.example.com/x")


async def test_no_login_of_this_machine_is_sent_to_a_server(server, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with open_(seconds=5) as http:
        await http.get(server.url)
    assert "authorization" not in server.requests[0].headers


async def test_a_socks_proxy_leads_to_names_that_only_it_knows(server):
    seen = []

    async def socks(reader, writer):
        """RFC 1928 with RFC 1929: a login, then CONNECT to a name."""
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x02")
        _, length = await reader.readexactly(2)
        user = await reader.readexactly(length)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(b"\x01\x00")
        *_, kind, length = await reader.readexactly(5)
        name = await reader.readexactly(length)
        port = int.from_bytes(await reader.readexactly(2))
        seen.append((kind, name, port, user, password))
        writer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01")
        host, _, there = server.host.partition(":")
        back, forth = await asyncio.open_connection(host, int(there))

        async def pour(source, sink):
            while data := await source.read(1 << 16):
                sink.write(data)
            sink.close()

        await asyncio.gather(pour(reader, forth), pour(back, writer))

    async with await asyncio.start_server(socks, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        answer = await sent("http://hooks.internal:81/x", proxy=f"socks5://ada:s3cret@127.0.0.1:{port}")
    assert answer.status == 200
    assert seen == [(3, b"hooks.internal", 81, b"ada", b"s3cret")]
    assert server.requests[0].headers["host"] == "hooks.internal:81"


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_is_not_there_is_named_as_the_cause(unused_tcp_port, scheme):
    with pytest.raises(HttpError, match=r"the proxy can't be used for hooks\.internal") as failed:
        await sent("http://hooks.internal/x", proxy=f"{scheme}://ada:s3cret@127.0.0.1:{unused_tcp_port}")
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize("names", [("ca.crt", "tls.crt", "tls.key"), ("caFile", "certFile", "keyFile")])
async def test_a_client_shows_who_it_is_by_new_and_old_names_of_keys(tmp_path, names):
    certificates = Certificates(tmp_path, want_client=True)
    found = (certificates.ca, certificates.client_certificate, certificates.client_key)
    data = {name: text.encode() for name, text in zip(names, found, strict=True)}
    with Hooks(certificates.context()) as server:
        async with open_(tls=tls.context(data)) as http:
            assert (await http.get(server.url)).is_good
        async with open_(tls=tls.context({names[0]: data[names[0]]})) as http:
            with pytest.raises(HttpError):
                await http.get(server.url)


def test_the_new_names_of_keys_go_before_the_old(tmp_path):
    good = Certificates(tmp_path).ca.encode()
    tls.context({"ca.crt": good, "caFile": b"nonsense"})
    with pytest.raises(SecretError, match=r"'ca\.crt'"):
        tls.context({"caFile": b"nonsense"})
    assert tls.has_any({"caFile": good})
    assert not tls.has_any({"username": b"ada"})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        (" 0 ", 0),
        ("Wed, 21 Oct 1998 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2065 07:28:00 GMT", 3_023_335_680 - 1_000_000_000),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("9" * 400, None),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_a_server_says_how_long_to_leave_it_alone(text, seconds, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)
    assert pause({"Retry-After": text}) == seconds
