"""`fluvial kubeapi` as a process, and the programs that are its clients."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.upstream.controlplane import build

ROOT = Path(__file__).parents[2]
LAUNCH = [sys.executable, "-m", "kubeapi.command"]


def environment(**more: str) -> dict[str, str]:
    return {**build.environment(), **os.environ, "PYTHONPATH": str(ROOT), **more}


def start(folder: Path, *options: str) -> tuple[subprocess.Popen[str], Path]:
    kubeconfig = folder / "kubeconfig"
    command = [*LAUNCH, f"--kubeconfig-out={kubeconfig}", "--workload-delay=0.05", *options]
    process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 30
    while not kubeconfig.exists():
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < end, "the server doesn't start"
        time.sleep(0.02)
    return process, kubeconfig


class Tool:
    """kubectl, flux or helm on that server."""

    def __init__(self, name: str, kubeconfig: Path):
        self.path = build.path(name)
        self.env = environment(KUBECONFIG=str(kubeconfig), HOME=str(kubeconfig.parent), EDITOR="sed -i /a:/s/1/2/")

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [str(self.path), *arguments]
        return subprocess.run(
            command, env=self.env, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout


def tool(name: str, kubeconfig: Path) -> Tool:
    if not build.available(name):
        pytest.skip(f"{name} isn't built: `make tools` does that")
    return Tool(name, kubeconfig)
