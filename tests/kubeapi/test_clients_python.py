"""The official Python client and kopf work on the embedded API as on any cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config, dynamic, utils, watch

from tests.kubeapi.command_kit import start

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.shop.example.com"},
    "spec": {
        "group": "shop.example.com",
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things", "singular": "thing"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                "subresources": {"status": {}},
            }
        ],
    },
}
GROUP = ("shop.example.com", "v1", "default", "things")
WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "main", "image": "app:1"}]},
        },
    },
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kubeconfig for a running server that serves Things."""
    process, kubeconfig = start(tmp_path_factory.mktemp("kubeapi"))
    with config.new_client_from_config(str(kubeconfig)) as api:
        client.ApiextensionsV1Api(api).create_custom_resource_definition(CRD)
        for event in watch.Watch().stream(
            client.ApiextensionsV1Api(api).list_custom_resource_definition, timeout_seconds=20
        ):
            conditions = event["object"].status.conditions or []
            if any(one.type == "Established" and one.status == "True" for one in conditions):
                break
    yield kubeconfig
    process.terminate()
    assert process.wait(10) == 0


@pytest.fixture
def api(cluster: Path) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(str(cluster)) as found:
        yield found


def test_typed_objects_are_created_read_changed_and_deleted(api: client.ApiClient):
    core = client.CoreV1Api(api)
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="typed", labels={"a": "b"}), data={"x": "1"})
    made = core.create_namespaced_config_map("default", body)
    assert made.metadata.creation_timestamp is not None
    made.data["x"] = "2"
    replaced = core.replace_namespaced_config_map("typed", "default", made)
    assert core.patch_namespaced_config_map("typed", "default", {"data": {"y": "3"}}).data == {"x": "2", "y": "3"}
    made.metadata.resource_version = replaced.metadata.resource_version
    with pytest.raises(client.ApiException) as refused:
        core.replace_namespaced_config_map("typed", "default", made)
    assert refused.value.status == 409
    listed = core.list_namespaced_config_map("default", label_selector="a=b").items
    assert [one.metadata.name for one in listed] == ["typed"]
    core.delete_namespaced_config_map("typed", "default")
    with pytest.raises(client.ApiException) as gone:
        core.read_namespaced_config_map("typed", "default")
    assert gone.value.reason == "Not Found"


def test_a_deployment_becomes_available_while_it_is_watched(api: client.ApiClient):
    apps = client.AppsV1Api(api)
    utils.create_from_dict(api, WEB)
    available = (
        event["object"].metadata.name
        for event in watch.Watch().stream(apps.list_namespaced_deployment, "default", timeout_seconds=20)
        if event["object"].status.available_replicas == 1
    )
    assert next(available) == "web"
    apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 3}})
    assert apps.read_namespaced_deployment_scale("web", "default").spec.replicas == 3
    apps.delete_namespaced_deployment("web", "default", propagation_policy="Foreground")


def test_pages_of_a_list_are_one_state(api: client.ApiClient):
    core = client.CoreV1Api(api)
    for number in range(5):
        metadata = client.V1ObjectMeta(name=f"page-{number}", labels={"pages": "yes"})
        core.create_namespaced_secret("default", client.V1Secret(metadata=metadata))
    first = core.list_namespaced_secret("default", label_selector="pages=yes", limit=2)
    core.delete_namespaced_secret("page-4", "default")
    rest = core.list_namespaced_secret("default", label_selector="pages=yes", _continue=first.metadata._continue)
    names = [one.metadata.name for one in (*first.items, *rest.items)]
    assert names == [f"page-{number}" for number in range(5)]


def test_custom_objects_have_a_status_of_their_own(api: client.ApiClient):
    custom = client.CustomObjectsApi(api)
    body = {"apiVersion": "shop.example.com/v1", "kind": "Thing", "metadata": {"name": "one"}, "spec": {"size": 1}}
    custom.create_namespaced_custom_object(*GROUP, body)
    custom.patch_namespaced_custom_object_status(*GROUP, "one", {"status": {"ready": True}, "spec": {"size": 9}})
    found = custom.get_namespaced_custom_object(*GROUP, "one")
    assert (found["spec"], found["status"]) == ({"size": 1}, {"ready": True})
    custom.delete_namespaced_custom_object(*GROUP, "one")


