"""Whatever goes wrong with a service is told as one error: without secrets, and with what to do next."""

from __future__ import annotations

import socket
import time
import traceback

import pytest

from notification_controller.providers import DeliveryFailed
from shared.http import tls
from tests.kit.gitserver import Certificates
from tests.kit.hooks import Hooks, Reply
from tests.notification_controller.providers.services import SERVICES, post, reach, secrets

pytestmark = pytest.mark.parametrize("type_", SERVICES)


def without_time(headers):
    """A signature of Event Hubs says until when it is good, a trace when it ended."""
    return {name: value for name, value in headers.items() if name != "authorization"}


async def test_a_server_error_is_no_end_and_the_same_is_sent_again(type_, hooks, trusted, monkeypatch):
    hooks.answers = [Reply(500, b"out of order"), Reply()]
    service = reach(type_, hooks.url, trusted, monkeypatch)
    with pytest.raises(DeliveryFailed, match="500") as failed:
        await post(service)
    assert not failed.value.is_final
    await post(service)
    first, second = hooks.requests[:2]
    assert (first.method, first.target) == (second.method, second.target)
    assert without_time(first.headers) == without_time(second.headers)
    assert first.body == second.body or type_ == "otel"


async def test_a_busy_server_says_when_to_come_again(type_, hooks, trusted, monkeypatch):
    hooks.answers = [Reply(429, headers={"Retry-After": "7"})]
    with pytest.raises(DeliveryFailed, match="429") as failed:
        await post(reach(type_, hooks.url, trusted, monkeypatch))
    assert (failed.value.is_final, failed.value.retry_after) == (False, 7.0)


async def test_a_refusal_is_an_end(type_, hooks, trusted, monkeypatch):
    hooks.answers = [Reply(400, b"no such channel")]
    with pytest.raises(DeliveryFailed, match="status code 400: no such channel") as failed:
        await post(reach(type_, hooks.url, trusted, monkeypatch))
    assert failed.value.is_final
    assert len(hooks.requests) == 1


async def test_a_silence_ends_in_time(type_, hooks, trusted, monkeypatch):
    hooks.answers = [Reply(silent=True)]
    began = time.monotonic()
    with pytest.raises(DeliveryFailed, match="deadline exceeded") as failed:
        await post(reach(type_, hooks.url, trusted, monkeypatch, timeout=0.3))
    assert not failed.value.is_final
    assert time.monotonic() - began < 10


async def test_a_cut_connection_is_no_end(type_, hooks, trusted, monkeypatch):
    hooks.answers = [Reply(cut=True)]
    with pytest.raises(DeliveryFailed, match="cut the connection") as failed:
        await post(reach(type_, hooks.url, trusted, monkeypatch))
    assert not failed.value.is_final


async def test_nobody_there_is_no_end(type_, trusted, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(DeliveryFailed, match="connection refused") as failed:
        await post(reach(type_, f"https://127.0.0.1:{port}", trusted, monkeypatch))
    assert not failed.value.is_final


async def test_a_server_that_nobody_vouches_for_is_told_nothing(type_, hooks, tmp_path, monkeypatch):
    stranger = tls.context({"ca.crt": Certificates(tmp_path).ca.encode()})
    with pytest.raises(DeliveryFailed, match="certificate signed by unknown authority") as failed:
        await post(reach(type_, hooks.url, stranger, monkeypatch))
    assert failed.value.is_final
    assert not hooks.requests


async def test_a_good_answer_counts_however_long_it_is(type_, hooks, trusted, monkeypatch):
    hooks.answers = [lambda it: Reply(200, endless=True) if it.method != "GET" else Reply()]
    await post(reach(type_, hooks.url, trusted, monkeypatch))


async def test_of_a_long_refusal_only_the_beginning_is_told(type_, hooks, trusted, monkeypatch):
    hooks.answers = [Reply(403, endless=True)]
    with pytest.raises(DeliveryFailed, match="403") as failed:
        await post(reach(type_, hooks.url, trusted, monkeypatch))
    assert len(str(failed.value)) < 1000


async def test_another_host_gets_no_credentials(type_, hooks, other, trusted, monkeypatch):
    hooks.answers = [Reply(307, headers={"Location": f"{other.url}/elsewhere"})]
    other.routes["GET /elsewhere"] = {"login": "bot", "username": "bot"}
    await post(reach(type_, hooks.url, trusted, monkeypatch))
    assert [request.body for request in other.requests] == [request.body for request in hooks.requests]
    for request in other.requests:
        assert request.headers.keys() <= {
            "host", "accept", "accept-encoding", "content-length", "content-type", "user-agent"
        }  # fmt: skip


async def test_a_redirect_to_plain_http_is_refused(type_, hooks, trusted, monkeypatch):
    with Hooks() as plain:
        hooks.answers = [Reply(308, headers={"Location": plain.url})]
        with pytest.raises(DeliveryFailed, match="redirect") as failed:
            await post(reach(type_, hooks.url, trusted, monkeypatch))
        assert failed.value.is_final
        assert not plain.requests


async def test_a_proxy_is_asked_for_the_way(type_, hooks, trusted, monkeypatch):
    with Hooks(behind=hooks.host) as proxy:
        through = f"http://ada:s3cret@{proxy.host}"
        service = reach(type_, "https://localhost:1", trusted, monkeypatch, proxy=through)
        await post(service)
        (asked,) = proxy.requests
        assert (asked.method, asked.target) == ("CONNECT", "localhost:1")
        assert asked.headers["proxy-authorization"] == "Basic YWRhOnMzY3JldA=="
    assert hooks.requests


@pytest.mark.parametrize("how", ["refused", "distrusted", "echoed", "redirected"])
async def test_no_failure_tells_a_secret(type_, how, hooks, trusted, tmp_path, monkeypatch):
    service = reach(type_, hooks.url, trusted, monkeypatch)
    hidden = secrets(service)
    match how:
        case "refused":
            with socket.create_server(("127.0.0.1", 0)) as closed:
                port = closed.getsockname()[1]
            service = reach(type_, f"https://127.0.0.1:{port}", trusted, monkeypatch)
        case "distrusted":
            stranger = tls.context({"ca.crt": Certificates(tmp_path).ca.encode()})
            service = reach(type_, hooks.url, stranger, monkeypatch)
        case "echoed":
            hooks.answers = [lambda it: Reply(403, f"{service.address} {hidden} {it.headers}".encode())]
        case "redirected":
            hooks.answers = [Reply(302, headers={"Location": f"http://127.0.0.1/{''.join(hidden)}"})]
    with pytest.raises(DeliveryFailed) as failed:
        await post(service)
    hidden += [it.headers["authorization"].split()[-1] for it in hooks.requests if "authorization" in it.headers]
    told = "".join(traceback.format_exception(failed.value)) + repr(service) + repr(failed.value)
    assert [text for text in hidden if text in told] == []
