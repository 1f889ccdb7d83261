"""The two servers of the differential test, and the record of what the real one answers.

    python -m tests.kubeapi.differential.subjects     asks a real server everything and writes the record

Neither has controllers that would change objects between two steps.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

import kubeapi
from kubeapi import controllers  # noqa: F401 - before workloads: they import each other
from kubeapi.controllers.definitions import Definitions
from kubeapi.workloads import accounts, claims
from kubeapi.workloads.services import Allocator
from tests.kit import controlplane
from tests.kit.controlplane import ControlPlane
from tests.kubeapi.differential.cases import CASES
from tests.kubeapi.differential.comparison import Answer
from tests.kubeapi.differential.crds import CLUSTER_WIDGETS, WIDGETS
from tests.kubeapi.differential.steps import Subject
from tests.kubeapi.differential.themes import sequence

CRDS = Path(__file__).parents[3] / "deploy" / "crds"
SEED, SEQUENCES = 1, 150
"""The generated sequences whose answers are recorded too."""
RECORD = Path(__file__).parents[1] / "data" / "answers.json.gz"


class ServerOnly(ControlPlane):
    """A real API server with its etcd and nothing else."""

    def _start(self, timeout: float) -> None:
        pki = self.directory / "pki"
        if not pki.is_dir():
            controlplane._make_pki(pki)
        self.token = (pki / "tokens.csv").read_text().split(",")[0]
        api, etcd, peer = controlplane.free_ports(3)
        self.url = f"https://127.0.0.1:{api}"
        self.api = controlplane.Api(self.url, token=self.token, ca=str(self.ca))
        self.processes.start("etcd", self._etcd_command(etcd, peer))
        self._api_server_command = self._command_of_api_server(api, etcd)
        self.start_api_server(timeout)


@contextmanager
def real(directory: Path) -> Iterator[Subject]:
    """A real API server that serves the CRDs of the cases."""
    plane = ServerOnly.start(directory)
    try:
        subject = Subject(plane.url, plane.token, str(plane.ca))
        install(subject)
        yield subject
    finally:
        plane.stop()


@contextmanager
def embedded() -> Iterator[Subject]:
    """The embedded API, on a thread of its own, with the admission of pods and claims but without the controllers that
    a controller manager brings."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def call(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    server = call(kubeapi.start(tls=False, workloads=False))
    try:
        for controller in server.controllers._running:
            if not isinstance(controller, Definitions | Allocator):
                loop.call_soon_threadsafe(controller.stop)
        accounts.PodAdmission(server.cluster)
        server.cluster.admission.on_before.append(claims._protect)
        subject = Subject(server.url, server.token, True)
        install(subject)
        yield subject
    finally:
        call(server.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


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


def answers(subject: Subject, name: str) -> list[Answer]:
    """What a server answers to the steps of a case."""
    namespace = f"case-{name}"
    subject.prepare(namespace)
    return [subject.run(step, namespace) for step in CASES[name]]


def generated(subject: Subject, number: int) -> list[Answer]:
    """What a server answers to a generated sequence."""
    namespace = f"generated-{number}"
    subject.prepare(namespace)
    return [subject.run(step, namespace) for step in sequence(SEED, number)]


def recorded() -> dict[str, list[Answer]]:
    """The record, by case."""
    if not RECORD.is_file():
        return {}
    cases = json.loads(gzip.decompress(RECORD.read_bytes()))
    return {
        name: [Answer(code, tuple(warnings), body) for code, warnings, body in steps] for name, steps in cases.items()
    }


def main() -> int:
    with tempfile.TemporaryDirectory() as directory, real(Path(directory) / "real") as subject:
        found = {name: answers(subject, name) for name in sorted(CASES)}
        found |= {f"{SEED}/{number}": generated(subject, number) for number in range(SEQUENCES)}
    cases = {name: [[one.code, list(one.warnings), one.body] for one in said] for name, said in found.items()}
    text = json.dumps(cases, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{sum(map(len, cases.values()))} answers in {RECORD}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
