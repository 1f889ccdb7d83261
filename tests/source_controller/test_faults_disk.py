"""A disk that is really full: it is told, nothing that was stored is lost, and what fits again is stored."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import urllib.request

import pytest

from fluvial.processes import free_ports
from tests.kit.processes import Processes
from tests.kit.remotes import LARGE, REMOTES
from tests.source_controller.conftest import condition
from tests.source_controller.sources import Source

SIZE, TOO_MUCH = 400 * 1024, 900 * 1024
UNSHARE = shutil.which("unshare")


def may_mount():
    """May a process here have a small file system of its own?"""
    probe = ["-Urm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    return UNSHARE is not None and subprocess.run([UNSHARE, *probe], capture_output=True, check=False).returncode == 0


@pytest.fixture(params=REMOTES)
def source(request, world, tmp_path):
    with REMOTES[request.param](tmp_path) as remote:
        yield Source(world, remote)


@pytest.fixture(params=["storage", "tmp"])
async def full(request, source, tmp_path):
    """Which directory of the running controller is on a disk of 400 KiB: the storage, or what it works in."""
    if not may_mount():
        pytest.skip("no process here may mount a small file system: unshare -Urm doesn't work")
    if (source.kind, request.param) == ("HelmChart", "tmp"):
        pytest.skip("what is pulled of a chart is in memory until it is stored")
    world = source.world
    small, wide = tmp_path / "small", tmp_path / "wide"
    for folder in (small, wide, world.storage):
        folder.mkdir()
    [port] = free_ports(1)
    command, env = world.command
    command += [f"--storage-addr=127.0.0.1:{port}", "--max-retry-delay=500ms"]
    if request.param == "storage":
        command.append(f"--storage-path={small}")
        env["TMPDIR"] = str(wide)
    else:
        env["TMPDIR"] = str(small)
    mounted = f'mount -t tmpfs -o size={SIZE} tmpfs "{small}" && exec "$@"'
    with Processes(tmp_path / "logs") as processes:
        processes.start("source-controller", [UNSHARE, "-Urm", "sh", "-c", mounted, "sh", *command], env)
        yield request.param
        processes.require_running()


def download(obj):
    with urllib.request.urlopen(obj["status"]["artifact"]["url"], timeout=10) as answer:
        return answer.read()


async def test_a_full_disk_is_told_and_loses_nothing(source, full):
    source.require_intact = lambda obj: None  # the files are on a disk that only the controller sees
    await source.put()
    before = await source.ready()
    content = await asyncio.to_thread(download, before)
    source.remote.change(TOO_MUCH)
    await source.ask()
    failed = await source.world.until(
        "s",
        lambda obj: condition(obj, "Ready") == "False" and "space" in condition(obj, "Ready", "message").lower(),
        source.kind,
    )
    if full == "storage":
        assert condition(failed, "StorageOperationFailed") == "True"
        assert "free some space below the storage path" in condition(failed, "Ready", "message")
    else:
        assert condition(failed, "Ready", "reason") != "ReconciliationFailed"
    assert failed["status"]["artifact"] == before["status"]["artifact"]
    assert await asyncio.to_thread(download, failed) == content
    source.remote.change(LARGE // 2)
    await source.ask()
    after = await source.ready(other_than=before)
    assert condition(after, "StorageOperationFailed") is None
    assert await asyncio.to_thread(download, after) != content
