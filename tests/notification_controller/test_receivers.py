"""A Receiver gets a path, and a webhook that comes there makes the objects it is for reconcile: at once, or later."""

from __future__ import annotations

import asyncio
import gzip
import hmac
import logging
import time

import pytest

from tests.notification_controller.receiving import GROUP, TOKEN, Receiving, condition, path


@pytest.fixture
async def world(api, tmp_path):
    made = Receiving(api, tmp_path)
    await made.install()
    await made.source()
    yield made
    await made.close()


@pytest.fixture
async def receiving(world):
    await world.start()
    return world


def sign(body, algorithm="sha256", key=TOKEN):
    return f"{algorithm}={hmac.new(key.encode(), body, algorithm).hexdigest()}"


# The Receiver


async def test_the_path_is_made_of_token_name_and_namespace(receiving):
    assert await receiving.have() == path()
    ready = await receiving.kube.get(GROUP, "Receiver", "hook", "default")
    assert condition(ready, "Ready", "reason") == "Succeeded"
    assert condition(ready, "Ready", "message") == f"Receiver initialized for path: {path()}"
    assert ready["status"]["observedGeneration"] == 1
    assert ready["metadata"]["finalizers"] == ["finalizers.fluxcd.io"]


async def test_without_a_token_there_is_no_path_and_the_old_one_is_taken_back(receiving):
    at = await receiving.have()
    await receiving.kube.delete("v1", "Secret", "token", "default")
    await receiving.edit({"spec": {"interval": "5m"}})
    failed = await receiving.failed("hook", "TokenNotFound")
    said = condition(failed, "Ready", "message")
    assert said.startswith("unable to read token from secret 'default/token' error: ")
    assert condition(failed, "Reconciling", "reason") == "ProgressingWithRetry"
    assert "webhookPath" not in failed["status"]
    await receiving.answered(at, 404)


async def test_a_secret_without_token_names_what_it_lacks(receiving):
    data = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other", "namespace": "default"}}
    await receiving.kube.apply(data, field_manager="test")
    await receiving.put(secretRef={"name": "other"})
    failed = await receiving.failed("hook", "TokenNotFound")
    assert condition(failed, "Ready", "message") == "invalid 'default/other' secret data: required fields 'token'"


async def test_a_filter_that_is_none_stalls(receiving):
    await receiving.put(resourceFilter="not valid (")
    failed = await receiving.failed("hook", "InvalidCELExpression")
    assert condition(failed, "Stalled") == "True"
    begin = "Reconciliation failed terminally due to configuration error: invalid resourceFilter expression: "
    assert condition(failed, "Stalled", "message").startswith(begin)
    assert failed["status"]["observedGeneration"] == failed["metadata"]["generation"]


async def test_a_watched_secrets_new_token_moves_the_path_at_once(receiving):
    await receiving.secret(watched=True)
    old = await receiving.have()
    await receiving.secret("new", watched=True)
    await receiving.until("hook", lambda obj: obj["status"]["webhookPath"] == path("new"))
    await receiving.answered(old, 404)
    await receiving.answered(path("new"), 200)


async def test_people_are_told(receiving):
    await receiving.have()
    await receiving.put(name="bad", secretRef={"name": "none"})
    await receiving.failed("bad", "TokenNotFound")
    wanted = {("hook", "Normal", "Succeeded"), ("bad", "Warning", "Failed")}
    deadline = time.monotonic() + 10
    while True:
        events = await receiving.kube.list("v1", "Event", "default")
        found = {(each["involvedObject"]["name"], each["type"], each["reason"]) for each in events}
        if wanted <= found:
            break
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)
    messages = [each["message"] for each in events if each["reason"] == "Succeeded"]
    assert messages == ["Reconciliation finished, next run in 10m0s"]


# Webhooks


async def test_a_webhook_requests_a_reconciliation_and_each_further_one_another(receiving):
    at = await receiving.have()
    assert await receiving.requested() is None
    assert await receiving.send(at, b"") == 200
    first = await receiving.until_requested()
    assert await receiving.send(at, b"", method="GET") == 200
    deadline = time.monotonic() + 10
    while await receiving.requested() == first:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("more", ["?a=1", "/", "0", "/x"])
async def test_only_the_very_path_is_known(receiving, more):
    at = await receiving.have()
    assert await receiving.send(at + more) == 404
    assert await receiving.send("/hook/" + "0" * 64) == 404
    assert await receiving.send("/") == 404
    assert await receiving.requested() is None


