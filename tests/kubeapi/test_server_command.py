"""`fluvial kubeapi` as its users meet it: help, options, files, signals."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.kubeapi.command_kit import LAUNCH, ROOT, environment, start, tool


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A kubeconfig for a running server."""
    process, kubeconfig = start(tmp_path_factory.mktemp("kubeapi"))
    yield kubeconfig
    process.terminate()
    assert process.wait(10) == 0


def test_help_says_what_it_is_and_how_to_use_it():
    done = subprocess.run([*LAUNCH, "--help"], env=environment(), cwd=ROOT, capture_output=True, text=True, check=True)
    assert "usage: fluvial kubeapi" in done.stdout
    for word in ("--data", "--port", "--kubeconfig-out", "examples:", "kubectl apply", "/faults", "docs/kubeapi.md"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--port", "70000"], "--port must be between 0 and 65535"),
        (["--workload-delay", "-1"], "--workload-delay must not be negative"),
        (["--token-file", "/nonexistent"], "--token-file can't be read"),
    ],
)
def test_a_wrong_option_is_explained(options: list[str], problem: str):
    done = subprocess.run([*LAUNCH, *options], env=environment(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert problem in done.stderr


def test_a_taken_port_is_named(cluster: Path):
    port = yaml.safe_load(cluster.read_text())["clusters"][0]["cluster"]["server"].rpartition(":")[2]
    command = [*LAUNCH, f"--port={port}", f"--kubeconfig-out={cluster.parent / 'other'}"]
    done = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"can't serve on 127.0.0.1:{port}" in done.stderr
    assert not (cluster.parent / "other").exists()


def test_the_kubeconfig_is_for_its_owner_only(cluster: Path):
    assert cluster.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well_even_with_a_watch_open(tmp_path: Path, how: signal.Signals):
    process, kubeconfig = start(tmp_path)
    kubectl = tool("kubectl", kubeconfig)
    watch = subprocess.Popen([str(kubectl.path), "get", "cm", "-w"], env=kubectl.env, stdout=subprocess.PIPE, text=True)
    assert watch.stdout is not None
    watch.stdout.readline()
    process.send_signal(how)
    assert process.wait(10) == 0
    watch.kill()
    watch.wait()
