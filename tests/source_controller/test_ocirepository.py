"""An OCIRepository's artifact follows its image; what goes wrong with registries says what to fix."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import tarfile

import pytest

from tests.kit.registry import FLUX_CONTENT, Registry, tar_gz
from tests.source_controller.conftest import attempts, condition

KIND = "OCIRepository"


@pytest.fixture
def registry():
    with Registry() as made:
        yield made


def spec(registry, tag="v1", **more):
    return {"url": registry.url("app"), "insecure": True, "ref": {"tag": tag}, **more}


def docker_config(host, user, password):
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {".dockerconfigjson": json.dumps({"auths": {host: {"auth": auth}}})}


async def failed(world, reason, name="s"):
    return condition(await world.failed(name, reason, KIND), "Ready", "message")


async def test_an_image_becomes_an_artifact_that_latest_leads_to(controller, registry):
    pushed = registry.push("app", "v1", [(FLUX_CONTENT, tar_gz({"a.yaml": "a: 1"}, links={"link": "a.yaml"}))])
    await controller.put("s", spec(registry), KIND)
    source = await controller.ready("s", pushed, KIND)
    file = controller.stored(source)
    artifact = source["status"]["artifact"]
    assert artifact["digest"] == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    with tarfile.open(file) as archive:
        assert [member.name for member in archive if member.isfile()] == ["a.yaml"], "links are left out"
    assert source["status"]["url"].endswith("/latest.tar.gz")
    assert (file.parent / "latest.tar.gz").resolve() == file.resolve()


async def test_an_unchanged_digest_costs_one_request(controller, registry):
    registry.push_files("app", "v1", {"a": "1"})
    await controller.put("s", spec(registry), KIND)
    await controller.ready("s", kind=KIND)
    registry.requests.clear()
    token = await controller.ask("s", KIND)
    await controller.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == token, KIND)
    assert [path for path, _ in registry.requests] == ["/v2/app/manifests/v1"]


async def test_a_first_artifact_costs_two_requests(controller, registry):
    registry.push_files("app", "v1", {"a": "1"})
    await controller.put("s", spec(registry), KIND)
    await controller.ready("s", kind=KIND)
    manifest, layer = [path for path, _ in registry.requests]
    assert manifest == "/v2/app/manifests/v1"
    assert layer.startswith("/v2/app/blobs/")


async def test_sources_that_want_the_same_of_an_image_share_its_bytes(world, registry):
    registry.push_files("app", "v1", {"a": "1", "b": "2"}, **{"org.opencontainers.image.revision": "main@sha1:abc"})
    await world.start("--concurrent=10")
    alike = [f"s{number}" for number in range(6)]
    for name in alike:
        await world.put(name, spec(registry), KIND)
    made = [await world.ready(name, kind=KIND) for name in alike]
    assert len({world.stored(each).stat().st_ino for each in made}) == 1
    assert {each["status"]["artifact"]["metadata"]["org.opencontainers.image.revision"] for each in made} == {
        "main@sha1:abc"
    }
    layers = [path for path, _ in registry.requests if "/blobs/" in path]
    assert len(layers) == 1, "the layer travels once"


async def test_sources_that_want_other_things_of_an_image_share_nothing(controller, registry):
    registry.push_files("app", "v1", {"a": "1", "b": "2"})
    registry.push_files("private", "v1", {"a": "1", "b": "2"})
    registry.require("private", "ada", "s3cret")
    for secret in ("one", "two"):
        await controller.secret(secret, docker_config(registry.host, "ada", "s3cret"))
    registry.allow("private", "bob", "hunter2")
    await controller.secret("bob", docker_config(registry.host, "bob", "hunter2"))
    private = {**spec(registry), "url": registry.url("private")}
    wishes = {
        "plain": spec(registry),
        "ignoring": spec(registry, ignore="/b"),
        "copying": spec(registry, layerSelector={"mediaType": FLUX_CONTENT, "operation": "copy"}),
        "ada": {**private, "secretRef": {"name": "one"}},
        "bob": {**private, "secretRef": {"name": "bob"}},
    }
    for name, wanted in wishes.items():
        await controller.put(name, wanted, KIND)
    files = [controller.stored(await controller.ready(name, kind=KIND)).stat().st_ino for name in wishes]
    assert len(set(files)) == len(wishes)
    await controller.put("same", {**private, "secretRef": {"name": "two"}}, KIND)
    assert controller.stored(await controller.ready("same", kind=KIND)).stat().st_ino == files[3]


async def test_a_damaged_twin_is_not_taken(controller, registry):
    registry.push_files("app", "v1", {"a": "1"})
    await controller.put("one", spec(registry), KIND)
    one = await controller.ready("one", kind=KIND)
    controller.stored(one).write_bytes(b"damaged")
    await controller.put("two", spec(registry), KIND)
    two = await controller.ready("two", kind=KIND)
    assert two["status"]["artifact"]["digest"] == one["status"]["artifact"]["digest"]
    with tarfile.open(controller.stored(two)) as archive:
        assert [member.name for member in archive if member.isfile()] == ["a"]


async def test_a_round_asks_once_for_each_tag(world, registry):
    for tag in ("v1", "v2"):
        registry.push_files("app", tag, {"a": tag})
    registry.require("app", "ada", "s3cret")
    for secret in ("one", "two"):
        await world.secret(secret, docker_config(registry.host, "ada", "s3cret"))
    await world.start("--concurrent=20", "--interval-jitter-percentage=40")
    names = [f"s{number}" for number in range(20)]
    for number, name in enumerate(names):
        tag, login = f"v{number % 2 + 1}", {"name": "one" if number < 10 else "two"}
        await world.put(name, spec(registry, ref={"tag": tag}, secretRef=login, interval="6s"), KIND)
    for name in names:
        await world.ready(name, kind=KIND)
    registry.requests.clear()
    began = attempts(KIND)
    while attempts(KIND) < began + len(names):
        await asyncio.sleep(0.05)
    asked = [path for path, login in registry.requests if "/manifests/" in path and login]
    assert 2 <= len(asked) <= 8, "two tags, some more while they fall into step; not twenty sources"


async def test_who_may_not_read_learns_nothing_from_who_may(controller, registry):
    registry.push_files("app", "v1", {"a": "1"})
    registry.require("app", "ada", "s3cret")
    await controller.secret("right", docker_config(registry.host, "ada", "s3cret"))
    await controller.secret("wrong", docker_config(registry.host, "ada", "guessed"))
    for name in ("right", "wrong"):
        await controller.put(name, spec(registry, secretRef={"name": name}), KIND)
    await controller.put("nobody", spec(registry), KIND)
    await controller.ready("right", kind=KIND)
    for name in ("wrong", "nobody"):
        await controller.failed(name, "OCIArtifactPullFailed", KIND)


async def test_a_digest_that_the_spec_names_is_not_asked_for(controller, registry):
    pushed = registry.push_files("app", "v1", {"a": "1"})
    await controller.put("s", spec(registry, ref={"digest": pushed}), KIND)
    made = await controller.ready("s", kind=KIND)
    assert made["status"]["artifact"]["revision"] == pushed
    registry.requests.clear()
    token = await controller.ask("s", KIND)
    await controller.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == token, KIND)
    assert registry.requests == []
    await controller.put("absent", spec(registry, ref={"digest": "sha256:" + "0" * 64}), KIND)
    await controller.failed("absent", "OCIArtifactPullFailed", KIND)


async def test_a_chart_tag_stands_for_its_version(controller, registry):
    chart = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    for tag in ("1.0.0", "1.1.0_build.2"):
        registry.push("app", tag, [(chart, tar_gz({"app/Chart.yaml": tag}))])
    selector = {"mediaType": chart, "operation": "copy"}
    await controller.put("s", spec(registry, ref={"semver": ">=1.0.0"}, layerSelector=selector), KIND)
    await controller.ready("s", "1.1.0_build.2@sha256:", KIND)


async def test_pull_secrets_of_a_service_account_log_in(controller, registry):
    pushed = registry.push_files("app", "v1", {"a": "1"})
    registry.require("app", "ada", "s3cret", token=True)
    await controller.secret("pull", docker_config(registry.host, "ada", "s3cret"))
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "default"}}
    await controller.kube.apply({**account, "imagePullSecrets": [{"name": "pull"}]}, field_manager="test")
    await controller.put("s", spec(registry, serviceAccountName="robot"), KIND)
    await controller.ready("s", pushed, KIND)


async def test_failures_name_what_to_fix(controller, registry):
    registry.push_files("app", "v1", {"a": "1"})
    registry.push("app", "broken", [(FLUX_CONTENT, b"no tarball")])
    registry.push("app", "empty", [])
    registry.push_files("private", "v1", {"a": "1"})
    registry.require("private", "ada", "s3cret")
    await controller.secret("empty", {"x": "y"})
    await controller.secret("wrong", docker_config(registry.host, "ada", "wr0ng-password"))
    private = {**spec(registry), "url": registry.url("private")}
    cases = {
        "tag": (spec(registry, "v9"), "OCIArtifactPullFailed", "/v2/app/manifests/v9: 404"),
        "range": (spec(registry, ref={"semver": ">=9.0.0"}), "ReadOperationFailed", "no match found for semver: >=9"),
        "no-range": (spec(registry, ref={"semver": "nonsense"}), "ReadOperationFailed", "nonsense"),
        "filter": (spec(registry, ref={"semver": "*", "semverFilter": "("}), "ReadOperationFailed", "("),
        "layer": (spec(registry, "empty"), "OCIArtifactLayerOperationFailed", "no layers found"),
        "archive": (spec(registry, "broken"), "OCIArtifactLayerOperationFailed", "failed to extract layer contents"),
        "key": (spec(registry, secretRef={"name": "empty"}), "AuthenticationFailed", "'.dockerconfigjson' is missing"),
        "cert": (spec(registry, certSecretRef={"name": "empty"}), "AuthenticationFailed", "neither 'ca.crt' nor"),
        "proxy": (spec(registry, proxySecretRef={"name": "empty"}), "AuthenticationFailed", "'address' is missing"),
        "account": (spec(registry, serviceAccountName="absent"), "AuthenticationFailed", '"absent" not found'),
        "who": (private, "OCIArtifactPullFailed", "credentials are needed"),
        "wrong": ({**private, "secretRef": {"name": "wrong"}}, "OCIArtifactPullFailed", "credentials are refused"),
    }
    for name, (wanted, _, _) in cases.items():
        await controller.put(name, wanted, KIND)
    for name, (_, reason, text) in cases.items():
        message = await failed(controller, reason, name)
        assert text in message, name
        assert "wr0ng" not in message


@pytest.mark.parametrize("change", [{"url": "oci://ghcr.io/org/app:v1"}, {"ref": {"digest": "sha256:1"}}])
async def test_what_only_an_edit_can_help_stalls(controller, registry, change):
    await controller.put("s", {**spec(registry), **change}, KIND)
    source = await controller.failed("s", "URLInvalid", KIND)
    assert condition(source, "Stalled") == "True"