def test_the_dynamic_client_discovers_and_applies(api: client.ApiClient):
    things = dynamic.DynamicClient(api).resources.get(api_version="shop.example.com/v1", kind="Thing")
    body = {"apiVersion": "shop.example.com/v1", "kind": "Thing", "metadata": {"name": "two"}, "spec": {"size": 2}}
    things.server_side_apply(body=body, name="two", namespace="default", field_manager="me")
    with pytest.raises(dynamic.exceptions.ConflictError):
        things.server_side_apply(
            body={**body, "spec": {"size": 3}}, name="two", namespace="default", field_manager="you"
        )
    assert things.get(name="two", namespace="default").spec.size == 2
    things.delete(name="two", namespace="default")


def test_a_service_account_may_do_what_it_is_granted(api: client.ApiClient, cluster: Path):
    core, rbac = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
    core.create_namespaced_service_account("default", {"metadata": {"name": "robot"}})
    rbac.create_namespaced_role(
        "default", {"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}
    )
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    subject = {"kind": "ServiceAccount", "name": "robot", "namespace": "default"}
    rbac.create_namespaced_role_binding("default", {"metadata": {"name": "r"}, "roleRef": role, "subjects": [subject]})
    token = core.create_namespaced_service_account_token("robot", "default", {"spec": {}}).status.token
    given = yaml.safe_load(cluster.read_text())
    given["users"][0]["user"] = {"token": token}
    with config.new_client_from_config_dict(given) as robot:
        assert client.CoreV1Api(robot).list_namespaced_pod("default").items is not None
        with pytest.raises(client.ApiException) as refused:
            client.CoreV1Api(robot).list_namespaced_secret("default")
        assert refused.value.status == 403


OPERATOR = """
import kopf

@kopf.on.create("shop.example.com", "v1", "things", labels={"by": "kopf"})
def made(spec, **_):
    return {"doubled": spec["size"] * 2}

@kopf.on.update("shop.example.com", "v1", "things", labels={"by": "kopf"}, field="spec.size")
def changed(new, patch, **_):
    patch.status["size"] = new

@kopf.on.delete("shop.example.com", "v1", "things", labels={"by": "kopf"})
def ended(**_):
    pass
"""


def test_an_operator_of_kopf_handles_objects_from_beginning_to_end(
    api: client.ApiClient, cluster: Path, tmp_path: Path
):
    (tmp_path / "operator.py").write_text(textwrap.dedent(OPERATOR))
    custom = client.CustomObjectsApi(api)
    metadata = {"name": "handled", "labels": {"by": "kopf"}}
    body = {"apiVersion": "shop.example.com/v1", "kind": "Thing", "metadata": metadata, "spec": {"size": 4}}
    command = [sys.executable, "-m", "kopf", "run", "--standalone", "--namespace=default", "operator.py"]
    log = (tmp_path / "log").open("w")
    env = {**os.environ, "KUBECONFIG": str(cluster)}
    operator = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log)
    try:
        custom.create_namespaced_custom_object(*GROUP, body)
        seen = until(custom, lambda thing: thing.get("status", {}).get("made"), "handled")
        assert seen["status"]["made"] == {"doubled": 8}
        assert seen["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
        custom.patch_namespaced_custom_object(*GROUP, "handled", {"spec": {"size": 5}})
        until(custom, lambda thing: thing["status"].get("size") == 5, "handled")
        custom.delete_namespaced_custom_object(*GROUP, "handled")
        until(custom, None, "handled")
    finally:
        operator.terminate()
        operator.wait(20)
        log.close()


def until(custom: client.CustomObjectsApi, holds: Any, name: str) -> Any:
    """Watch until it holds of the object, or until it is gone when `holds` is None."""
    stream = watch.Watch().stream(
        custom.list_namespaced_custom_object, *GROUP, field_selector=f"metadata.name={name}", timeout_seconds=120
    )
    for event in stream:
        if (event["type"] == "DELETED") if holds is None else holds(event["object"]):
            return event["object"]
    raise AssertionError(f"{name} never became as wanted")
