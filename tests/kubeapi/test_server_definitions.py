"""Custom kinds: served as soon as their names are accepted, gone with their definition, alike in all their versions."""

from __future__ import annotations

import copy
from typing import Any

from tests.kubeapi.server_kit import Api

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
THINGS = "/apis/example.com/v1/namespaces/default/things"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def version(name: str, *, storage: bool = False, **more: Any) -> dict:
    properties = {
        "spec": {
            "type": "object",
            "properties": {"size": {"type": "integer", "default": 1}, "name": {"type": "string"}},
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }
    schema = {"openAPIV3Schema": {"type": "object", "properties": properties}}
    return {"name": name, "served": True, "storage": storage, "schema": schema, "subresources": {"status": {}}, **more}


def definition(plural: str = "things", kind: str = "Thing", *versions: dict, scope: str = "Namespaced") -> dict:
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.com"},
        "spec": {
            "group": "example.com",
            "scope": scope,
            "names": names,
            "versions": list(versions) or [version("v1", storage=True)],
        },
    }


def thing(called: str = "a", **spec: Any) -> dict:
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": called}, "spec": spec}


def condition(manifest: dict | None, type_: str) -> dict:
    found = ((manifest or {}).get("status") or {}).get("conditions") or ()
    return next((one for one in found if one["type"] == type_), {})


async def define(api: Api, crd: dict) -> dict:
    await api.post(CRDS, crd)
    path = f"{CRDS}/{crd['metadata']['name']}"
    return await api.until(path, lambda found: condition(found, "Established").get("status") == "True")


async def test_a_definition_is_established_and_its_kind_served(api: Api):
    crd = await define(api, definition())
    assert condition(crd, "NamesAccepted")["status"] == "True"
    assert crd["status"]["storedVersions"] == ["v1"]
    assert crd["status"]["acceptedNames"]["kind"] == "Thing"
    made = await api.post(THINGS, thing())
    assert made["metadata"]["generation"] == 1
    assert (await api.get(THINGS))["kind"] == "ThingList"


async def test_a_second_definition_of_the_same_kind_is_not_established(api: Api):
    await define(api, definition())
    await api.post(CRDS, definition("others", "Thing"))
    other = await api.until(f"{CRDS}/others.example.com", lambda found: condition(found, "NamesAccepted"))
    assert condition(other, "NamesAccepted")["reason"] in ("KindConflict", "ListKindConflict", "SingularConflict")
    assert condition(other, "Established")["status"] == "False"
    await api.delete(f"{CRDS}/things.example.com")
    await api.until(f"{CRDS}/others.example.com", lambda found: condition(found, "Established").get("status") == "True")


async def test_a_deleted_definition_takes_its_objects_along_and_waits_for_them(api: Api):
    await define(api, definition())
    held = thing()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await api.post(THINGS, held)
    await api.delete(f"{CRDS}/things.example.com")
    crd = await api.until(f"{CRDS}/things.example.com", lambda found: condition(found, "Terminating"))
    assert "customresourcecleanup.apiextensions.k8s.io" in crd["metadata"]["finalizers"]
    assert (await api.get(f"{THINGS}/a"))["metadata"]["deletionTimestamp"]
    await api.patch(f"{THINGS}/a", {"metadata": {"finalizers": None}})
    await api.until(f"{CRDS}/things.example.com", lambda found: found is None)
    async with api.raw("GET", THINGS) as response:
        assert response.status == 404


async def test_a_status_changes_only_through_its_subresource_and_without_a_new_generation(api: Api):
    await define(api, definition())
    sent = thing(size=3)
    sent["status"] = {"ready": True}
    made = await api.post(THINGS, sent)
    assert "status" not in made
    patched = await api.patch(f"{THINGS}/a", {"status": {"ready": True}})
    assert "status" not in patched
    patched = await api.patch(f"{THINGS}/a/status", {"status": {"ready": True}, "spec": {"size": 9}})
    assert (patched["status"], patched["spec"]["size"]) == ({"ready": True}, 3)
    assert patched["metadata"]["generation"] == 1
    changed = await api.patch(f"{THINGS}/a", {"spec": {"size": 4}})
    assert changed["metadata"]["generation"] == 2
    labelled = await api.patch(f"{THINGS}/a", {"metadata": {"labels": {"x": "y"}}})
    assert labelled["metadata"]["generation"] == 2
    assert labelled["status"] == {"ready": True}


