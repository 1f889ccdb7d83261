"""Owners and dependents: who goes with whom, who waits for whom, who is set free."""

from __future__ import annotations

import asyncio

import pytest

from tests.kubeapi.server_kit import Api

PATH = "/api/v1/namespaces/default/configmaps"


def owned(name: str, *owners: dict, block: bool = False, finalizers: tuple[str, ...] = ()) -> dict:
    references = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            **({"blockOwnerDeletion": True} if block else {}),
        }
        for owner in owners
    ]
    metadata = {"name": name, "ownerReferences": references, "finalizers": list(finalizers)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def options(propagation: str) -> dict:
    return {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}


async def test_dependents_go_after_their_owner(api: Api):
    owner = await api.post(PATH, owned("owner"))
    child = await api.post(PATH, owned("child", owner))
    await api.post(PATH, owned("grandchild", child))
    await api.delete(f"{PATH}/owner")
    await api.until(f"{PATH}/child", lambda found: found is None)
    await api.until(f"{PATH}/grandchild", lambda found: found is None)


async def test_a_foreground_deletion_waits_for_the_dependents_that_block(api: Api):
    owner = await api.post(PATH, owned("owner"))
    await api.post(PATH, owned("child", owner, block=True, finalizers=("example.com/hold",)))
    answer = await api.delete(f"{PATH}/owner", options("Foreground"))
    assert answer["metadata"]["finalizers"] == ["foregroundDeletion"]
    await api.until(f"{PATH}/child", lambda found: "deletionTimestamp" in found["metadata"])
    assert (await api.get(f"{PATH}/owner"))["metadata"]["deletionTimestamp"]
    await api.patch(f"{PATH}/child", {"metadata": {"finalizers": None}})
    await api.until(f"{PATH}/owner", lambda found: found is None)


async def test_a_foreground_deletion_does_not_wait_for_the_others(api: Api):
    owner = await api.post(PATH, owned("owner"))
    await api.post(PATH, owned("child", owner, finalizers=("example.com/hold",)))
    await api.delete(f"{PATH}/owner", options("Foreground"))
    await api.until(f"{PATH}/owner", lambda found: found is None)
    assert (await api.get(f"{PATH}/child"))["metadata"]["deletionTimestamp"]


async def test_an_orphaning_deletion_sets_the_dependents_free(api: Api):
    owner = await api.post(PATH, owned("owner"))
    await api.post(PATH, owned("child", owner))
    await api.delete(f"{PATH}/owner", options("Orphan"))
    await api.until(f"{PATH}/owner", lambda found: found is None)
    child = await api.get(f"{PATH}/child")
    assert "ownerReferences" not in child["metadata"]
    assert "deletionTimestamp" not in child["metadata"]


async def test_an_object_with_two_owners_stays_until_the_second_goes(api: Api):
    first, second = await api.post(PATH, owned("first")), await api.post(PATH, owned("second"))
    await api.post(PATH, owned("child", first, second))
    await api.delete(f"{PATH}/first")
    child = await api.until(f"{PATH}/child", lambda found: len(found["metadata"]["ownerReferences"]) == 1)
    assert child["metadata"]["ownerReferences"][0]["name"] == "second"
    await api.delete(f"{PATH}/second")
    await api.until(f"{PATH}/child", lambda found: found is None)


async def test_a_reference_to_an_owner_that_never_was_is_collected(api: Api):
    ghost = {"metadata": {"name": "ghost", "uid": "00000000-0000-0000-0000-000000000000"}}
    await api.post(PATH, owned("child", ghost))
    await api.until(f"{PATH}/child", lambda found: found is None)


async def test_a_finalizer_holds_a_deleted_object_until_it_is_taken_out(api: Api):
    await api.post(PATH, owned("held", finalizers=("example.com/hold",)))
    answer = await api.delete(f"{PATH}/held")
    assert answer["metadata"]["deletionTimestamp"]
    refused = await api.patch(f"{PATH}/held", {"metadata": {"finalizers": ["a.io/b", "example.com/hold"]}}, expect=422)
    assert "no new finalizers can be added if the object is being deleted" in refused["message"]
    await api.patch(f"{PATH}/held", {"data": {"still": "writable"}})
    async with api.watch(PATH, fieldSelector="metadata.name=held", resourceVersion=await _now(api)) as events:
        await api.patch(f"{PATH}/held", {"metadata": {"finalizers": None}})
        event = await events.next()
    assert event["type"] == "DELETED"
    assert event["object"]["data"] == {"still": "writable"}


async def _now(api: Api) -> str:
    return (await api.get(PATH))["metadata"]["resourceVersion"]


@pytest.mark.parametrize("precondition", ["uid", "resourceVersion"])
async def test_a_deletion_of_another_object_than_the_one_meant_is_refused(api: Api, precondition: str):
    await api.post(PATH, owned("a"))
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {precondition: "12345"}}
    refused = await api.delete(f"{PATH}/a", body, expect=409)
    assert "in the precondition (12345) does not match" in refused["message"]
    await api.get(f"{PATH}/a")


async def test_a_collection_is_deleted_by_selector(api: Api):
    for name, app in (("a", "x"), ("b", "y")):
        one = owned(name)
        one["metadata"]["labels"] = {"app": app}
        await api.post(PATH, one)
    await api.delete(f"{PATH}?labelSelector=app%3Dx")
    await api.get(f"{PATH}/a", expect=404)
    await api.get(f"{PATH}/b")


async def test_owners_of_a_kind_that_comes_later_are_left_alone(api: Api):
    reference = {"apiVersion": "later.example.com/v1", "kind": "Later", "name": "x", "uid": "1"}
    child = owned("child")
    child["metadata"]["ownerReferences"] = [reference]
    await api.post(PATH, child)
    await asyncio.sleep(0.05)  # long enough for a collector that is wrong
    await api.get(f"{PATH}/child")