async def test_a_refusal_says_nothing(receiving, caplog):
    caplog.set_level(logging.DEBUG)
    at = await receiving.have("github")
    assert await receiving.ask(at, X_Hub_Signature_256="sha256=00") == (400, "")
    assert await receiving.ask("/hook/none") == (404, "")
    good = sign(b"{}")
    assert await receiving.send(at, X_Hub_Signature_256=good) == 200
    assert TOKEN not in caplog.text
    assert good.partition("=")[2] not in caplog.text


async def test_a_suspended_receiver_refuses_and_a_deleted_one_is_not_there(receiving):
    at = await receiving.have()
    await receiving.edit({"spec": {"suspend": True}})
    await receiving.answered(at, 503)
    await receiving.edit({"spec": {"suspend": False}})
    await receiving.answered(at, 200)
    await receiving.kube.delete(GROUP, "Receiver", "hook", "default")
    await receiving.answered(at, 404)


async def test_a_stalled_receiver_refuses(receiving):
    at = await receiving.have()
    await receiving.edit({"spec": {"resourceFilter": "("}})
    await receiving.failed("hook", "InvalidCELExpression")
    await receiving.answered(at, 503)


async def test_a_changed_token_counts_at_once_even_before_the_path_moves(receiving):
    at = await receiving.have("generic-hmac")
    body = b"news"
    assert await receiving.send(at, body, X_Signature=sign(body)) == 200
    await receiving.secret("new")
    assert await receiving.send(at, body, X_Signature=sign(body)) == 400
    assert await receiving.send(at, body, X_Signature=sign(body, key="new")) == 200


async def test_a_secret_that_is_gone_proves_nothing(receiving):
    at = await receiving.have()
    await receiving.kube.delete("v1", "Secret", "token", "default")
    assert await receiving.send(at) == 400


async def test_bodies_have_a_limit(receiving):
    at = await receiving.have("generic-hmac")
    largest = bytes(3 << 20)
    assert await receiving.send(at, largest, X_Signature=sign(largest)) == 200
    assert await receiving.send(at, largest + b"x", X_Signature=sign(largest + b"x")) == 413


async def test_a_packed_body_stays_packed(receiving):
    """What would unpack to gigabytes is signed, and counted, as it is."""
    at = await receiving.have("generic-hmac", resourceFilter="has(req.a)")
    bomb = gzip.compress(bytes(100 << 20))
    headers = {"X_Signature": sign(bomb), "Content_Encoding": "gzip"}
    assert await receiving.send(at, bomb, **headers) == 500, "and is no JSON"
    assert await receiving.requested() is None


# Which objects


async def test_every_resource_is_told_and_no_other(receiving):
    for name in ("one", "two", "three"):
        await receiving.source(name)
    resources = [{"kind": "GitRepository", "name": "one"}, {"kind": "GitRepository", "name": "two"}]
    assert await receiving.send(await receiving.have(resources=resources)) == 200
    await receiving.until_requested("one")
    await receiving.until_requested("two")
    assert await receiving.requested("three") is None


async def test_labels_choose(receiving):
    await receiving.source("one", team="blue", env="x")
    await receiving.source("two", team="blue")
    await receiving.source("three", team="red", env="x")
    chosen = {"kind": "GitRepository", "name": "*", "matchLabels": {"team": "blue", "env": "x"}}
    assert await receiving.send(await receiving.have(resources=[chosen])) == 200
    await receiving.until_requested("one")
    assert [await receiving.requested(name) for name in ("two", "three", "app")] == [None] * 3


async def test_labels_that_are_no_labels_choose_nothing(receiving):
    await receiving.source("one", team="blue")
    chosen = {"kind": "GitRepository", "name": "*", "matchLabels": {"team in (blue),x": "y"}}
    await receiving.send(await receiving.have(resources=[chosen]))
    assert await receiving.requested("one") is None


FAILING = {
    "missing": {"kind": "GitRepository", "name": "none"},
    "any, without labels": {"kind": "GitRepository", "name": "*"},
    "no source, without apiVersion": {"kind": "Kustomization", "name": "none"},
    "not served": {"apiVersion": "other.example.com/v1", "kind": "Bucket", "name": "none"},
    "with a filter that fails": {"kind": "GitRepository", "name": "app", "filter": "req.none == 1"},
}


@pytest.mark.parametrize("resource", FAILING.values(), ids=FAILING)
async def test_a_resource_that_fails_fails_the_webhook_but_not_the_others(receiving, resource):
    await receiving.source("other")
    at = await receiving.have(resources=[resource, {"kind": "GitRepository", "name": "other"}])
    assert await receiving.send(at) == 500
    await receiving.until_requested("other")
    assert await receiving.requested() is None


async def test_no_labels_in_so_many_words_are_had_by_all(receiving):
    await receiving.source("one", team="blue")
    await receiving.send(await receiving.have(resources=[{"kind": "GitRepository", "name": "*", "matchLabels": {}}]))
    await receiving.until_requested("one")
    await receiving.until_requested("app")


