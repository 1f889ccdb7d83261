"""What the benchmarks' commands have in common: arguments, a fresh installation a run, and how failures are told."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.bench import report
from tests.bench.client import BenchFailed
from tests.bench.targets import Fleet
from tests.kit.installation import Installation
from tests.kit.processes import ProcessFailed
from tests.upstream.controlplane import build

FAILURES = (BenchFailed, ProcessFailed, build.BuildFailed, subprocess.CalledProcessError)


def parser(
    module: str, doc: str | None, *, api: str = "real", timeout: float = 0, runs: int = 0
) -> argparse.ArgumentParser:
    """The arguments of a command: --api, with its default; --timeout and --runs where they have one."""
    made = argparse.ArgumentParser(prog=f"python -m tests.bench{module and '.'}{module}", description=doc)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    apis = ("real", "embedded")
    said = ", ".join(f"{name} (default)" if name == api else name for name in apis)
    made.add_argument("--api", default=api, help=f"{said}, or the path of a kubeconfig")
    if timeout:
        help_ = f"seconds that a phase may take (default {timeout:.0f})"
        made.add_argument("--timeout", type=float, default=timeout, help=help_)
    if runs:
        made.add_argument("--runs", type=int, default=runs, help=f"how often (default {runs}): medians are printed")
        made.add_argument("--markdown", action="store_true", help="print tables as Markdown")
    return made


@contextlib.contextmanager
def installed(
    api: str, flags: Mapping[str, Sequence[str]] | None = None, *, controllers: bool = True
) -> Iterator[Installation]:
    """A fresh installation. Where something failed the logs are kept, and it is said where."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with Installation.start(api, folder, flags=flags, controllers=controllers) as installation:
            yield installation
    except Exception:
        print(f"logs: {folder / 'logs'}", file=sys.stderr)
        raise
    shutil.rmtree(folder, ignore_errors=True)


def repeat(options: argparse.Namespace, once: Callable[[], Fleet], columns: Mapping[str, str]) -> None:
    """Measure --runs times; print medians, and where they differ the least and the most, of what `columns` names."""
    runs = []
    for number in range(options.runs):
        print(f"run {number + 1} of {options.runs}", flush=True)
        runs.append(once())
    print("\n" + report.table(report.rows(runs, columns), markdown=options.markdown), flush=True)


def run(measure: Callable[[], None]) -> int:
    """Measure; the command's status: 0, 1 when something failed, 130 when interrupted."""
    try:
        measure()
    except FAILURES as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
