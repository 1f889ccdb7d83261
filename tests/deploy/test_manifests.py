"""deploy/: what it builds, and that it fits what the controllers are."""

from __future__ import annotations

import copy
import importlib
import re
import tomllib
from functools import partial
from pathlib import Path

import aiohttp
import pytest

import kubeapi
from shared.api.kinds import KINDS
from shared.api.meta import Manifest
from shared.loop import flags
from shared.schema import lookup, normalise
from shared.text import yaml
from tests.deploy.built import COMMANDS, DEPLOY, ROOT, Admin, container, label, manifests, names, path
from tests.kit import controlplane
from tests.kit.api import Api

BUILT = {name for name, target in COMMANDS.items() if name.endswith("-controller") and ".__main__:" in target}


@pytest.mark.parametrize("manifest", manifests(), ids=label)
def test_every_manifest_has_only_fields_of_its_kind(manifest: Manifest):
    assert lookup(manifest["apiVersion"], manifest["kind"]) is not None
    before = copy.deepcopy(manifest)
    assert normalise(manifest) == []
    assert manifest == before


async def test_an_api_server_takes_every_manifest():
    server = await kubeapi.start(tls=False)
    async with aiohttp.ClientSession() as session:
        admin = Admin(server, session)
        answers = {label(manifest): await admin.apply(manifest) for manifest in manifests()}
    await server.stop()
    assert {name: body for name, (status, body) in answers.items() if status not in (200, 201)} == {}


@pytest.mark.real
@pytest.mark.skipif(not controlplane.available(), reason=controlplane.available().reason)
def test_a_real_api_server_takes_every_manifest_and_runs_the_pods(tmp_path: Path):
    with controlplane.ControlPlane.start(tmp_path) as plane:
        for manifest in manifests():
            where = f"{path(manifest)}?fieldManager=test&fieldValidation=Strict"
            plane.api.request("PATCH", where, manifest, "application/apply-patch+yaml")
        for deployment in manifests("Deployment"):
            running = partial(_is_available, plane.api, path(deployment))
            plane.processes.wait_until(running, label(deployment))


def _is_available(api: Api, where: str) -> bool:
    conditions = api.request("GET", where).get("status", {}).get("conditions", [])
    return any(one["type"] == "Available" and one["status"] == "True" for one in conditions)


def test_all_kinds_are_installed():
    listed = yaml.load((DEPLOY / "kustomization.yaml").read_text())["resources"]
    assert {name for name in listed if name.startswith("crds/")} == {
        f"crds/{file.name}" for file in DEPLOY.glob("crds/*.yaml")
    }
    assert names("CustomResourceDefinition") == {f"{kind.resource.plural}.{kind.resource.group}" for kind in KINDS}


def test_every_controller_that_is_built_is_deployed_and_no_other():
    assert names("Deployment") == BUILT


@pytest.mark.parametrize("deployment", manifests("Deployment"), ids=label)
class TestADeployment:
    def test_passes_flags_that_its_controller_takes(self, deployment: Manifest, monkeypatch: pytest.MonkeyPatch):
        for variable in ("METRICS_ADDR", "STORAGE_ADDRESS"):
            monkeypatch.delenv(variable, raising=False)
        name = deployment["metadata"]["name"]
        module = importlib.import_module(COMMANDS[name].partition(":")[0])
        gates = getattr(module, "GATES", ())
        options = flags.parse(name, "", module.FLAGS, container(deployment)["args"], gates=gates)
        assert options.enable_leader_election
        assert options.unbuilt == []
        servers = {"source-controller": ["storage_addr"], "notification-controller": ["events_addr", "receiverAddr"]}
        listening = {getattr(options, each) for each in ("metrics_addr", "health_addr", *servers.get(name, ()))}
        assert listening == {f":{port['containerPort']}" for port in container(deployment)["ports"]}

    def test_is_probed_on_ports_that_it_has(self, deployment: Manifest):
        ports = {port["name"] for port in container(deployment)["ports"]}
        probes = [container(deployment)[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")]
        assert {probe["port"] for probe in probes} <= ports

    def test_has_no_rights_on_its_node(self, deployment: Manifest):
        security = container(deployment)["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}

    def test_selects_its_own_pods(self, deployment: Manifest):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
        assert labels["app"] == deployment["metadata"]["name"]

    def test_has_an_account_with_rights(self, deployment: Manifest):
        account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
        assert account in names("ServiceAccount")
        bound = [
            subject["name"]
            for binding in manifests("ClusterRoleBinding")
            for subject in binding["subjects"]
            if binding["roleRef"]["name"] == "crd-controller"
        ]
        assert account in bound

    def test_has_an_image_that_the_dockerfile_makes(self, deployment: Manifest):
        image = container(deployment)["image"]
        target = image.rpartition("/")[2].partition(":")[0]
        stage = re.search(rf"^FROM controller AS {target}$(.*?)(?=^FROM|\Z)", _dockerfile(), re.MULTILINE | re.DOTALL)
        assert stage is not None
        assert f'ENTRYPOINT ["tini", "--", "{deployment["metadata"]["name"]}"]' in stage[1]
        assert image.rpartition(":")[2] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_roles_cover_the_groups_of_all_kinds():
    groups = {kind.resource.group for kind in KINDS}
    for role in manifests("ClusterRole"):
        covered = {group for rule in role["rules"] for group in rule.get("apiGroups", ())}
        assert groups <= covered, role["metadata"]["name"]


def test_services_lead_to_named_ports():
    deployments = {each["metadata"]["name"]: each for each in manifests("Deployment")}
    for service in manifests("Service"):
        ports = {port["name"] for port in container(deployments[service["spec"]["selector"]["app"]])["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def _dockerfile() -> str:
    return (DEPLOY / "image" / "Dockerfile").read_text()


def test_the_image_has_every_package_and_runs_as_nobody():
    copied = set(re.findall(r"^COPY (\w+) \w+$", _dockerfile(), re.MULTILINE))
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert copied == packages
    assert "\nUSER 65534:65534\n" in _dockerfile()
    ignored = (DEPLOY / "image" / "Dockerfile.dockerignore").read_text().splitlines()
    assert packages <= {line[1:] for line in ignored if line.startswith("!")}
