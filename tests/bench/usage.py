"""CPU time and memory of running processes, from /proc."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """Of one process so far: CPU seconds, its largest resident memory in MiB."""

    cpu: float
    peak: float


def of(pids: Mapping[str, int], *, children: bool = True) -> dict[str, Usage]:
    """Usage by name, with that of ended `children` or without; a process that is gone is left out."""
    found = {}
    for name, pid in pids.items():
        folder = Path("/proc") / str(pid)
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            status = (folder / "status").read_text()
        except FileNotFoundError:
            continue
        cpu = sum(int(ticks) for ticks in fields[11 : 15 if children else 13]) / _TICKS
        peak = next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)
        found[name] = Usage(cpu, peak)
    return found


def cpu_between(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, float]:
    """CPU seconds that each process spent in between."""
    return {name: used.cpu - (before[name].cpu if name in before else 0.0) for name, used in after.items()}


def resident(pid: int) -> float:
    """MiB of memory that a process has right now; 0 when it is gone."""
    try:
        status = (Path("/proc") / str(pid) / "status").read_text()
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:")), 0.0)
