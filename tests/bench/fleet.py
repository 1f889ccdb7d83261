"""What a fleet costs that is at rest, and a controller's start among all that was applied before.

    python -m tests.bench.fleet N [--api real|embedded|KUBECONFIG] [--idle 30] [--timeout SECONDS]

N Kustomizations of four objects each, Ready, of one GitRepository (tests/bench/monorepo.py):

idle      nothing happens for a while
restart   the controllers are killed and started again → all was looked at

Printed are seconds, CPU of each controller and what it sent to the API: a restart should write nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import requests

from tests.bench import usage
from tests.bench.__main__ import FLAGS
from tests.bench.client import BenchFailed, Client
from tests.bench.monorepo import CONTROLLERS, Monorepo
from tests.kit.gitserver import GitServer
from tests.kit.installation import Installation
from tests.kit.processes import ProcessFailed
from tests.upstream.controlplane import build

_CALLS = re.compile(r"""^fluvial_api_requests_total\{.*verb="([^"]*)".*\} (\S+)""", re.MULTILINE)
_READS = {"GET", "LIST", "WATCH", "DISCOVER", "REVIEW"}
REST = 0.05
"""CPU seconds a second below which a controller is at rest."""


class Meter:
    """What the controllers spent since `begin`, in CPU seconds and in calls of the API."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self.begin()

    def begin(self, *, anew: bool = False) -> None:
        """Count from here; `anew` from the start of the controllers, which was just now."""
        self._start = time.monotonic()
        self._used = {} if anew else usage.of(self._installation.pids)
        self._calls = {} if anew else self._asked()

    def show(self, name: str, more: str = "") -> None:
        """Print what was spent."""
        seconds = time.monotonic() - self._start
        cpu = usage.cpu_between(self._used, usage.of(self._installation.pids))
        said = [f"{name:8}{seconds:8.2f} s"]
        for controller, calls in self._asked().items():
            new = calls - self._calls.get(controller, Counter())
            reads = sum(count for verb, count in new.items() if verb in _READS)
            said.append(f"{controller} {cpu[controller]:.2f} s CPU, {new.total() - reads} writes, {reads} reads")
        print("   ".join([*said, more]).rstrip(), flush=True)

    def _asked(self) -> dict[str, Counter[str]]:
        asked = {}
        for name in CONTROLLERS:
            address = self._installation.addresses.metrics[name]
            answer = requests.get(f"http://{address}/metrics", timeout=60, proxies={"http": ""})
            answer.raise_for_status()
            calls: Counter[str] = Counter()
            for verb, count in _CALLS.findall(answer.text):
                calls[verb.upper()] += int(float(count))
            asked[name] = calls
        return asked


async def until_at_rest(installation: Installation, timeout: float) -> None:
    """Wait until no controller uses CPU to speak of."""
    deadline, before = time.monotonic() + timeout, usage.of(installation.pids)
    while True:
        await asyncio.sleep(1)
        now = usage.of(installation.pids)
        spent = usage.cpu_between(before, now)
        if all(spent[name] < REST for name in CONTROLLERS):
            return
        if time.monotonic() > deadline:
            raise BenchFailed(f"the controllers did not come to rest within {timeout:.0f} s")
        before = now


async def measure(installation: Installation, folder: Path, options: argparse.Namespace) -> None:
    """Run all phases, and print what each costs."""
    connector, limit = aiohttp.TCPConnector(limit=64), aiohttp.ClientTimeout(total=120)
    with GitServer(folder / "git") as server:
        async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
            client = Client(installation.api, session)
            fleet = Monorepo(client, server.create("apps"), options.count, options.timeout)
            await fleet.prepare()
            fleet.close()
            await until_at_rest(installation, options.timeout)
            peak = "   ".join(f"{name} {used.peak:.0f}" for name, used in usage.of(installation.pids).items())
            print(f"peak MiB after all were applied: {peak}")
            meter = Meter(installation)
            await asyncio.sleep(options.idle)
            meter.show("idle")

            start = time.monotonic()
            await asyncio.to_thread(installation.restart_controllers, *CONTROLLERS)
            ready = time.monotonic() - start
            meter.begin(anew=True)
            await until_at_rest(installation, options.timeout)
            meter.show("restart", f"ready after {ready:.2f} s")


def main(argv: Sequence[str] | None = None) -> int:
    """The command: 0 with the figures, 1 when something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("count", type=int, metavar="N", help="how many Kustomizations")
    parser.add_argument("--api", default="real", help="real (default), embedded, or the path of a kubeconfig")
    parser.add_argument("--idle", type=float, default=30, help="seconds of rest (default 30)")
    parser.add_argument("--timeout", type=float, default=900, help="seconds that a phase may take (default 900)")
    options = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with Installation.start(options.api, folder, flags=dict.fromkeys(CONTROLLERS, FLAGS)) as installation:
            print(f"{options.count} Kustomizations of one repository at rest, {installation.kind} API", flush=True)
            asyncio.run(measure(installation, folder, options))
    except (BenchFailed, ProcessFailed, build.BuildFailed) as failure:
        print(f"bench: {failure}\nlogs: {folder / 'logs'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
