"""The real control plane of the kit: what other tests rely on when they run on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.kit import controlplane
from tests.kit.controlplane import ControlPlane
from tests.upstream.controlplane import build

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not controlplane.available(), reason=controlplane.available().reason),
]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane.start(tmp_path_factory.mktemp("plane")) as running:
        yield running


def until(ask: Callable[[], Any], timeout: float = 30) -> Any:
    deadline = time.monotonic() + timeout
    while not (answer := ask()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return answer


def workload(kind: str, api_version: str, name: str, spec: dict[str, Any], **annotations: str) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}, "annotations": annotations},
        "spec": {"containers": [{"name": "main", "image": "example.org/app:1"}]},
    }
    if kind == "Job":
        template["spec"]["restartPolicy"] = "Never"  # type: ignore[index]
    else:
        spec = {"selector": {"matchLabels": {"app": name}}, **spec}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"template": template, **spec},
    }


def condition(obj: dict[str, Any], kind: str) -> str | None:
    found = [one["status"] for one in obj.get("status", {}).get("conditions", []) if one["type"] == kind]
    return found[0] if found else None


def test_it_says_the_version_that_its_module_pins(plane: ControlPlane) -> None:
    assert plane.request("GET", "/version")["gitVersion"] == f"v{build.KUBERNETES_VERSION}"


def test_the_pods_of_a_deployment_become_ready_and_go_with_it(plane: ControlPlane) -> None:
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    plane.request("POST", deployments, workload("Deployment", "apps/v1", "web", {"replicas": 3}))
    until(lambda: condition(plane.request("GET", f"{deployments}/web"), "Available") == "True")
    pods = "/api/v1/namespaces/default/pods?labelSelector=app%3Dweb"
    assert until(lambda: plane.request("GET", f"{deployments}/web")["status"].get("readyReplicas") == 3)
    plane.request("DELETE", f"{deployments}/web")
    until(lambda: not plane.request("GET", pods)["items"])


def test_a_job_completes_and_a_job_whose_pod_fails_is_failed(plane: ControlPlane) -> None:
    jobs = "/apis/batch/v1/namespaces/default/jobs"
    plane.request("POST", jobs, workload("Job", "batch/v1", "good", {"backoffLimit": 0}))
    bad = workload("Job", "batch/v1", "bad", {"backoffLimit": 0}, **{"tests.fluvial/stay": "fail"})
    plane.request("POST", jobs, bad)
    until(lambda: condition(plane.request("GET", f"{jobs}/good"), "Complete") == "True")
    until(lambda: condition(plane.request("GET", f"{jobs}/bad"), "Failed") == "True")


def test_a_pod_told_to_stay_pending_never_starts(plane: ControlPlane) -> None:
    deployments = "/apis/apps/v1/namespaces/default/deployments"
    stuck = workload("Deployment", "apps/v1", "stuck", {"replicas": 1}, **{"tests.fluvial/stay": "pending"})
    fine = workload("Deployment", "apps/v1", "fine", {"replicas": 1})
    for one in (stuck, fine):
        plane.request("POST", deployments, one)
    until(lambda: condition(plane.request("GET", f"{deployments}/fine"), "Available") == "True")
    assert condition(plane.request("GET", f"{deployments}/stuck"), "Available") == "False"


def test_who_has_no_role_is_refused(plane: ControlPlane) -> None:
    for headers, status in (
        ({"Authorization": "Bearer wrong"}, 401),
        ({}, 403),
        ({"Authorization": f"Bearer {plane.token}", "Impersonate-User": "somebody"}, 403),
    ):
        answer = requests.get(f"{plane.url}/api/v1/secrets", headers=headers, verify=str(plane.ca), timeout=10)
        assert answer.status_code == status


def test_the_api_server_can_go_away_and_come_back_with_its_data(plane: ControlPlane) -> None:
    plane.request(
        "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "stays"}}
    )
    plane.stop_api_server()
    with pytest.raises(requests.ConnectionError):
        plane.request("GET", "/readyz")
    plane.start_api_server()
    assert plane.request("GET", "/api/v1/namespaces/stays")["status"]["phase"] == "Active"


def test_a_namespace_goes_with_everything_in_it(plane: ControlPlane) -> None:
    plane.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone"}})
    configmap = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}}
    plane.request("POST", "/api/v1/namespaces/gone/configmaps", configmap)
    plane.request("DELETE", "/api/v1/namespaces/gone")
    until(lambda: "gone" not in _names(plane.request("GET", "/api/v1/namespaces")))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_it_outlives_its_command(tmp_path: Path, how: signal.Signals) -> None:
    pids = tmp_path / "pids"
    command = [sys.executable, "-m", "tests.kit.controlplane", "--dir", str(tmp_path / "plane")]
    running = subprocess.Popen([*command, "--pids-out", str(pids)], stdout=subprocess.DEVNULL)
    until(pids.exists, timeout=60)
    until(pids.read_text)
    numbers = [int(line.split()[0]) for line in pids.read_text().splitlines()]
    assert len(numbers) == 5
    running.send_signal(how)
    assert running.wait(30) == (0 if how != signal.SIGKILL else -signal.SIGKILL)
    until(lambda: not [number for number in numbers if _lives(number)])


def _names(answer: dict[str, Any]) -> list[str]:
    return [one["metadata"]["name"] for one in answer["items"]]


def _lives(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{number}/stat")
    return not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z")
