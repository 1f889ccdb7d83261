"""What a run was made on: figures of two machines, or of a busy one, are not the same."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

from tests.kit.installation import ROOT, Installation
from tests.upstream.controlplane import build


def describe(installation: Installation) -> dict[str, str]:
    """The machine, what else it does, versions and commit, in words."""
    processor = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal:")), 0)
    server = installation.api.request("GET", "/version")["gitVersion"]
    if installation.kind == "real":
        server += f" with etcd {_said(str(build.path('etcd')), '--version').splitlines()[0].split()[-1]}"
    changed = " with changes" if _said("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no") else ""
    return {
        "machine": f"{os.cpu_count()} cores of {processor}, {memory / 2**20:.0f} GiB, {platform.system()}",
        "load": f"{os.getloadavg()[0]:.1f} at the begin",
        "versions": f"Kubernetes {server}, Python {platform.python_version()}",
        "commit": _said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD") + changed,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
