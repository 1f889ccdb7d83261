"""How fast the toolkit reconciles, beside what no controller can avoid.

    python -m tests.bench N [--api real|embedded|KUBECONFIG] [--json FILE] [--timeout SECONDS]

Starts a control plane, the controllers and a Git server, and measures N Kustomizations of four objects: seconds of each
phase, their ratio to the floor measured in the same run (tests/bench/floor.py), CPU of each process, peak memory; and
how long single changes take to get through (tests/bench/latencies.py).
Compare ratios, not seconds: those depend on the machine and on what else it does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench import usage
from tests.bench.client import BenchFailed, Client
from tests.bench.floor import Floor
from tests.bench.kustomizations import Phases
from tests.bench.latencies import Latencies
from tests.kit.gitserver import GitServer
from tests.kit.installation import Installation
from tests.kit.processes import ProcessFailed
from tests.upstream.controlplane import build

# What is measured is the work, not the client's default limit of 50 requests per second.
FLAGS = ("--concurrent=20", "--kube-api-qps=1000", "--kube-api-burst=2000")


class Measured:
    """Times phases and prints each as it ends."""

    def __init__(self, installation: Installation, count: int) -> None:
        self._pids, self._count = installation.pids, count
        self._began = usage.of(self._pids)
        self.seconds: dict[str, float] = {}
        self.cpu: dict[str, dict[str, float]] = {}

    async def phase(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        before, start = usage.of(self._pids), time.monotonic()
        await run()
        self.seconds[name] = round(time.monotonic() - start, 3)
        spent = usage.cpu_between(before, usage.of(self._pids))
        self.cpu[name] = {process: round(1000 * cpu / self._count, 1) for process, cpu in spent.items()}
        print(f"{name:14}{self.seconds[name]:9.2f} s  {self._ratio(name):>9}   {_words(self.cpu[name])}", flush=True)

    def _ratio(self, name: str) -> str:
        floor = self.seconds.get(f"floor {name}")
        return f"{self.seconds[name] / floor:.1f} x" if floor else ""

    def result(self) -> dict[str, Any]:
        """All figures, for --json."""
        after = usage.of(self._pids)
        phases = [name for name in self.seconds if f"floor {name}" in self.seconds]
        return {
            "n": self._count,
            "seconds": self.seconds,
            "ratios": {name: round(self.seconds[name] / self.seconds[f"floor {name}"], 2) for name in phases},
            "cpu_ms_per_app": self.cpu,
            "cpu_seconds": {name: round(cpu, 1) for name, cpu in usage.cpu_between(self._began, after).items()},
            "peak_mib": {name: round(used.peak) for name, used in after.items()},
        }


def _words(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {figure:g}" for name, figure in figures.items() if figure)


async def measure(installation: Installation, folder: Path, count: int, timeout: float) -> dict[str, Any]:
    """Run the floor and all phases; the figures."""
    connector = aiohttp.TCPConnector(limit=64)
    limit = aiohttp.ClientTimeout(total=120)
    with GitServer(folder / "git") as server:
        repo = server.create("apps")
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
            client = Client(installation.api, session)
            measured = Measured(installation, count)
            phases, floor = Phases(client, repo, count, timeout), Floor(client, count)
            print(f"{'phase':14}{'time':>11}  {'to floor':>9}   CPU, ms per application", flush=True)
            await phases.prepare()
            try:
                await floor.prepare()
                for name in ("apply", "noop", "update"):
                    await measured.phase(f"floor {name}", getattr(floor, name))
                await floor.clean()
                for name in ("sources", "apply", "noop", "update", "drift"):
                    await measured.phase(name, getattr(phases, name))
                latencies = await Latencies(client, repo, count).measure()
                for name, found in latencies.items():
                    print(f"{name:22}{_words(found)}  ms", flush=True)
                await measured.phase("delete", phases.delete)
            finally:
                phases.close()
    return measured.result() | {"latencies_ms": latencies}


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("count", type=int, metavar="N", help="how many applications")
    parser.add_argument("--api", default="real", help="real (default), embedded, or the path of a kubeconfig")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    parser.add_argument("--timeout", type=float, default=900, help="seconds that a phase may take (default 900)")
    arguments = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    flags = dict.fromkeys(("source-controller", "kustomize-controller"), FLAGS)
    try:
        with Installation.start(arguments.api, folder, flags=flags) as installation:
            print(f"{arguments.count} Kustomizations of four objects, {installation.kind} API, {os.cpu_count()} cores")
            print(f"controllers run with {' '.join(FLAGS)}")
            figures = asyncio.run(measure(installation, folder, arguments.count, arguments.timeout))
    except (BenchFailed, ProcessFailed, build.BuildFailed) as failure:
        print(f"bench: {failure}\nlogs: {folder / 'logs'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"ratios to the floor: {_words(figures['ratios'])}")
    print(f"CPU s:    {_words(figures['cpu_seconds'])}")
    print(f"peak MiB: {_words(figures['peak_mib'])}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
