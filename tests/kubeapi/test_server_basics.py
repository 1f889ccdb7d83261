"""What any client does first: create, read, change, list, watch, delete."""

from __future__ import annotations

import asyncio
import json

from tests.kubeapi.server_kit import Api


def config_map(name: str, **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


PATH = "/api/v1/namespaces/default/configmaps"


async def test_an_object_is_created_read_changed_and_deleted(api: Api):
    made = await api.post(PATH, config_map("a", x="1"))
    assert made["metadata"]["uid"]
    assert made["metadata"]["namespace"] == "default"
    assert await api.get(f"{PATH}/a") == made

    changed = await api.patch(f"{PATH}/a", {"data": {"y": "2"}}, "merge")
    assert changed["data"] == {"x": "1", "y": "2"}
    assert int(changed["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    changed = await api.patch(f"{PATH}/a", [{"op": "remove", "path": "/data/x"}], "json")
    assert changed["data"] == {"y": "2"}

    gone = await api.delete(f"{PATH}/a")
    assert gone["status"] == "Success"
    assert gone["details"]["uid"] == made["metadata"]["uid"]
    missing = await api.get(f"{PATH}/a", expect=404)
    assert missing["message"] == 'configmaps "a" not found'
    assert missing["details"] == {"name": "a", "kind": "configmaps"}


async def test_an_update_of_an_old_version_conflicts(api: Api):
    old = await api.post(PATH, config_map("a", x="1"))
    await api.patch(f"{PATH}/a", {"data": {"x": "2"}}, "merge")
    refused = await api.put(f"{PATH}/a", old, expect=409)
    assert refused["reason"] == "Conflict"
    assert refused["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to '
        "the latest version and try again"
    )


async def test_a_write_that_changes_nothing_writes_nothing(api: Api):
    made = await api.post(PATH, config_map("a", x="1"))
    same = await api.patch(f"{PATH}/a", {"data": {"x": "1"}}, "merge")
    assert same == made


async def test_a_dry_run_leaves_no_trace(api: Api):
    await api.post(f"{PATH}?dryRun=All", config_map("a"))
    await api.get(f"{PATH}/a", expect=404)
    made = await api.post(PATH, config_map("a", x="1"))
    await api.patch(f"{PATH}/a?dryRun=All", {"data": {"x": "2"}}, "merge")
    await api.delete(f"{PATH}/a?dryRun=All")
    assert await api.get(f"{PATH}/a") == made


async def test_a_list_comes_in_pages_of_one_state(api: Api):
    for name in "abcde":
        await api.post(PATH, config_map(name))
    first = await api.get(f"{PATH}?limit=2")
    assert [item["metadata"]["name"] for item in first["items"]] == ["a", "b"]
    await api.post(PATH, config_map("bb"))
    await api.delete(f"{PATH}/d")
    token = first["metadata"]["continue"]
    second = await api.get(f"{PATH}?limit=10&continue={token}")
    names = [item["metadata"]["name"] for item in second["items"]]
    assert names == ["c", "d", "e", "kube-root-ca.crt"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_watch_tells_every_change_once(api: Api):
    listed = await api.get(PATH)
    async with api.watch(PATH, resourceVersion=listed["metadata"]["resourceVersion"]) as events:
        await api.post(PATH, config_map("a", x="1"))
        await api.patch(f"{PATH}/a", {"data": {"x": "2"}}, "merge")
        await api.delete(f"{PATH}/a")
        seen = [await events.next() for _ in range(3)]
    assert [event["type"] for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in seen]
    assert versions == sorted(set(versions))


async def test_a_selecting_watch_sees_objects_enter_and_leave(api: Api):
    async with api.watch(PATH, labelSelector="app=x") as events:
        await api.post(PATH, config_map("a"))
        await api.patch(f"{PATH}/a", {"metadata": {"labels": {"app": "x"}}}, "merge")
        await api.patch(f"{PATH}/a", {"metadata": {"labels": {"app": None}}}, "merge")
        seen = [await events.next() for _ in range(2)]
    assert [event["type"] for event in seen] == ["ADDED", "DELETED"]
    assert seen[1]["object"]["metadata"]["labels"] == {"app": "x"}


async def test_a_watch_from_before_the_history_is_gone(api: Api):
    made = await api.post(PATH, config_map("a"))
    await api.patch(f"{PATH}/a", {"data": {"x": "2"}}, "merge")
    api.server.faults.expire()
    rv = made["metadata"]["resourceVersion"]
    refused = await api.get(f"{PATH}?watch=1&resourceVersion={rv}", expect=410)
    assert refused["reason"] == "Expired"


async def test_a_streaming_list_ends_with_its_bookmark(api: Api):
    await api.post(PATH, config_map("a"))
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with api.watch(PATH, fieldSelector="metadata.name=a", **query) as events:
        first, mark = await events.next(), await events.next()
    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "a")
    assert mark["type"] == "BOOKMARK"
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_metadata_only_lists_have_no_data(api: Api):
    await api.post(PATH, config_map("a", x="1"))
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    listed = await api.get(PATH, accept=accept)
    assert listed["kind"] == "PartialObjectMetadataList"
    assert all(set(item) == {"kind", "apiVersion", "metadata"} for item in listed["items"])


async def test_the_request_log_counts_calls(api: Api):
    api.server.requests.clear()
    await api.get(f"{PATH}/a", expect=404)
    assert [(r.verb, r.resource, r.namespace, r.name, r.code) for r in api.server.requests] == [
        ("get", "configmaps", "default", "a", 404)
    ]


async def test_faults_fail_the_nth_request_and_drop_watches(api: Api):
    rule = api.server.faults.fail(verb="get", resource="configmaps", nth=2, code=503, message="down")
    await api.get(f"{PATH}/a", expect=404)
    refused = await api.get(f"{PATH}/a", expect=503)
    assert refused["message"] == "down"
    await api.get(f"{PATH}/a", expect=404)
    assert rule.seen == 3
    async with api.watch(PATH) as events:
        await events.next()
        assert api.server.faults.drop_watches("configmaps") == 1
        await asyncio.wait_for(events.ended(), 5)


async def test_what_is_not_served_is_not_found(api: Api):
    async with api.raw("GET", "/apis/nobody.io/v1/things") as response:
        assert response.status == 404
        assert (await response.text()).strip() == "404 page not found"
    refused = await api.post(PATH, {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}}, expect=400)
    assert json.dumps(refused).find("Pod in version") > 0


async def test_what_has_no_effect_here_is_stored_with_a_warning(api: Api):
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    webhook = {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://example.com/convert"}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": names,
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            "conversion": {"strategy": "Webhook", "webhook": webhook},
        },
    }
    async with api.raw("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", json=crd) as response:
        assert response.status == 201, await response.text()
        said = "the embedded Kubernetes API calls no conversion webhook: versions differ by apiVersion only"
        assert response.headers["Warning"] == f'299 - "{said}"'


async def test_a_new_server_has_what_every_cluster_has_before_it_answers(api: Api):
    for namespace in ("default", "kube-system", "kube-public", "kube-node-lease"):
        await api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
        await api.get(f"/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt")
    await api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin")
    edit = await api.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/edit")
    assert any("configmaps" in rule["resources"] and "create" in rule["verbs"] for rule in edit["rules"])


async def test_the_request_log_has_a_watch_from_its_beginning_and_once(api: Api):
    api.server.requests.clear()
    async with api.watch(PATH, timeoutSeconds="1") as events:
        await events.next()
        assert [r.verb for r in api.server.requests] == ["watch"]
        await asyncio.wait_for(events.ended(), 5)
    assert [r.verb for r in api.server.requests] == ["watch"]
