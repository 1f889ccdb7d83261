"""Writes through the server: unknown fields by how strict the client asks, defaults without owners, warnings."""

from __future__ import annotations

import pytest

from tests.kubeapi.differential.cases import configmap, deployment, job, service

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
SERVICES = "/api/v1/namespaces/default/services"


def owned(manifest, manager):
    return next(one["fieldsV1"] for one in manifest["metadata"]["managedFields"] if one["manager"] == manager)


@pytest.mark.parametrize(
    ("strictness", "code", "warnings"),
    [("Strict", 400, []), ("Warn", 201, ['299 - "unknown field \\"spec.colour\\""']), ("Ignore", 201, [])],
)
async def test_a_client_chooses_what_becomes_of_unknown_fields(api, strictness, code, warnings):
    body = deployment(colour="red")
    async with api.raw("POST", f"{DEPLOYMENTS}?fieldValidation={strictness}", json=body) as response:
        found = await response.json()
        assert response.status == code
        assert response.headers.getall("Warning", []) == warnings
    if code == 201:
        assert "colour" not in found["spec"]
    else:
        assert found["message"] == (
            'Deployment in version "v1" cannot be handled as a Deployment: '
            'strict decoding error: unknown field "spec.colour"'
        )


async def test_defaults_of_a_created_object_are_its_creators_but_not_of_an_applied_one(api):
    created = await api.post(f"{DEPLOYMENTS}?fieldManager=creator", deployment())
    assert "f:replicas" in owned(created, "creator")["f:spec"]
    applied = await api.apply(f"{DEPLOYMENTS}/other", deployment(meta={"name": "other"}), "applier")
    assert applied["spec"]["replicas"] == 1
    assert "f:replicas" not in owned(applied, "applier")["f:spec"]


async def test_nobody_owns_what_the_server_allocates(api):
    created = await api.post(f"{SERVICES}?fieldManager=creator", service())
    assert created["spec"]["clusterIP"]
    assert "f:clusterIP" not in owned(created, "creator")["f:spec"]


async def test_an_equal_apply_is_no_write(api):
    path = "/api/v1/namespaces/default/configmaps/app"
    first = await api.apply(path, configmap(), "flux")
    again = await api.apply(path, configmap(), "flux")
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_dry_run_is_refused_as_the_write_would_be(api):
    await api.post(DEPLOYMENTS, deployment())
    changed = deployment(selector={"matchLabels": {"app": "x"}}, template={"metadata": {"labels": {"app": "x"}}})
    body = {**changed, "spec": {**changed["spec"], "template": {**deployment()["spec"]["template"]}}}
    body["spec"]["template"] = {**body["spec"]["template"], "metadata": {"labels": {"app": "x"}}}
    path = f"{DEPLOYMENTS}/app?fieldManager=x&force=true&dryRun=All"
    refused = await api.patch(path, body, "apply", expect=422)
    problem = 'spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable'
    assert refused["message"] == f'Deployment.apps "app" is invalid: {problem}'


async def test_a_refusal_has_a_cause_for_every_problem(api):
    refused = await api.post(DEPLOYMENTS, deployment(replicas=-1, minReadySeconds=-1), expect=422)
    assert refused["reason"] == "Invalid"
    assert [cause["field"] for cause in refused["details"]["causes"]] == ["spec.replicas", "spec.minReadySeconds"]


async def test_a_jobs_pods_are_its_own_by_its_uid(api):
    created = await api.post("/apis/batch/v1/namespaces/default/jobs", job())
    uid = created["metadata"]["uid"]
    assert created["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert created["spec"]["template"]["metadata"]["labels"]["job-name"] == "app"


async def test_a_warning_comes_with_a_refusal_too(api):
    body = {**configmap({"a b": "x"}), "colour": "red"}
    async with api.raw("POST", "/api/v1/namespaces/default/configmaps", json=body) as response:
        assert response.status == 422
        assert response.headers.getall("Warning") == ['299 - "unknown field \\"colour\\""']
