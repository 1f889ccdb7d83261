"""Requests that are wrong on purpose: each is refused in words, none breaks or stalls the server."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.kubeapi.server_kit import Api

PATH = "/api/v1/namespaces/default/configmaps"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
TOKEN = "/api/v1/namespaces/default/serviceaccounts/default/token"


def review(spec: Any) -> dict:
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", PATH, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": "x"}),
        ("POST", PATH, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": 5}}),
        ("POST", PATH, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": ["x"]}}),
        ("POST", PATH, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "ownerReferences": [5]}}),
        ("POST", PATH, {"apiVersion": ["v1"], "kind": {"a": 1}, "metadata": {"name": "a"}}),
        ("POST", REVIEWS, review("x")),
        ("POST", REVIEWS, review({"user": 5, "groups": 7, "resourceAttributes": "x"})),
        ("POST", TOKEN, {"spec": "x"}),
        ("POST", TOKEN, {"spec": {"audiences": 5}}),
        ("POST", TOKEN, {"spec": {"boundObjectRef": "x"}}),
        ("POST", "/api/v1/namespaces/default/pods/x/binding", {"target": 5}),
        ("POST", "/api/v1/namespaces/default/pods/x/eviction", {"deleteOptions": 5}),
        ("DELETE", f"{PATH}/kube-root-ca.crt", {"preconditions": "x"}),
        ("DELETE", f"{PATH}/kube-root-ca.crt", {"dryRun": 5}),
        ("DELETE", f"{PATH}/kube-root-ca.crt", {"kind": "Pod", "apiVersion": "v1"}),
        ("POST", "/faults", {"action": "fail", "nth": "x"}),
        ("POST", "/faults", {"action": "fail", "code": 200}),
        ("POST", "/faults", {"action": "delay", "seconds": -1}),
        ("POST", "/faults", {"action": "skew", "seconds": 1e308}),
    ],
)
async def test_a_body_of_the_wrong_shape_is_refused(api: Api, method: str, path: str, body: Any):
    refused = await api.send(method, path, body, expect=400)
    assert refused["reason"] == "BadRequest"
    await api.get(f"{PATH}/kube-root-ca.crt")


@pytest.mark.parametrize(
    "query", [f"resourceVersion={'9' * 5000}", "resourceVersion=%C2%B2", "continue=eyJ2IjoxfQ", f"limit={'9' * 5000}"]
)
async def test_a_number_that_is_none_is_refused(api: Api, query: str):
    await api.get(f"{PATH}?{query}", expect=400)


async def test_a_patch_that_grows_by_copying_is_refused(api: Api):
    await api.post(
        PATH, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "y" * 1000}}
    )
    copies = [{"op": "copy", "from": "/metadata", "path": f"/metadata/annotations/k{n}"} for n in range(30)]
    patch = [{"op": "add", "path": "/metadata/annotations", "value": {}}, *copies]
    began = time.monotonic()
    async with api.raw(
        "PATCH", f"{PATH}/a", data=json.dumps(patch), headers={"Content-Type": "application/json-patch+json"}
    ) as response:
        assert response.status in (400, 413, 422)
    assert time.monotonic() - began < 5
    assert "annotations" not in (await api.get(f"{PATH}/a"))["metadata"]


async def test_yaml_that_multiplies_is_refused(api: Api):
    levels = ["a0: &a0 [x,x,x,x,x,x,x,x]"]
    levels += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 9)]
    refused = await api.send(
        "PATCH",
        f"{PATH}/a?fieldManager=x",
        "\n".join(levels).encode(),
        content_type="application/apply-patch+yaml",
        expect=400,
    )
    assert "error decoding YAML" in refused["message"]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"- " * 50_000, b"\xff\xfe", b""])
async def test_a_body_that_is_no_document_is_refused(api: Api, body: bytes):
    await api.send("POST", PATH, body, expect=400)
    await api.send("PATCH", f"{PATH}/a?fieldManager=x", body, content_type="application/apply-patch+yaml", expect=400)


@pytest.mark.parametrize(
    "token", ["a.b.c", "eyJhbGciOiJFUzI1NiJ9.W10." + "A" * 86, "x" * 20_000, "eyJhbGciOiJub25lIn0.e30."]
)
async def test_a_forged_token_is_refused(api: Api, token: str):
    await api.as_(token).get(PATH, expect=401)


async def test_an_encoded_slash_is_no_way_into_another_namespace(api: Api):
    await api.get(
        "/api/v1/namespaces/default/configmaps/..%2F..%2Fkube-system%2Fconfigmaps%2Fkube-root-ca.crt", expect=404
    )
