"""Faults on demand: what is ordered happens to the requests that are meant, and to no others."""

from __future__ import annotations

import asyncio
from datetime import datetime

import aiohttp
import pytest

from tests.kubeapi.server_kit import Api

PATH = "/api/v1/namespaces/default/configmaps"


def config_map(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


async def test_a_rule_acts_on_its_nth_match_and_as_often_as_it_says(api: Api):
    rule = api.server.faults.fail(
        verb="create", resource="configmaps", nth=2, count=2, code=503, reason="ServiceUnavailable"
    )
    codes = []
    for number in range(5):
        async with api.raw("POST", PATH, json=config_map(f"c{number}")) as response:
            codes.append(response.status)
    assert codes == [201, 503, 503, 201, 201]
    assert rule.seen == 5
    names = {item["metadata"]["name"] for item in (await api.get(PATH))["items"]}
    assert names >= {"c0", "c3", "c4"}
    assert not names & {"c1", "c2"}


async def test_a_rule_meets_only_what_it_names(api: Api):
    faults = api.server.faults
    faults.fail(verb="get", name="a", nth=0)
    await api.get(f"{PATH}/b", expect=404)
    await api.get(f"{PATH}/a", expect=500)
    faults.clear()
    faults.fail(resource="deployments.apps", namespace="default", nth=0)
    await api.get("/apis/apps/v1/namespaces/default/deployments", expect=500)
    await api.get("/apis/apps/v1/namespaces/kube-system/deployments")
    faults.clear()
    faults.fail(user="jane", nth=0, code=429, reason="TooManyRequests", retry_after=7)
    await api.get(PATH)
    async with api.raw("GET", PATH, headers={"Impersonate-User": "jane"}) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")


async def test_a_status_write_can_fail_alone(api: Api):
    path = "/api/v1/namespaces/default"
    api.server.faults.fail(subresource="status", nth=0, code=409, reason="Conflict")
    await api.patch(path, {"metadata": {"labels": {"x": "y"}}})
    await api.patch(f"{path}/status", {"status": {"phase": "Active"}}, expect=409)


async def test_a_cut_request_has_no_effect_and_one_cut_after_has(api: Api):
    api.server.faults.cut(verb="create", resource="configmaps")
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await api.post(PATH, config_map("before"))
    api.server.faults.clear()
    await api.get(f"{PATH}/before", expect=404)
    api.server.faults.add("cut-after", verb="create", resource="configmaps")
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await api.post(PATH, config_map("after"))
    await api.get(f"{PATH}/after")


async def test_a_delayed_request_waits_while_others_do_not(api: Api):
    api.server.faults.delay(3600, verb="get", name="slow")
    slow = asyncio.create_task(api.get(f"{PATH}/slow", expect=404))
    await api.get(f"{PATH}/fast", expect=404)
    assert not slow.done()
    slow.cancel()


async def test_expired_history_ends_watches_with_410(api: Api):
    async with api.watch(PATH, resourceVersion=(await api.get(PATH))["metadata"]["resourceVersion"]) as events:
        api.server.faults.expire("configmaps")
        event = await events.next()
        assert event["type"] == "ERROR"
        assert event["object"]["code"] == 410
        await asyncio.wait_for(events.ended(), 5)


async def test_a_stalled_watch_tells_later_what_happened(api: Api):
    async with api.watch(PATH, resourceVersion=(await api.get(PATH))["metadata"]["resourceVersion"]) as events:
        api.server.faults.stall_watches()
        await api.post(PATH, config_map("a"))
        with pytest.raises(TimeoutError):
            await events.next(timeout=0.05)
        api.server.faults.stall_watches(False)
        assert (await events.next())["object"]["metadata"]["name"] == "a"


async def test_a_watch_that_begins_while_watches_are_stalled_is_stalled_too(api: Api):
    api.server.faults.stall_watches(resource="configmaps")
    await api.post(PATH, config_map("a"))
    async with api.watch(PATH) as events, api.watch("/api/v1/namespaces/default/serviceaccounts") as others:
        assert (await others.next())["type"] == "ADDED"
        with pytest.raises(TimeoutError):
            await events.next(timeout=0.05)
        api.server.faults.stall_watches(False, "configmaps")
        assert (await events.next())["type"] == "ADDED"


async def test_the_clock_moves_for_all_that_is_stored(api: Api):
    before = (await api.post(PATH, config_map("a")))["metadata"]["creationTimestamp"]
    api.server.faults.skew(-7200)
    after = (await api.post(PATH, config_map("b")))["metadata"]["creationTimestamp"]
    passed = datetime.fromisoformat(before) - datetime.fromisoformat(after)
    assert 7198 <= passed.total_seconds() <= 7200


async def test_a_read_only_server_refuses_writes_and_changes_nothing(api: Api):
    api.server.faults.read_only()
    refused = await api.post(PATH, config_map("a"), expect=503)
    assert "read-only" in refused["message"]
    api.server.faults.clear()
    await api.get(f"{PATH}/a", expect=404)
    await api.post(PATH, config_map("a"))


async def test_faults_are_ordered_over_http_too(api: Api):
    state = await api.post("/faults", {"action": "fail", "verb": "get", "resource": "configmaps", "code": 418})
    assert [rule["code"] for rule in state["rules"]] == [418]
    await api.get(f"{PATH}/a", expect=418)
    assert (await api.get("/faults"))["rules"][0]["seen"] == 1
    async with api.watch(PATH) as events:
        await events.next()
        await api.post("/faults", {"action": "drop-watches", "resource": "configmaps"})
        await asyncio.wait_for(events.ended(), 5)
    await api.post("/faults", {"action": "read-only"})
    await api.post(PATH, config_map("a"), expect=503)
    await api.post("/faults", {"action": "stall-watches", "resource": "secrets"})
    await api.post("/faults", {"action": "skew", "seconds": 60})
    state = await api.get("/faults")
    assert (state["stalled"], state["readOnly"], state["skewSeconds"]) == (["secrets"], True, 60.0)
    nothing = {"rules": [], "watches": 0, "stalled": [], "readOnly": False, "skewSeconds": 0.0}
    assert (await api.delete("/faults")) == nothing


async def test_a_fault_that_makes_no_sense_is_explained(api: Api):
    refused = await api.post("/faults", {"action": "explode"}, expect=400)
    assert "choose one of" in refused["message"]
    refused = await api.post("/faults", {"action": "fail", "wrong": 1}, expect=400)
    assert "wrong" in refused["message"]


async def test_faults_are_for_administrators(api: Api):
    headers = {"Impersonate-User": "jane"}
    await api.get("/faults", headers=headers, expect=403)


async def test_a_server_is_told_over_http_to_go_away_for_a_while(api: Api):
    made = await api.post(PATH, config_map("a"))
    refused = await api.post("/faults", {"action": "go-away", "seconds": 1e9}, expect=400)
    assert "3600" in refused["message"]
    async with api.watch(PATH) as events:
        await events.next()
        await api.post("/faults", {"action": "go-away", "seconds": 0.2})
        await asyncio.wait_for(events.ended(), 5)
    for _ in range(500):
        try:
            assert await api.get(f"{PATH}/a") == made
            break
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.01)
    else:
        pytest.fail("the server never came back")


async def test_a_server_can_go_away_and_come_back(api: Api):
    made = await api.post(PATH, config_map("a"))
    await api.server.pause()
    with pytest.raises(aiohttp.ClientConnectionError):
        await api.get(f"{PATH}/a")
    await api.server.resume()
    assert await api.get(f"{PATH}/a") == made
