"""NATS: what a server that was built from its source takes, and what it refuses."""

from __future__ import annotations

import base64
import binascii
import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from notification_controller.event import encode
from notification_controller.providers import Connection, DeliveryFailed, InvalidProvider
from notification_controller.providers.nats import from_seed
from tests.notification_controller.providers.services import EVENTS, post
from tests.upstream.controlplane import build

server = build.available("nats-server")
needs_server = pytest.mark.skipif(not server, reason=server.reason)


def seed(byte: int) -> str:
    """A user's NKey seed, made of one byte again and again."""
    data = bytes([18 << 3 | 20 >> 2, (20 & 3) << 6]) + bytes([byte]) * 32
    return base64.b32encode(data + binascii.crc_hqx(data, 0).to_bytes(2, "little")).decode().rstrip("=")


@contextlib.contextmanager
def running(folder: Path, *users: str) -> Iterator[str]:
    """A server that lets these users in; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = folder / "nats.conf"
    config.write_text(f"listen: 127.0.0.1:{port}\nauthorization {{ users: [ {', '.join(users)} ] }}\n")
    with subprocess.Popen([build.path("nats-server"), "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                assert process.poll() is None, "nats-server didn't start"
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.terminate()


READER = "{user: reader, password: pw}"
ADA = '{user: ada, password: "pa55word", permissions: {publish: ["flux.>"]}}'


@needs_server
@pytest.mark.parametrize("login", ["password", "nkey", "url"])
async def test_a_subject_gets_the_event(login, tmp_path):
    key = f"{{nkey: {from_seed(seed(7)).public}}}"
    with running(tmp_path, READER, ADA, key) as url:
        reader = Client()
        await reader.connect(url, user="reader", password="pw")
        heard = await reader.subscribe("flux.events")
        await reader.flush()
        how = {
            "password": {"address": url, "username": "ada", "password": "pa55word"},
            "nkey": {"address": url, "secret": {"nkey": seed(7).encode() + b"\n"}},
            "url": {"address": url.replace("//", "//ada:pa55word@")},
        }[login]
        await post(Connection(type="nats", channel="flux.events", **how))
        assert (await heard.next_msg(timeout=10)).data == encode(EVENTS["error"])
        await reader.close()


@needs_server
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"password": "wr0ng-password"}, "error connecting to server"),
        ({"password": "pa55word", "channel": "elsewhere"}, "error publishing message to server"),
    ],
)
async def test_a_refusal_is_an_end_and_tells_no_password(fields, said, tmp_path):
    with running(tmp_path, ADA) as url:
        made = {"type": "nats", "address": url, "channel": "flux.events", "username": "ada", **fields}
        with pytest.raises(DeliveryFailed, match=said) as failed:
            await post(Connection(**made))
    assert failed.value.is_final
    assert fields["password"] not in str(failed.value)


async def test_nobody_there_is_no_end(unused_tcp_port):
    address = f"nats://ada:pa55word-in-a-url@127.0.0.1:{unused_tcp_port}"
    with pytest.raises(DeliveryFailed, match="error connecting to server") as failed:
        await post(Connection(type="nats", address=address, channel="flux"))
    assert not failed.value.is_final
    assert "pa55word" not in str(failed.value)


@needs_server
async def test_of_several_servers_one_is_enough(tmp_path, unused_tcp_port):
    with running(tmp_path, ADA) as url:
        address = f"nats://127.0.0.1:{unused_tcp_port}, {url}"
        await post(Connection(type="nats", address=address, channel="flux.x", username="ada", password="pa55word"))


@pytest.mark.parametrize(
    "fields",
    [
        {"channel": "x"},
        {"address": "nats://h"},
        {"address": "nats://h", "channel": "x", "secret": {"nkey": b"SUnonsense"}},
        {"address": "nats://h", "channel": "x", "secret": {"creds": b"no credentials"}},
        {"address": "nats://h", "channel": "x", "proxy": "http://proxy"},
    ],
)
async def test_what_can_never_work_is_refused_before_it_is_tried(fields):
    with pytest.raises(InvalidProvider) as refused:
        await post(Connection(type="nats", **fields))
    assert "nonsense" not in str(refused.value)
