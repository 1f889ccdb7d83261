"""What users send gets the same answer from the embedded API as from a real kube-apiserver: code, message, object.

Both run without controllers that would change objects between two steps. Without the built tools this is skipped.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import kubeapi
from kubeapi import controllers  # noqa: F401 - before workloads: they import each other
from kubeapi.workloads import accounts, claims
from tests.kit import controlplane
from tests.kit.controlplane import ControlPlane
from tests.kubeapi.differential import Subject, compare
from tests.kubeapi.differential_cases import CASES
from tests.kubeapi.differential_crds import CLUSTER_WIDGETS, WIDGETS

CRDS = Path(__file__).parents[2] / "deploy" / "crds"


class ServerOnly(ControlPlane):
    """A real API server with its etcd and nothing else."""

    def _start(self, timeout: float) -> None:
        pki = self.directory / "pki"
        controlplane._make_pki(pki)
        self.token = (pki / "tokens.csv").read_text().split(",")[0]
        api, etcd, peer = controlplane.free_ports(3)
        self.url = f"https://127.0.0.1:{api}"
        self.api = controlplane.Api(self.url, token=self.token, ca=str(self.ca))
        self.processes.start("etcd", self._etcd_command(etcd, peer))
        self._api_server_command = self._command_of_api_server(api, etcd)
        self.start_api_server(timeout)


class Embedded:
    """The embedded API on a thread of its own, with the admission of pods and claims but no workload controllers."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server = self._call(kubeapi.start(tls=False, workloads=False))
        accounts.PodAdmission(self.server.cluster)
        self.server.cluster.admission.on_before.append(claims._protect)

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def stop(self) -> None:
        self._call(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Subject, Subject]]:
    state = controlplane.available()
    if not state:
        pytest.skip(state.reason)
    plane = ServerOnly.start(tmp_path_factory.mktemp("real"))
    embedded = Embedded()
    real = Subject(plane.url, plane.token, str(plane.ca))
    ours = Subject(embedded.server.url, embedded.server.token, True)
    try:
        for subject in (real, ours):
            install(subject)
        yield real, ours
    finally:
        embedded.stop()
        plane.stop()


def install(subject: Subject) -> None:
    """Create the CRDs and wait until their resources are served."""
    crds = [WIDGETS, CLUSTER_WIDGETS, *(yaml.safe_load(file.read_text()) for file in sorted(CRDS.glob("*.yaml")))]
    base = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    for crd in crds:
        answer = subject.send("POST", base, crd)
        assert answer.status_code == 201, answer.text
    end = time.monotonic() + 60
    for crd in crds:
        spec = crd["spec"]
        path = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/{spec['names']['plural']}"
        while subject.send("GET", path).status_code != 200:
            assert time.monotonic() < end, f"{path} is never served"
            time.sleep(0.05)


@pytest.mark.parametrize("name", CASES)
def test_both_servers_answer_alike(subjects: tuple[Subject, Subject], name: str) -> None:
    real, ours = subjects
    namespace = f"case-{name}"
    for subject in subjects:
        subject.prepare(namespace)
    found: list[str] = []
    for index, step in enumerate(CASES[name]):
        wanted, given = real.run(step, namespace), ours.run(step, namespace)
        lines = compare(wanted, given, step.loose)
        if lines:
            found.append("\n".join([f"step {index}: {step.verb} {step.manifest['kind']}", *lines]))
    assert not found, "\n".join(found)
