"""Remotes that fail in the middle, lie, limit, or lead elsewhere: what was stored stays, and the end of it is found.

Each fault meets each kind of source.
"""

from __future__ import annotations

import base64
import json
import time

import pytest

from tests.kit.remotes import LARGE, REMOTES
from tests.source_controller.conftest import condition
from tests.source_controller.sources import Source

PASSWORD = "s3cret-password"


@pytest.fixture(params=REMOTES)
def source(request, controller, tmp_path):
    with REMOTES[request.param](tmp_path) as remote:
        yield Source(controller, remote)


def login(source, password=PASSWORD):
    """The data of a Secret that lets `ada` in."""
    if source.kind == "OCIRepository":
        auth = base64.b64encode(f"ada:{password}".encode()).decode()
        return {".dockerconfigjson": json.dumps({"auths": {source.remote.server.host: {"auth": auth}}})}
    if source.kind == "Bucket":
        return {"accesskey": "ada", "secretkey": password}
    return {"username": "ada", "password": password}


async def test_a_transfer_that_is_cut_leaves_what_was_stored_and_is_made_up_for(source):
    await source.put()
    before = await source.ready()
    server, is_content = source.remote.server, source.remote.is_content
    server.spoil = lambda path, body: body[: len(body) // 2] if is_content(path, body) else body
    source.remote.change(LARGE)
    await source.ask()
    failed = await source.failed()
    if source.kind != "HelmRepository":
        assert failed["status"]["artifact"] == before["status"]["artifact"]
    source.require_intact(failed)
    server.spoil = lambda path, body: body
    await source.ready(other_than=before)


async def test_other_bytes_than_announced_are_never_stored(source):
    if source.kind == "Bucket":
        pytest.skip("an ETag need not be a digest: nothing announces what an object's bytes are")
    await source.put()
    before = await source.ready()
    server, is_content = source.remote.server, source.remote.is_content

    def damaged(path, body):
        if not is_content(path, body):
            return body
        at = len(body) // 2
        return body[:at] + b'"}' * 32 + body[at + 64 :]

    server.spoil = damaged
    source.remote.change(LARGE)
    await source.ask()
    failed = await source.failed()
    assert failed["status"]["artifact"] == before["status"]["artifact"]
    source.require_intact(failed)
    server.spoil = lambda path, body: body
    await source.ready(other_than=before)


async def test_a_remote_that_limits_requests_is_left_alone_for_as_long_as_it_asks(source):
    asked: list[float] = []

    def limited(path):
        asked.append(time.monotonic())
        return 429, {"Retry-After": "2"}

    source.remote.server.answer = limited
    await source.put()
    name, kind = next(((name, kind) for kind, name, _ in source.remote.before), ("s", source.kind))
    obj = await source.world.until(name, lambda obj: condition(obj, "FetchFailed") == "True", kind)
    assert "429" in condition(obj, "Ready", "message") or "too many requests" in condition(obj, "Ready", "message")
    await source.world.until(name, lambda _: len(asked) > 1, kind)
    if source.kind != "GitRepository":  # git doesn't say what it was asked for: the delay grows by itself
        assert asked[1] - asked[0] >= 2
    source.remote.server.answer = lambda path: None
    await source.ready()


async def test_a_redirect_to_another_host_takes_no_login_along(source, caplog):
    caplog.set_level("DEBUG")
    server, elsewhere = source.remote.server, source.remote.elsewhere
    await source.world.secret("login", login(source))
    source.remote.require("ada", PASSWORD)
    await source.put(secretRef={"name": "login"})
    before = await source.ready()
    sent = {header for _, header in server.requests if header}
    assert sent, "here the login is sent"
    server.answer = lambda path: (307, {"Location": f"{elsewhere.address}{path}"})
    source.remote.change(LARGE)
    await source.ask()
    kind, name = next(((kind, name) for kind, name, _ in source.remote.before), (source.kind, "s"))
    await source.world.until(name, lambda obj: elsewhere.requests or condition(obj, "FetchFailed") == "True", kind)
    assert {header for _, header in elsewhere.requests} <= {""}
    server.answer = lambda path: None
    await source.ask()
    after = await source.ready(other_than=before)
    shown = str(after) + str(await source.world.events("s")) + caplog.text
    assert PASSWORD not in shown
    assert not any(header.rpartition(" ")[2] in shown for header in sent)


async def test_an_artifact_that_is_gone_after_a_restart_is_not_ready_until_it_is_there_again(source):
    await source.put()
    before = await source.ready()
    await source.world.stop()
    source.world.stored(before).unlink()
    for kind, name, _ in source.remote.before:
        source.world.stored(await source.world.read(name, kind)).unlink()
    source.remote.server.answer = lambda path: (503, {})
    await source.world.start()
    gone = await source.world.until("s", lambda obj: condition(obj, "Ready") == "False", source.kind)
    assert "artifact" not in gone["status"]
    assert condition(gone, "ArtifactInStorage") is None
    source.remote.server.answer = lambda path: None
    again = await source.ready()
    if source.kind != "HelmRepository":
        assert again["status"]["artifact"]["digest"] == before["status"]["artifact"]["digest"]
