"""The data of the built-in kinds, and what it does to a manifest."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared import schema
from shared.schema import generate


def test_a_deployments_schema_reaches_through_references_to_the_containers_ports():
    pod = schema.lookup("apps/v1", "Deployment").properties["spec"].properties["template"].properties["spec"]
    containers = pod.properties["containers"]
    assert containers.list_type == "map"
    assert containers.list_map_keys == ("name",)
    assert containers.patch_merge_key == "name"
    assert containers.patch_strategy == ("merge",)
    ports = containers.items.properties["ports"]
    assert ports.list_map_keys == ("containerPort", "protocol")
    assert ports.items.properties["protocol"].default == "TCP"
    assert pod.properties["volumes"].patch_strategy == ("merge", "retainKeys")
    assert containers.items.required == ("name",)


def test_a_type_of_a_custom_resource_is_not_built_in():
    assert schema.lookup("example.com/v1", "Deployment") is None
    assert schema.lookup("v1", "Deployment") is None


def test_resources_know_their_names_verbs_and_subresources():
    deployments = next(one for one in schema.resources() if (one.group, one.plural) == ("apps", "deployments"))
    assert deployments.api_version == "apps/v1"
    assert deployments.short_names == ("deploy",)
    assert deployments.categories == ("all",)
    assert deployments.namespaced
    assert deployments.subresources["scale"] == schema.Subresource(
        "autoscaling", "v1", "Scale", ("get", "patch", "update")
    )
    reviews = next(one for one in schema.resources() if one.plural == "subjectaccessreviews")
    assert reviews.verbs == ("create",)
    assert schema.release().startswith("v1.36.")


def test_every_resource_that_is_kept_has_a_schema():
    for one in schema.resources():
        if "get" in one.verbs:
            assert schema.lookup(one.api_version, one.kind) is not None, one


def test_how_go_writes_a_field_is_known_for_every_field():
    for one in schema.resources():
        node = schema.lookup(one.api_version, one.kind)
        for name, child in (node.properties if node else {}).items():
            assert child.go, (one.kind, name)
    container = schema.schema("io.k8s.api.core.v1.Container").properties
    assert (container["name"].go, container["resources"].go, container["securityContext"].go) == ("s", "vo", "po")


def test_a_configmap_does_not_load_the_types_of_apps():
    code = (
        "from shared.schema import catalog, normalise\n"
        "normalise({'apiVersion': 'v1', 'kind': 'ConfigMap', 'data': {}})\n"
        "assert catalog._package.cache_info().currsize == 2, catalog._package.cache_info()\n"
        "assert catalog._descriptions.cache_info().currsize == 0\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_explain_has_words_for_types_and_fields():
    assert "containers" in schema.description("io.k8s.api.core.v1.PodSpec", "containers").lower()
    assert schema.description("io.k8s.api.core.v1.PodSpec")
    assert schema.description("io.k8s.api.core.v1.PodSpec", "nothing") == ""


def test_the_openapi_document_of_a_group_is_closed_and_says_its_kinds():
    found = schema.definitions("apps/v1")
    text = json.dumps(found)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in found
    deployment = found["io.k8s.api.apps.v1.Deployment"]
    assert deployment["x-kubernetes-group-version-kind"] == [{"group": "apps", "version": "v1", "kind": "Deployment"}]
    assert "x-go" not in text


@pytest.mark.parametrize(
    ("manifest", "problems"),
    [
        ({"apiVersion": "v1", "kind": "ConfigMap", "data": {"key": {}}}, [".data.key: expected string, got map"]),
        ({"apiVersion": "v1", "kind": "ConfigMap", "data": {"key": 1}}, [".data.key: expected string, got integer"]),
        ({"apiVersion": "v1", "kind": "ConfigMap", "data": ["a"]}, [".data: expected map, got list"]),
        (
            {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": "two"}},
            [".spec.replicas: expected integer, got string"],
        ),
        (
            {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "env": [{"value": True}]}]}},
            [".spec.containers[0].env[0].value: expected string, got boolean"],
        ),
        ({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1, "targetPort": "http"}]}}, []),
        (
            {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1, "targetPort": []}]}},
            [".spec.ports[0].targetPort: expected integer or string, got list"],
        ),
        (
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}]},
            },
            [],
        ),
        ({"apiVersion": "v1", "kind": "ConfigMap", "data": None}, []),
        ({"apiVersion": "example.com/v1", "kind": "Thing", "data": {"key": {}}}, []),
        ({"apiVersion": 1, "kind": []}, []),
    ],
)
def test_a_wrong_type_is_named_with_its_path(manifest, problems):
    assert schema.normalise(manifest) == problems


def test_unknown_fields_of_built_in_kinds_go_and_free_ones_stay():
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "color": "red", "labels": {"color": "red"}},
        "data": {"color": "red"},
        "color": "red",
    }
    assert schema.normalise(manifest) == []
    assert manifest == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {"color": "red"}},
        "data": {"color": "red"},
    }


def test_a_custom_kind_is_left_as_it_is():
    manifest = {"apiVersion": "example.com/v1", "kind": "Thing", "color": "red"}
    assert schema.normalise(manifest) == []
    assert manifest["color"] == "red"


def test_the_data_is_what_the_script_makes_of_the_release():
    cache = Path(os.environ.get("GOMODCACHE", Path.home() / "go/pkg/mod")) / "k8s.io"
    module = cache / f"kubernetes@{schema.release()}"
    if not module.is_dir():
        pytest.skip(f"{module} is not there: go mod download k8s.io/kubernetes@{schema.release()}")
    data = Path(generate.__file__).parent / "data"
    written = {path.name.removesuffix(".json.gz"): path for path in data.glob("*.json.gz")}
    made = generate.documents(module)
    assert made.keys() == written.keys()
    for name, document in made.items():
        assert json.loads(gzip.decompress(written[name].read_bytes())) == document, name


def test_a_manifest_of_nothing_but_mistakes_is_told_of_in_time() -> None:
    count, before = 100_000, time.process_time()
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "finalizers": [1] * count}}
    problems = schema.normalise(pod)
    assert time.process_time() - before < 2
    assert len(problems) == count
    assert problems[-1] == f".metadata.finalizers[{count - 1}]: expected string, got integer"
