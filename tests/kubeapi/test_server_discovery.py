"""What the server says of itself: groups, resources, schemas, versions; the same facts in every form."""

from __future__ import annotations

import json

from kubeapi.protobuf import openapi as protobuf
from tests.kubeapi.server_kit import Api

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {
            "plural": "things",
            "singular": "thing",
            "kind": "Thing",
            "listKind": "ThingList",
            "shortNames": ["tg"],
            "categories": ["all"],
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {"size": {"type": "integer", "description": "How big it is."}},
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


async def _define(api: Api) -> None:
    await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    await api.until("/apis/example.com/v1", lambda found: found)


def _flat(listed: dict) -> dict[str, tuple]:
    """name → kind, verbs, of the list of one group version."""
    return {one["name"]: (one["kind"], tuple(one["verbs"])) for one in listed["resources"]}


async def test_aggregated_discovery_says_what_the_lists_say(api: Api):
    await _define(api)
    for root in ("/api", "/apis"):
        found = await api.get(root, accept=AGGREGATED)
        assert found["kind"] == "APIGroupDiscoveryList"
        for group in found["items"]:
            for version in group["versions"]:
                name = group["metadata"].get("name", "")
                path = f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"
                expected = {}
                for one in version["resources"]:
                    expected[one["resource"]] = (one["responseKind"]["kind"], tuple(one["verbs"]))
                    for sub in one.get("subresources", ()):
                        kind = sub["responseKind"]["kind"]
                        expected[f"{one['resource']}/{sub['subresource']}"] = (kind, tuple(sub["verbs"]))
                assert _flat(await api.get(path)) == expected


async def test_a_defined_kind_appears_in_discovery_and_goes_with_its_definition(api: Api):
    await _define(api)
    listed = await api.get("/apis/example.com/v1")
    (thing,) = [one for one in listed["resources"] if one["name"] == "things"]
    assert thing["shortNames"] == ["tg"]
    assert thing["categories"] == ["all"]
    assert "things/status" in _flat(listed)
    await api.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com")
    await api.until("/apis/example.com/v1", lambda found: found is None)
    groups = await api.get("/apis")
    assert "example.com" not in [group["name"] for group in groups["groups"]]


async def test_discovery_that_did_not_change_is_not_sent_again(api: Api):
    async with api.raw("GET", "/apis", headers={"Accept": AGGREGATED}) as response:
        etag = response.headers["ETag"]
    async with api.raw("GET", "/apis", headers={"Accept": AGGREGATED, "If-None-Match": etag}) as response:
        assert response.status == 304
    await _define(api)
    async with api.raw("GET", "/apis", headers={"Accept": AGGREGATED, "If-None-Match": etag}) as response:
        assert response.status == 200


async def test_the_schema_of_a_built_in_kind_says_how_it_merges(api: Api):
    index = await api.get("/openapi/v3")
    url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
    document = await api.get(url)
    schemas = document["components"]["schemas"]
    deployment = schemas["io.k8s.api.apps.v1.Deployment"]
    kind = {"group": "apps", "version": "v1", "kind": "Deployment"}
    assert deployment["x-kubernetes-group-version-kind"] == [kind]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert "fieldValidation" in [one["name"] for one in patch["parameters"]]
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]


async def test_all_references_in_a_document_lead_somewhere(api: Api):
    await _define(api)
    for place in (await api.get("/openapi/v3"))["paths"].values():
        document = await api.get(place["serverRelativeURL"])
        schemas = document["components"]["schemas"]
        texts = json.dumps(document).split('"#/components/schemas/')[1:]
        assert {text.partition('"')[0] for text in texts} <= set(schemas)


async def test_the_schema_of_a_custom_kind_is_its_definitions(api: Api):
    before = (await api.get("/openapi/v3"))["paths"]
    await _define(api)
    after = (await api.get("/openapi/v3"))["paths"]
    assert set(after) - set(before) == {"apis/example.com/v1"}
    assert after["api/v1"] == before["api/v1"]
    document = await api.get("/openapi/v3/apis/example.com/v1")
    thing = document["components"]["schemas"]["com.example.v1.Thing"]
    assert thing["properties"]["spec"]["properties"]["size"]["description"] == "How big it is."
    patch = document["paths"]["/apis/example.com/v1/namespaces/{namespace}/things/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]


async def test_version_2_is_there_in_json_and_protobuf(api: Api):
    await _define(api)
    document = await api.get("/openapi/v2")
    assert document["swagger"] == "2.0"
    size = document["definitions"]["com.example.v1.Thing"]["properties"]["spec"]["properties"]["size"]
    assert size == {"type": "integer", "description": "How big it is."}
    async with api.raw("GET", "/openapi/v2", headers={"Accept": protobuf.MEDIA_TYPE}) as response:
        assert response.headers["Content-Type"] == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
        data = await response.read()
    assert data.startswith(b"\x0a\x032.0\x12")
    assert data.count(b"How big it is.") == 1


async def test_the_version_is_that_of_the_schemas(api: Api):
    version = await api.get("/version")
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.")


async def test_the_health_endpoints_answer_ok(api: Api):
    for path in ("/healthz", "/livez", "/readyz", "/readyz/ping"):
        async with api.raw("GET", path) as response:
            assert (response.status, await response.text()) == (200, "ok")
