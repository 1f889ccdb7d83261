"""How fast the toolkit reconciles a fleet, beside what no controller can avoid.

    python -m tests.bench N [--runs 3] [--api real|embedded|KUBECONFIG] [--json FILE] [--beside FILE] [--markdown]

Each run starts a control plane and the controllers, and measures N applications: a source and a Kustomization of four
objects each (tests/bench/kustomizations.py), each phase right after its floors (tests/bench/floor.py). Between come
single changes one after the other (tests/bench/latencies.py), rest, and a restart among all that is Ready. Printed are
of each phase seconds, their ratio to the floor, and CPU of each process until all are at rest again; calls beyond the
floor; and which targets are met. Compare ratios and CPU, not seconds: those depend on the machine and on what else it
does.

--beside compares with the --json of a smaller fleet: is it linear in N, and how much memory does an application take?
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.bench import command, machine, report, targets
from tests.bench.client import Client, connected
from tests.bench.floor import Floor, of
from tests.bench.kustomizations import FLEET, NAMESPACE, Content, Phases
from tests.bench.latencies import Latencies
from tests.bench.meter import CONTROLLERS, FLAGS, Meter
from tests.kit.installation import Installation
from tests.kit.registry import Registry

_OWN_FLEET = f"--watch-label-selector={FLEET}={NAMESPACE}"
ROUNDS = 3
"""How often a noop, and its floors, come one after the other: once is over in seconds, which say little."""


class Run:
    """One run: what it has measured is in `meter.phases`."""

    def __init__(self, installation: Installation, client: Client, options: argparse.Namespace) -> None:
        self._installation, self._client, self._options = installation, client, options
        self._count: int = options.count
        self.meter = Meter(installation, self._count)
        self._floor = Floor(client, self._count) if options.floors else None

    async def measure(self) -> None:
        """The fleet, and before each phase its floors."""
        if self._floor is not None:
            await self._floor.prepare()
        self._installation.start_controllers(dict.fromkeys(CONTROLLERS, (*FLAGS, _OWN_FLEET)))
        with Registry() as registry:
            content = Content(registry)
            phases = Phases(self._client, content, self._count, self._options.timeout)
            await phases.prepare()
            try:
                for name in ("sources", "apply"):
                    await self._beside_its_floors(name, getattr(phases, name))
                if self._floor is not None:
                    await self._floor.make()
                for name in ("noop", "update"):
                    await self._beside_its_floors(name, getattr(phases, name))
                latencies = await Latencies(self._client, content, self._count).measure()
                for name, found in latencies.items():
                    self.meter.phases[name] = found
                    print(f"{name:30}" + "  ".join(f"{key} {value} ms" for key, value in found.items()), flush=True)
                await self._phase("idle", lambda: asyncio.sleep(self._options.idle))
                await self._phase("restart", self._restart)
                await self._beside_its_floors("delete", phases.delete)
            finally:
                phases.close()
        if self._floor is not None:
            await self._floor.clean()

    async def _beside_its_floors(self, name: str, run: Callable[[], Any]) -> None:
        """A phase right after its floors, for what else the machine does changes within minutes, and would be in one of
        them; and beside as many other objects, of which each makes the next ones dearer."""
        if self._floor is not None:
            for floor in of(name):
                await self._phase(f"floor {floor}", functools.partial(self._floor.run, floor))
            await self._floor.take_back(name)
        await self._phase(name, run)

    async def _restart(self) -> None:
        start = time.monotonic()
        self._installation.restart_controllers(*CONTROLLERS)
        self._ready = time.monotonic() - start
        wanted = Counter({"ocirepository": self._count, "kustomization": self._count})
        await self.meter.until_tried(wanted, self._options.timeout)

    async def _phase(self, name: str, run: Callable[[], Any]) -> None:
        print(f"{name} …", file=sys.stderr, flush=True)
        rounds = ROUNDS if "noop" in name else 1
        figures = await self.meter.phase(name, run, rounds)
        if name == "restart":
            figures["ready"] = round(self._ready, 2)
        print(report.line(name, figures), flush=True)


async def measure(installation: Installation, options: argparse.Namespace) -> dict[str, Any]:
    """One run; its figures by phase."""
    async with connected(installation.api) as client:
        run = Run(installation, client, options)
        await run.measure()
    return run.meter.phases


def _measure_all(options: argparse.Namespace) -> None:
    """Every run, and what they have shown."""
    smaller: dict[str, Any] = json.loads(options.beside.read_text()) if options.beside else {}
    said: dict[str, str] = {}
    runs: list[dict[str, Any]] = []
    for _ in range(options.runs):
        with command.installed(options.api, controllers=False) as installation:
            said = said or machine.describe(installation)
            runs.append(asyncio.run(measure(installation, options)))
        if options.json:
            options.json.write_text(json.dumps({"count": options.count, "about": said, "runs": runs}, indent=1))
    _show(said, options, runs, smaller)


def _show(said: dict[str, str], options: argparse.Namespace, runs: Sequence[Any], smaller: dict[str, Any]) -> None:
    """Print what all runs have shown."""
    middle = report.medians(runs)
    beside = report.medians(smaller["runs"]) if smaller else None
    found = targets.judge(middle, options.count, beside, smaller.get("count", 0))
    print(f"\n{options.count} applications, {len(runs)} run(s): {'; '.join(said.values())}; {' '.join(FLAGS)}\n")
    for rows in (report.phases(runs), report.beyond(middle), report.judged(found)):
        print(report.table(rows, markdown=options.markdown) + "\n", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = command.parser("", __doc__, timeout=1800, runs=1)
    parser.add_argument("count", type=int, metavar="N", help="how many applications")
    parser.add_argument("--json", type=Path, help="write all figures here, after each run")
    parser.add_argument("--beside", type=Path, help="the --json of a smaller fleet")
    parser.add_argument("--no-floors", dest="floors", action="store_false", help="don't measure the floors")
    parser.add_argument("--idle", type=float, default=30, help="seconds of rest (default 30)")
    options = parser.parse_args(argv)
    return command.run(lambda: _measure_all(options))


if __name__ == "__main__":
    sys.exit(main())
