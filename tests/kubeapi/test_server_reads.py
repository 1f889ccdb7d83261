"""Lists and watches: selectors, pages, resource versions, bookmarks; and what is refused."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import aiohttp
import pytest

from tests.kubeapi.server_kit import Api

PATH = "/api/v1/namespaces/default/configmaps"


async def have(api: Api, **labels: dict[str, str]) -> None:
    for name, found in labels.items():
        await api.post(PATH, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": found}})


async def names(api: Api, query: str) -> list[str]:
    found = [item["metadata"]["name"] for item in (await api.get(f"{PATH}?{query}"))["items"]]
    return [name for name in found if name != "kube-root-ca.crt"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("app=x", ["a"]),
        ("app==x", ["a"]),
        ("app!=x", ["b", "c"]),
        ("app in (x,y)", ["a", "b"]),
        ("app notin (x)", ["b", "c"]),
        ("app", ["a", "b"]),
        ("!app", ["c"]),
        ("app=x,tier=1", ["a"]),
        ("app=x,tier!=1", []),
        ("tier>0", ["a"]),
        ("tier<1", []),
        ("app=", []),
    ],
)
async def test_labels_select(api: Api, selector: str, expected: list[str]):
    await have(api, a={"app": "x", "tier": "1"}, b={"app": "y"}, c={})
    assert await names(api, f"labelSelector={quote(selector)}") == expected


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        ("a b", "found 'b', expected"),
        ("a===", "expected: identifier"),
        ("x in y", "found 'y' expected: '('"),
        ("-x=y", "name part must consist of alphanumeric characters"),
        ("x=-y", "a valid label must be an empty string or consist of"),
        ("tier>x", "the value must be an integer"),
        ("a,", "expected: identifier after ','"),
    ],
)
async def test_a_selector_that_makes_no_sense_is_refused(api: Api, selector: str, problem: str):
    refused = await api.get(f"{PATH}?labelSelector={quote(selector)}", expect=400)
    assert problem in refused["message"]


async def test_a_long_selector_fits_into_a_url(api: Api):
    await have(api, a={"app": "x"})
    many = ",".join(f"value-{number}" for number in range(2000))
    assert await names(api, f"labelSelector={quote(f'app in ({many},x)')}") == ["a"]


async def test_fields_select(api: Api):
    await have(api, a={}, b={})
    assert await names(api, "fieldSelector=metadata.name%3Da") == ["a"]
    assert await names(api, "fieldSelector=metadata.name!%3Da") == ["b"]
    assert await names(api, "fieldSelector=metadata.name%3Da,metadata.namespace%3Dother") == []
    refused = await api.get(f"{PATH}?fieldSelector=data.x%3D1", expect=400)
    assert refused["message"] == '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"'


async def test_a_list_at_an_exact_version_shows_what_was_then(api: Api):
    await have(api, a={})
    then = (await api.get(PATH))["metadata"]["resourceVersion"]
    await have(api, b={})
    await api.delete(f"{PATH}/a")
    exact = f"resourceVersion={then}&resourceVersionMatch=Exact"
    assert await names(api, exact) == ["a"]
    assert await names(api, f"resourceVersion={then}&resourceVersionMatch=NotOlderThan") == ["b"]
    api.server.faults.expire("configmaps")
    refused = await api.get(f"{PATH}?{exact}", expect=410)
    assert refused["reason"] == "Expired"


@pytest.mark.parametrize(
    ("query", "code", "problem"),
    [
        ("limit=x", 400, "invalid syntax"),
        ("continue=xx", 400, "continue key is not valid"),
        ("resourceVersion=abc", 400, "invalid resource version"),
        ("resourceVersionMatch=Exact", 422, "forbidden unless resourceVersion is provided"),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422, 'forbidden for resourceVersion "0"'),
        ("resourceVersion=99999999", 504, "Too large resource version"),
        ("sendInitialEvents=true", 422, "sendInitialEvents is forbidden for list"),
        ("watch=1&sendInitialEvents=true", 422, "requires setting resourceVersionMatch to NotOlderThan"),
        ("watch=1&resourceVersion=99999999", 504, "Too large resource version"),
        ("watch=1&timeoutSeconds=x", 400, "invalid syntax"),
    ],
)
async def test_options_that_contradict_are_refused(api: Api, query: str, code: int, problem: str):
    refused = await api.get(f"{PATH}?{query}", expect=code)
    assert problem in refused["message"]


async def test_a_page_that_is_too_old_to_go_on_from_is_refused(api: Api):
    await have(api, a={}, b={}, c={})
    token = (await api.get(f"{PATH}?limit=1"))["metadata"]["continue"]
    await have(api, d={})
    api.server.faults.expire("configmaps")
    refused = await api.get(f"{PATH}?limit=1&continue={token}", expect=410)
    assert "continue parameter is too old" in refused["message"]


async def test_pages_of_a_selection_have_all_of_it(api: Api):
    await have(api, **{f"c{number}": {"app": "x" if number % 2 else "y"} for number in range(9)})
    found, token = [], ""
    for _ in range(9):
        page = await api.get(f"{PATH}?labelSelector=app%3Dx&limit=2&continue={token}")
        found += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert found == ["c1", "c3", "c5", "c7"]


async def test_a_watch_of_one_object_sees_no_other(api: Api):
    await have(api, a={}, b={})
    version = (await api.get(PATH))["metadata"]["resourceVersion"]
    async with api.watch(PATH, fieldSelector="metadata.name=a", resourceVersion=version) as events:
        await api.patch(f"{PATH}/b", {"data": {"x": "1"}})
        await api.patch(f"{PATH}/a", {"data": {"x": "2"}})
        event = await events.next()
    assert (event["object"]["metadata"]["name"], event["object"]["data"]) == ("a", {"x": "2"})


async def test_a_watch_that_wants_them_gets_bookmarks_when_it_ends(api: Api):
    version = (await api.get(PATH))["metadata"]["resourceVersion"]
    options = {"allowWatchBookmarks": "true", "timeoutSeconds": "1", "resourceVersion": version}
    async with api.watch(PATH, labelSelector="app=none", **options) as events:
        await have(api, a={})
        event = await events.next()
    assert event["type"] == "BOOKMARK"
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(version)


async def test_many_watchers_see_the_same_in_the_same_order(api: Api):
    version = (await api.get(PATH))["metadata"]["resourceVersion"]

    async def follow() -> list[str]:
        async with api.watch(PATH, resourceVersion=version) as events:
            return [(await events.next())["object"]["metadata"]["resourceVersion"] for _ in range(20)]

    watchers = [asyncio.create_task(follow()) for _ in range(20)]
    await asyncio.gather(*(have(api, **{f"c{number}": {}}) for number in range(20)))
    seen = await asyncio.gather(*watchers)
    assert seen[0] == sorted(seen[0], key=int)
    assert all(one == seen[0] for one in seen)


async def test_events_are_seen_through_both_groups(api: Api):
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "R",
        "message": "m",
        "source": {"component": "c"},
    }
    await api.post("/api/v1/namespaces/default/events", event)
    other = await api.get("/apis/events.k8s.io/v1/namespaces/default/events/e")
    assert (other["apiVersion"], other["note"], other["regarding"]["name"]) == ("events.k8s.io/v1", "m", "p")
    found = await api.get("/api/v1/events?fieldSelector=involvedObject.name%3Dp,reason%3DR")
    assert [item["metadata"]["name"] for item in found["items"]] == ["e"]


async def test_a_body_nested_beyond_reason_is_refused(api: Api):
    deep = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"x":' + b'{"x":' * 300 + b"1" + b"}" * 301
    refused = await api.send("POST", PATH, deep, expect=400)
    assert "nested deeper than 200 levels" in refused["message"]
    wide = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {str(n): "[{" for n in range(300)},
    }
    await api.post(PATH, wide)


async def test_a_body_beyond_the_limit_is_refused(api: Api):
    big = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "y" * (4 << 20)}}
    refused = await api.post(PATH, big, expect=413)
    assert refused["reason"] == "RequestEntityTooLarge"


async def test_all_namespaces_are_not_emptied_at_once(api: Api):
    await have(api, a={})
    await api.delete("/api/v1/configmaps", expect=405)
    await api.get(f"{PATH}/a")


async def test_hundreds_of_watches_see_the_same_changes_in_order(api: Api):
    start = (await api.get(PATH))["metadata"]["resourceVersion"]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        many = Api(api.server, session)

        async def seen() -> list[str]:
            async with many.watch(PATH, resourceVersion=start) as events:
                return [(await events.next(30))["object"]["metadata"]["name"] for _ in range(20)]

        watches = [asyncio.create_task(seen()) for _ in range(300)]
        for number in range(20):
            await have(api, **{f"seen-{number}": {}})
        told = await asyncio.gather(*watches)
    assert told == [[f"seen-{number}" for number in range(20)]] * 300