async def test_labels_that_nothing_has_are_no_failure(receiving):
    chosen = {"kind": "GitRepository", "name": "*", "matchLabels": {"team": "none"}}
    assert await receiving.send(await receiving.have(resources=[chosen])) == 200


async def test_a_filter_chooses_by_request_and_object(receiving):
    await receiving.source("one", team="blue")
    await receiving.source("two", team="red")
    resources = [
        {"kind": "GitRepository", "name": "one"},
        {"kind": "GitRepository", "name": "*", "matchLabels": {"team": "red"}},
    ]
    at = await receiving.have(resources=resources, resourceFilter="req.team == res.metadata.labels.team")
    assert await receiving.send(at, b'{"team": "red"}') == 200
    await receiving.until_requested("two")
    assert await receiving.requested("one") is None


async def test_another_namespace_is_told_unless_that_is_forbidden(world):
    await world.kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    await world.source("app", "other")
    await world.start("--no-cross-namespace-refs")
    elsewhere = {"kind": "GitRepository", "name": "app", "namespace": "other"}
    at = await world.have(resources=[elsewhere])
    assert await world.send(at) == 500
    assert await world.requested("app", "other") is None
    await world.stop()
    await world.start()
    assert await world.send(at) in (200, 503)
    await world.answered(at, 200)
    assert await world.requested() is None


# Faults


async def test_until_all_receivers_are_known_senders_are_asked_to_come_again(world):
    await world.start()
    at = await world.have()
    await world.stop()
    world.api.faults.delay(1.0, verb="list", resource="receivers", nth=0, count=0)
    await world.start()
    assert await world.send(at) == 503
    await world.answered(at, 200)


@pytest.mark.parametrize("verb", ["patch", "list"])
async def test_an_api_that_fails_for_a_while_loses_no_webhook(receiving, verb):
    await receiving.source("one", team="blue")
    chosen = {"kind": "GitRepository", "name": "*", "matchLabels": {"team": "blue"}}
    at = await receiving.have(resources=[chosen])
    receiving.api.faults.fail(verb=verb, resource="gitrepositories", nth=1, count=3, code=500)
    assert await receiving.send(at) == 200, "it will be told"
    await receiving.until_requested("one")


async def test_a_slow_api_makes_no_sender_wait(receiving):
    at = await receiving.have()
    await receiving.send(at)
    await receiving.until_requested()
    receiving.api.faults.delay(1.0, verb="patch", resource="gitrepositories", nth=1, count=1)
    before, started = await receiving.requested(), time.monotonic()
    assert await receiving.send(at) == 200
    assert time.monotonic() - started < 0.5
    deadline = time.monotonic() + 10
    while await receiving.requested() == before:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_the_last_known_secret_does_while_the_api_says_nothing(receiving):
    at = await receiving.have("generic-hmac")
    receiving.api.faults.fail(verb="get", resource="secrets", nth=0, count=0, code=500)
    assert await receiving.send(at, b"x", X_Signature=sign(b"x")) == 200
    assert await receiving.send(at, b"x", X_Signature=sign(b"y")) == 400


async def test_a_storm_of_webhooks_asks_for_few_reconciliations(receiving):
    at = await receiving.have()
    before = receiving.client.calls["patch", "gitrepositories"]
    receiving.api.faults.delay(0.2, verb="patch", resource="gitrepositories", nth=0, count=0)
    statuses = await asyncio.gather(*(receiving.send(at) for _ in range(100)))
    assert set(statuses) == {200}
    await receiving.until_requested()
    assert receiving.client.calls["patch", "gitrepositories"] - before < 20


async def test_webhooks_that_were_taken_are_told_before_the_end(receiving):
    at = await receiving.have()
    receiving.api.faults.delay(0.5, verb="patch", resource="gitrepositories", nth=1, count=1)
    assert await receiving.send(at) == 200
    await receiving.stop()
    assert await receiving.requested()


async def test_a_forged_status_takes_no_ones_path(receiving):
    at = await receiving.have(resources=[{"kind": "GitRepository", "name": "app"}])
    await receiving.source("stolen")
    await receiving.secret("other", "othertoken")
    stolen = {"kind": "GitRepository", "name": "stolen", "filter": "has(req.news)"}
    await receiving.have(name="thief", resources=[stolen], secretRef={"name": "othertoken"})
    patch = {"status": {"webhookPath": at}}
    await receiving.kube.patch(GROUP, "Receiver", "thief", "default", patch, subresource="status")
    await receiving.answered(path("other", "thief"), 404)
    assert await receiving.send(at, b'{"news": 1}') == 200
    await receiving.until_requested()
    assert await receiving.requested("stolen") is None
