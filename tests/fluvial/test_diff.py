"""`fluvial diff`: what a change would do is told before it is done, and nothing is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import kubeapi
from fluvial import differences
from fluvial.diff import MANAGER, Difference, compare
from fluvial.processes import Failed
from shared.api import crd
from shared.api.kinds import KINDS
from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.apply import Inventory, Owner
from shared.apply.prepare import prepared
from shared.kube import config
from shared.kube.client import Client
from shared.loop.verdict import NotReady
from shared.text import yaml
from tests.fluvial.running import Command

KIND = Kustomization.resource
APP = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: default}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers: [{name: web, image: "shop:${version}"}]
"""
SETTINGS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: shop, namespace: default}
data: {greeting: Welcome}
"""
KEY = """\
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: default}
stringData: {old: opensesame, kept: swordfish}
"""


class World:
    """A cluster with a Kustomization `shop`, and files in place of its source."""

    def __init__(self, client: Client, kubeconfig: Path, files: Path) -> None:
        self.client, self.kubeconfig, self.files = client, kubeconfig, files

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.files / f"{name}.yaml").write_text(text)

    async def have(self, *texts: str, **spec: Any) -> None:
        """Apply these as the controller does, and record them."""
        manifests = [yaml.load(text.replace("${version}", "1")) for text in texts]
        for manifest in manifests:
            wanted, problems = prepared(manifest, Owner("default", "shop"))
            assert problems == []
            await self.client.apply(wanted, field_manager=MANAGER)
        given = {
            "sourceRef": {"kind": "GitRepository", "name": "config"},
            "path": "./",
            "interval": "10m",
            "prune": True,
            "postBuild": {"substitute": {"version": "1"}},
            **spec,
        }
        found = await self.client.apply(
            {
                "apiVersion": KIND.api_version,
                "kind": KIND.kind,
                "metadata": {"name": "shop", "namespace": "default"},
                "spec": given,
            },
            field_manager="tests",
        )
        entries = [{"id": id.inventory_id, "v": v} for id, v in Inventory.of(manifests).entries.items()]
        found["status"] = {"inventory": {"entries": entries}}
        await self.client.patch(
            KIND.api_version,
            KIND.kind,
            "shop",
            "default",
            {"status": found["status"]},
            type="merge",
            subresource="status",
        )

    async def differences(self) -> dict[str, Difference]:
        found = await compare(self.client, "default", "shop", self.files)
        return {str(one.id): one for one in found}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    server = await kubeapi.start()
    server.kubeconfig(tmp_path / "kubeconfig")
    client = Client(config.load(tmp_path / "kubeconfig"), qps=-1)
    (definition,) = [crd.definition(kind) for kind in KINDS if kind.resource.kind == KIND.kind]
    await client.apply(definition, field_manager="tests")
    (tmp_path / "files").mkdir()
    yield World(client, tmp_path / "kubeconfig", tmp_path / "files")
    await client.close()
    await server.stop()


async def test_nothing_differs_from_what_was_applied(world: World):
    await world.have(APP, SETTINGS, KEY)
    world.write(app=APP, settings=SETTINGS, key=KEY)
    assert {one.action for one in (await world.differences()).values()} == {"unchanged"}


async def test_a_changed_field_is_shown_with_both_values_and_nothing_is_written(world: World):
    await world.have(APP, SETTINGS)
    world.write(app=APP.replace("${version}", "2"), settings=SETTINGS)
    before = await world.client.list("apps/v1", "Deployment", "default")
    found = await world.differences()
    assert found["ConfigMap/default/shop"].action == "unchanged"
    changed = found["Deployment/default/shop"]
    assert changed.action == "changed"
    signed = [line.replace(" ", "") for line in changed.lines if line[0] in "+-"]
    assert signed == ["--image:shop:1", "+-image:shop:2"]
    assert await world.client.list("apps/v1", "Deployment", "default") == before


async def test_a_field_that_is_no_longer_there_is_a_difference(world: World):
    await world.have(SETTINGS.replace("{greeting: Welcome}", "{greeting: Welcome, old: 'yes'}"))
    world.write(settings=SETTINGS)
    lines = (await world.differences())["ConfigMap/default/shop"].lines
    assert [line for line in lines if line[0] in "+-"] == ['-  old: "yes"']


@pytest.mark.parametrize(("prune", "expected"), [(True, {"ConfigMap/default/shop": "deleted"}), (False, {})])
async def test_what_is_no_longer_built_is_deleted_where_that_is_wanted(
    world: World, prune: bool, expected: dict[str, str]
):
    await world.have(APP, SETTINGS, prune=prune)
    world.write(app=APP)
    found = {name: one.action for name, one in (await world.differences()).items() if one.action != "unchanged"}
    assert found == expected


async def test_an_object_is_created_with_the_namespace_and_the_kind_that_come_with_it(world: World):
    await world.have(SETTINGS)
    world.write(
        settings=SETTINGS,
        namespace="apiVersion: v1\nkind: Namespace\nmetadata: {name: new}\n",
        more=SETTINGS.replace("default", "new"),
        definition="""\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: toys.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: toys, singular: toy, kind: Toy, listKind: ToyList}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
