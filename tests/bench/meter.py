"""What a phase costs: seconds, CPU of each process, and the requests that reached the API server.

CPU is counted until all processes are at rest again: what a phase leaves to others (the controller manager with its
Deployments, events on their way) is its cost, and not that of the phase after it.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import requests

from tests.bench import usage
from tests.bench.client import BenchFailed
from tests.kit.installation import Installation

FLAGS = ("--concurrent=150", "--kube-api-qps=1000", "--kube-api-burst=2000")
"""How controllers run: what is measured is their work, not a client's limit (which a real API server lifts anyway), nor
that most workers wait for Services, whose addresses the API server makes at most fifty of a second."""
CONTROLLERS = ("source-controller", "kustomize-controller")
"""The controllers that the fleet is for; the others run, too, and look on."""
REST = 0.1
"""CPU seconds a second, of all processes together, below which they are at rest."""
WITHIN = 120.0
"""Seconds that coming to rest may take."""
_REQUESTS = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_ATTEMPTS = re.compile(r'^controller_runtime_reconcile_total\{controller="([^"]*)",.*\} (\S+)$', re.MULTILINE)
_VERBS = {"CREATE": "POST", "UPDATE": "PUT"}
_READS = {"GET", "LIST", "WATCH", "CONNECT"}
_NO_WRITES = ("leases", "reviews", "events")
_SERVERS = {"kube-apiserver": "API server", "kubeapi": "API server"}

Figures = dict[str, float]
"""Of one phase, by name: `seconds`; `cpu <process>`, in ms for each application; `calls <verb> <resource>`, for each
application; and of each controller at its end `peak <process>` and `resident <process>`, in MiB."""


class Meter:
    """Measures phases of `count` applications, one after the other."""

    def __init__(self, installation: Installation, count: int) -> None:
        self._installation, self._count = installation, count
        self.phases: dict[str, Figures] = {}

    async def phase(self, name: str, run: Callable[[], Awaitable[None]], rounds: int = 1) -> Figures:
        """Run it, `rounds` times in turn, and note what one round cost; BenchFailed when one fails or doesn't come to
        an end."""
        await self.until_at_rest()
        asked = await asyncio.to_thread(_asked, self._installation)
        pids = self._installation.pids
        before, start = self._usage(), time.monotonic()
        for _ in range(rounds):
            await run()
        seconds, done = (time.monotonic() - start) / rounds, self._count * rounds
        await self.until_at_rest()
        # A process that was started meanwhile has spent all that it spent in this phase.
        for process, pid in self._installation.pids.items():
            if pids.get(process) != pid:
                before.pop(process, None)
        after = self._usage()
        calls = await asyncio.to_thread(_asked, self._installation) - asked
        figures = {"seconds": round(seconds, 3)}
        for process, cpu in usage.cpu_between(before, after).items():
            figures[f"cpu {_SERVERS.get(process, process)}"] = round(1000 * cpu / done, 3)
        for process, pid in self._installation.controllers.pids.items():
            figures |= {f"peak {process}": after[process].peak, f"resident {process}": usage.resident(pid)}
        figures |= {f"calls {call}": round(number / done, 4) for call, number in sorted(calls.items())}
        self.phases[name] = figures
        return figures

    async def until_at_rest(self) -> None:
        """Wait until the processes use no CPU to speak of."""
        deadline, before = time.monotonic() + WITHIN, usage.of(self._installation.pids)
        while True:
            await asyncio.sleep(1)
            now = usage.of(self._installation.pids)
            if sum(usage.cpu_between(before, now).values()) < REST:
                return
            if time.monotonic() > deadline:
                raise BenchFailed(f"the processes did not come to rest within {WITHIN:.0f} s")
            before = now

    async def until_tried(self, attempts: Counter[str], timeout: float) -> None:
        """Wait until the controllers, since their start, have tried that often, by kind (in lower case, as metrics have
        it); BenchFailed after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not attempts <= (found := await asyncio.to_thread(_attempts, self._installation)):
            if time.monotonic() > deadline:
                raise BenchFailed(
                    f"after {timeout:.0f} s the controllers have tried {dict(found)}, not {dict(attempts)}"
                )
            await asyncio.sleep(0.25)

    def _usage(self) -> dict[str, usage.Usage]:
        """Of all processes, and of this one, whose ended children are controllers."""
        return usage.of(self._installation.pids) | usage.of({"bench": os.getpid()}, children=False)


def controllers(figures: Figures) -> float:
    """CPU of all controllers in a phase, in ms for each application."""
    return sum(spent for name, spent in figures.items() if name.startswith("cpu ") and name.endswith("-controller"))


def writes(figures: Figures) -> float:
    """Writes to objects among a phase's calls, for each application: not leases, questions about rights, and events,
    which tell of what is done at its time, such as that old artifacts are removed."""
    return sum(
        count
        for name, count in figures.items()
        if name.startswith("calls ") and name.split()[1] not in _READS and not name.endswith(_NO_WRITES)
    )


def calls(figures: Figures) -> float:
    """All of a phase's calls, for each application."""
    return sum(count for name, count in figures.items() if name.startswith("calls "))


def _asked(installation: Installation) -> Counter[str]:
    """The API server's requests so far, as `<verb> <resource>`. Its metrics, probes and documents don't count."""
    asked: Counter[str] = Counter()
    for labels, count in _REQUESTS.findall(installation.api.request("GET", "/metrics")):
        found = dict(_LABEL.findall(labels))
        if found["resource"]:
            resource = "/".join(filter(None, (found["resource"], found.get("subresource"))))
            asked[f"{_VERBS.get(found['verb'], found['verb'])} {resource}"] += int(float(count))
    return asked


def _attempts(installation: Installation) -> Counter[str]:
    tried: Counter[str] = Counter()
    for name in CONTROLLERS:
        address = installation.addresses.metrics[name]
        answer = requests.get(f"http://{address}/metrics", timeout=60, proxies={"http": ""})
        answer.raise_for_status()
        for kind, count in _ATTEMPTS.findall(answer.text):
            tried[kind] += int(float(count))
    return tried