async def test_an_object_is_the_same_in_every_served_version(api: Api):
    crd = definition("things", "Thing", version("v1", storage=True), version("v1beta1"))
    await define(api, crd)
    await api.post(THINGS, thing(size=5))
    beta = "/apis/example.com/v1beta1/namespaces/default/things/a"
    found = await api.get(beta)
    assert (found["apiVersion"], found["spec"]["size"]) == ("example.com/v1beta1", 5)
    changed = await api.patch(beta, {"spec": {"size": 6}})
    assert changed["apiVersion"] == "example.com/v1beta1"
    assert (await api.get(f"{THINGS}/a"))["spec"]["size"] == 6


async def test_a_version_no_longer_served_is_not_found(api: Api):
    crd = await define(api, definition("things", "Thing", version("v1", storage=True), version("v1beta1")))
    changed = copy.deepcopy(crd)
    changed["spec"]["versions"][1]["served"] = False
    await api.put(f"{CRDS}/things.example.com", changed)
    await api.until("/apis/example.com/v1beta1", lambda found: found is None)
    await api.get(THINGS)


async def test_printer_columns_are_what_kubectl_shows(api: Api):
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
        {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp", "priority": 1},
    ]
    await define(api, definition("things", "Thing", version("v1", storage=True, additionalPrinterColumns=columns)))
    await api.post(THINGS, thing(size=5))
    status = {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}
    await api.patch(f"{THINGS}/a/status", {"status": status})
    table = await api.get(THINGS, accept=TABLE)
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Size", "Ready", "Since"]
    assert table["rows"][0]["cells"][:3] == ["a", 5, "True"]


async def test_a_custom_kind_can_be_scaled(api: Api):
    scale = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.size",
            "statusReplicasPath": ".status.size",
            "labelSelectorPath": ".status.selector",
        },
    }
    await define(api, definition("things", "Thing", version("v1", storage=True, subresources=scale)))
    await api.post(THINGS, thing(size=2))
    await api.patch(f"{THINGS}/a/status", {"status": {"size": 1, "selector": "app=a"}})
    found = await api.get(f"{THINGS}/a/scale")
    assert (found["spec"], found["status"]) == ({"replicas": 2}, {"replicas": 1, "selector": "app=a"})
    await api.patch(f"{THINGS}/a/scale", {"spec": {"replicas": 7}})
    assert (await api.get(f"{THINGS}/a"))["spec"]["size"] == 7


async def test_objects_can_be_selected_by_the_fields_that_the_definition_names(api: Api):
    selectable = [{"jsonPath": ".spec.name"}]
    await define(api, definition("things", "Thing", version("v1", storage=True, selectableFields=selectable)))
    await api.post(THINGS, thing("a", name="x"))
    await api.post(THINGS, thing("b", name="y"))
    found = await api.get(f"{THINGS}?fieldSelector=spec.name%3Dx")
    assert [one["metadata"]["name"] for one in found["items"]] == ["a"]
    refused = await api.get(f"{THINGS}?fieldSelector=spec.size%3D1", expect=400)
    assert "field label not supported: spec.size" in refused["message"]


async def test_a_cluster_scoped_kind_has_no_namespaces(api: Api):
    await define(api, definition("realms", "Realm", scope="Cluster"))
    made = await api.post("/apis/example.com/v1/realms", {**thing(), "kind": "Realm"})
    assert "namespace" not in made["metadata"]
    async with api.raw("GET", "/apis/example.com/v1/namespaces/default/realms") as response:
        assert response.status == 404


async def test_a_strategic_patch_of_a_custom_kind_is_refused(api: Api):
    await define(api, definition())
    await api.post(THINGS, thing())
    refused = await api.patch(f"{THINGS}/a", {"spec": {}}, "strategic", expect=415)
    assert refused["reason"] == "UnsupportedMediaType"


async def test_a_watch_on_a_kind_whose_definition_goes_sees_its_objects_go(api: Api):
    await define(api, definition())
    await api.post(THINGS, thing())
    async with api.watch(THINGS) as events:
        assert (await events.next())["type"] == "ADDED"
        await api.delete(f"{CRDS}/things.example.com")
        assert (await events.next())["type"] == "DELETED"
