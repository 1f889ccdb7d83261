"""Status writes of toolkit kinds whose conditions contradict each other are refused, where that is asked for."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
import yaml

import kubeapi
from kubeapi.invariants import broken, moved
from tests.kubeapi.server_kit import Api

NOW = "2026-01-01T00:00:00Z"


def condition(type_: str, status: str = "True", **fields: object) -> dict:
    return {"type": type_, "status": status, "reason": "R", "message": "m", "lastTransitionTime": NOW, **fields}


def holding(*conditions: dict, observed: int | None = None, generation: int = 2) -> dict:
    status: dict = {"conditions": list(conditions)}
    if observed is not None:
        status["observedGeneration"] = observed
    return {"metadata": {"name": "a", "generation": generation}, "status": status}


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (holding(condition("Ready"), condition("Stalled")), "Ready and Stalled are both True"),
        (holding(condition("Ready"), condition("Reconciling")), "Ready and Reconciling are both True"),
        (holding(condition("Stalled"), condition("Reconciling")), "Stalled and Reconciling are both True"),
        (holding(condition("Ready"), condition("Ready", "False")), "condition Ready is there more than once"),
        (holding(condition("Ready", "Maybe")), "condition Ready: status is 'Maybe'"),
        (holding(condition("Ready", reason="")), "condition Ready: it has no reason"),
        (holding(condition("Ready", lastTransitionTime="soon")), "lastTransitionTime 'soon' is no time"),
        (holding(condition("Ready", observedGeneration=3)), "observedGeneration 3 is beyond generation 2"),
        (holding(observed=3), "observedGeneration 3 is beyond generation 2"),
    ],
)
def test_a_contradiction_is_named(manifest: dict, problem: str):
    assert any(problem in found for found in broken(manifest))


@pytest.mark.parametrize(
    "manifest",
    [
        holding(condition("Ready", observedGeneration=2), observed=2),
        holding(condition("Ready", "False"), condition("Stalled"), observed=2),
        holding(condition("Ready", "Unknown"), condition("Reconciling"), observed=-1),
        {"metadata": {"name": "a"}},
    ],
)
def test_what_agrees_is_fine(manifest: dict):
    assert broken(manifest) == []


LATER = "2026-01-01T00:00:09Z"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (holding(observed=2), holding(observed=1), "observedGeneration goes back from 2 to 1"),
        (
            holding(condition("Ready")),
            holding(condition("Ready", lastTransitionTime=LATER)),
            "condition Ready says the same as before, and its lastTransitionTime moves",
        ),
        (
            holding(condition("Ready", lastTransitionTime=LATER)),
            holding(condition("Ready", "False")),
            f"condition Ready: its lastTransitionTime goes back from {LATER} to {NOW}",
        ),
    ],
)
def test_a_step_that_can_not_be_is_named(old: dict, new: dict, problem: str):
    assert moved(new, old) == [problem]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (holding(condition("Ready")), holding(condition("Ready"))),
        (holding(condition("Ready")), holding(condition("Ready", "False", lastTransitionTime=LATER))),
        (holding(condition("Ready")), holding(condition("Ready", message="other", lastTransitionTime=LATER))),
        (holding(), holding(condition("Ready"))),
        (holding(observed=-1), holding(observed=2)),
    ],
)
def test_a_step_that_can_be_is_fine(old: dict, new: dict):
    assert moved(new, old) == []


async def test_a_server_that_checks_refuses_the_write_and_says_who_made_it():
    crd = Path(__file__).parents[2] / "deploy" / "crds"
    manifests = [one for file in crd.glob("*kustomize*.yaml") for one in yaml.safe_load_all(file.read_text())]
    server = await kubeapi.start(tls=False, workloads=False, invariants=True)
    try:
        async with aiohttp.ClientSession() as session:
            api = Api(server, session)
            for manifest in manifests:
                await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", manifest)
            path = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/default/kustomizations"
            await api.until(path, lambda found: found is not None)
            spec = {"interval": "1m", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "app"}}
            api_version = "kustomize.toolkit.fluxcd.io/v1"
            body = {"apiVersion": api_version, "kind": "Kustomization", "metadata": {"name": "app"}, "spec": spec}
            await api.post(path, body)
            wrong = {"status": {"conditions": [condition("Ready"), condition("Stalled")]}}
            refused = await api.patch(f"{path}/app/status", wrong, expect=500)
            assert "Kustomization default/app: the status written by kubernetes-admin is wrong" in refused["message"]
            assert "Ready and Stalled are both True" in refused["message"]
            assert "conditions" not in (await api.get(f"{path}/app")).get("status", {})
            await api.patch(f"{path}/app/status", {"status": {"conditions": [condition("Ready")]}})
    finally:
        await server.stop()


@pytest.mark.parametrize(("maker", "answer"), [("ArtifactGenerator", 500), ("Gizmo", 200)])
async def test_what_others_say_of_their_external_artifacts_is_theirs(maker: str, answer: int):
    crd = Path(__file__).parents[2] / "deploy" / "crds" / "source.toolkit.fluxcd.io_externalartifacts.yaml"
    server = await kubeapi.start(tls=False, workloads=False, invariants=True)
    try:
        async with aiohttp.ClientSession() as session:
            api = Api(server, session)
            definition = yaml.safe_load(crd.read_text())
            await api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
            path = "/apis/source.toolkit.fluxcd.io/v1/namespaces/default/externalartifacts"
            await api.until(path, lambda found: found is not None)
            api_version = "source.toolkit.fluxcd.io/v1"
            spec = {"sourceRef": {"kind": maker, "name": "g"}}
            body = {"apiVersion": api_version, "kind": "ExternalArtifact", "metadata": {"name": "app"}, "spec": spec}
            await api.post(path, body)
            doubtful = {"status": {"conditions": [condition("Ready"), condition("Stalled")]}}
            await api.patch(f"{path}/app/status", doubtful, expect=answer)
    finally:
        await server.stop()
