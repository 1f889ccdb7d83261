"""Temporary files of a process: below one folder, gone when it ends, and after a kill when the next one starts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.loop.scratch import scratch

NAME = "test-controller"
_WORK = f"""
import subprocess, sys, tempfile
from shared.loop.scratch import scratch
with scratch({NAME!r}) as folder:
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"half a mirror")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@contextlib.contextmanager
def process() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that has a file in its folder, and works until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        try:
            yield started, Path(started.stdout.readline().strip())
        finally:
            started.kill()


def files(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.iterdir() if file.is_file()]


def until_gone(path: Path) -> None:
    deadline = time.monotonic() + 10
    while path.exists():
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.01)


def test_files_of_this_process_and_its_children_lie_in_its_folder_and_go_with_it(system: Path) -> None:
    with scratch(NAME) as folder:
        assert folder.parent == system
        made = Path(tempfile.mkdtemp())
        child = subprocess.run(["mktemp"], check=True, capture_output=True, text=True)
        assert made.parent == Path(child.stdout.strip()).parent == folder
    assert list(system.iterdir()) == []
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(system)


def test_what_a_killed_process_left_goes_when_the_next_starts() -> None:
    with process() as (killed, left):
        killed.kill()
        killed.wait()
        assert files(left) == [b"half a mirror"]
        with scratch(NAME) as folder:
            until_gone(left)
            assert folder.exists()


def test_what_is_in_use_stays() -> None:
    with process() as (_, used), scratch(NAME):
        assert files(used) == [b"half a mirror"]
        with scratch(NAME):
            assert files(used) == [b"half a mirror"]


def test_what_is_of_others_stays(system: Path) -> None:
    outside = system / "outside"
    outside.mkdir(mode=0o700)
    for mode in (0o755, 0o770):
        (system / f"{NAME}-{mode:o}.tmp").mkdir()
        (system / f"{NAME}-{mode:o}.tmp").chmod(mode)
    (system / f"{NAME}-link.tmp").symlink_to(outside)
    (system / f"{NAME}-file.tmp").write_text("a file")
    for name in (f"{NAME}-notes", "other-controller-1.tmp"):
        (system / name).mkdir(mode=0o700)
    before = sorted(system.iterdir())
    with process() as (killed, left):
        killed.kill()
        killed.wait()
        with scratch(NAME):
            until_gone(left)
    assert sorted(system.iterdir()) == before


def test_many_that_start_at_the_same_time_each_have_their_own() -> None:
    with contextlib.ExitStack() as stack:
        folders = [stack.enter_context(process())[1] for _ in range(4)]
        assert len(set(folders)) == 4
        assert all(files(folder) == [b"half a mirror"] for folder in folders)