""",
        toy="apiVersion: example.com/v1\nkind: Toy\nmetadata: {name: ball, namespace: default}\n",
    )
    found = await world.differences()
    created = {name for name, one in found.items() if one.action == "created"}
    assert created == {
        "Namespace/new",
        "ConfigMap/new/shop",
        "CustomResourceDefinition/toys.example.com",
        "Toy/default/ball",
    }
    assert all(line.startswith("+") for name in created for line in found[name].lines)


async def test_no_value_of_a_secret_is_shown(world: World):
    await world.have(KEY)
    world.write(key=KEY.replace("opensesame", "abracadabra").replace("swordfish}", "swordfish, new: hocuspocus}"))
    changed = (await world.differences())["Secret/default/key"]
    assert changed.action == "changed"
    assert [line for line in changed.lines if line[0] in "+-"] == [
        "-  old: '*** (before)'",
        "+  new: '***'",
        "+  old: '*** (after)'",
    ]


async def test_every_object_that_would_be_refused_is_named(world: World):
    await world.have(SETTINGS)
    bad = SETTINGS.replace("name: shop", "name: Not_A_Name")
    lost = SETTINGS.replace("default", "nowhere")
    world.write(settings=SETTINGS, bad=bad, lost=lost)
    with pytest.raises(Failed, match="the API server would refuse") as refused:
        await world.differences()
    assert "ConfigMap/default/Not_A_Name" in str(refused.value)
    assert "ConfigMap/nowhere/shop" in str(refused.value)


async def test_what_can_not_be_changed_is_refused_or_recreated_as_the_spec_says(world: World):
    await world.have(APP)
    world.write(app=APP.replace("app: shop", "app: store"))
    with pytest.raises(Failed, match=r"Deployment/default/shop .*immutable"):
        await world.differences()
    await world.have(APP, force=True)
    recreated = (await world.differences())["Deployment/default/shop"]
    assert recreated.action == "recreated"
    assert any(line.startswith("+") and "app: store" in line for line in recreated.lines)


async def test_an_object_that_is_to_be_left_alone_is_no_difference(world: World):
    alone = SETTINGS.replace("namespace: default", "namespace: default, annotations: {%s: disabled}")
    await world.have(alone % "kustomize.toolkit.fluxcd.io/reconcile")
    world.write(settings=(alone % "kustomize.toolkit.fluxcd.io/reconcile").replace("Welcome", "Hello"))
    assert {one.action for one in (await world.differences()).values()} == {"unchanged"}


async def test_a_build_that_fails_says_where(world: World):
    await world.have(SETTINGS)
    world.write(settings=SETTINGS + "oops: {\n")
    with pytest.raises(NotReady, match=r"settings\.yaml:\d+"):
        await world.differences()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"kubeConfig": {"secretRef": {"name": "other"}}}, "spec.kubeConfig"),
        ({"decryption": {"provider": "sops"}}, "spec.decryption"),
    ],
)
async def test_what_can_not_be_previewed_is_refused_with_the_field(world: World, spec: dict[str, Any], field: str):
    await world.have(SETTINGS, **spec)
    world.write(settings=SETTINGS)
    with pytest.raises(Failed, match=field):
        await world.differences()


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        (lambda text: text, 0, "1 unchanged"),
        (lambda text: text.replace("Welcome", "Hello"), 1, "+  greeting: Hello"),
        (lambda text: text + "oops: {\n", 2, "settings.yaml:"),
    ],
)
async def test_the_exit_status_is_that_of_diff(
    world: World, tmp_path: Path, change: Callable[[str], str], status: int, told: str
):
    await world.have(SETTINGS)
    world.write(settings=change(SETTINGS))
    arguments = ("shop", "--namespace=default", f"--source={world.files}", f"--kubeconfig={world.kubeconfig}")
    with Command(tmp_path, "diff", *arguments) as diff:
        assert await asyncio.to_thread(diff.end) == status, diff.output
    assert told in diff.output


async def test_a_kustomization_that_is_not_there_is_named(world: World, tmp_path: Path):
    arguments = ("nowhere", f"--source={world.files}", f"--kubeconfig={world.kubeconfig}")
    with Command(tmp_path, "diff", *arguments) as diff:
        assert await asyncio.to_thread(diff.end) == 2
    assert '"nowhere" not found' in diff.output


def test_what_the_server_sets_is_no_difference():
    live: Manifest = {"kind": "Job", "metadata": {"name": "a", "uid": "1", "generation": 1}, "status": {"active": 1}}
    after: Manifest = {"kind": "Job", "metadata": {"name": "a", "uid": "1", "generation": 2}, "status": {}}
    assert differences.lines(live, after) == []


def test_what_kubectl_remembers_of_a_secret_is_not_shown():
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"a":"b3BlbnNlc2FtZQ=="}}'}
    live: Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "a", "annotations": annotations},
        "data": {"a": "b3BlbnNlc2FtZQ=="},
    }
    lines = differences.lines(live, None)
    assert "-  a: '***'" in lines
    assert not any("b3Blbn" in line for line in lines)
    assert live["data"] == {"a": "b3BlbnNlc2FtZQ=="}, "the given objects stay as they are"
