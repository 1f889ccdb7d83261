"""The programs that the command line starts: crashes are told, and none outlives it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fluvial import processes as module
from fluvial.interruption import until_interrupted
from fluvial.processes import Failed, Processes, free_ports

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(99)"
child = subprocess.Popen([sys.executable, "-c", code])
print(child.pid, flush=True)
time.sleep(99)
"""


@pytest.fixture
async def processes(tmp_path: Path) -> AsyncIterator[Processes]:
    made = Processes(tmp_path / "logs")
    yield made
    await made.stop()


async def start(processes: Processes, name: str, code: str) -> None:
    await processes.start(name, [sys.executable, "-c", code], os.environ)


async def test_a_program_that_ends_fails_what_was_being_waited_for(processes: Processes):
    await start(processes, "controller", "import sys; print('no storage'); sys.exit(3)")
    with pytest.raises(Failed, match=r"controller ended by itself with status 3; its log ends with:\nno storage"):
        await asyncio.wait_for(processes.during(asyncio.Event().wait()), 30)


async def test_what_is_done_while_all_run_gives_its_result(processes: Processes):
    await start(processes, "controller", "import time; time.sleep(99)")
    assert await processes.during(asyncio.sleep(0, "done")) == "done"


async def test_an_error_of_what_is_done_meanwhile_passes(processes: Processes):
    async def work() -> None:
        raise Failed("the image did not change")

    with pytest.raises(Failed, match="the image did not change"):
        await processes.during(work())


async def test_a_program_can_be_started_again_into_the_same_log(processes: Processes):
    await start(processes, "controller", "print('here')")
    assert await asyncio.wait_for(processes.ended(), 30) == "controller"
    await processes.restart("controller")
    assert await asyncio.wait_for(processes.ended(), 30) == "controller"
    assert processes.tail("controller") == "here\nhere"


async def test_stopping_is_no_crash(processes: Processes):
    await start(processes, "controller", "import time; time.sleep(99)")
    await processes.stop()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(processes.ended(), 0.05)


async def test_what_ignores_the_request_to_end_is_killed_with_what_it_started(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    await start(processes, "controller", STUBBORN)
    async with asyncio.timeout(30):
        while not (told := processes.log("controller").read_text().strip()):
            await asyncio.sleep(0.01)
    await processes.stop()
    async with asyncio.timeout(30):
        while _lives(int(told)):
            await asyncio.sleep(0.01)


def test_the_end_of_a_log_is_short(tmp_path: Path):
    processes = Processes(tmp_path)
    assert processes.tail("controller") == "(its log is empty)"
    processes.log("controller").write_text("".join(f"{line}\n" for line in range(100)))
    assert processes.tail("controller", 2) == "98\n99"


def test_free_ports_differ():
    ports = free_ports(20)
    assert len(set(ports)) == 20


async def test_a_second_signal_does_not_disturb_cleaning_up():
    cleaned = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(30)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(0.05)
            cleaned.append("all of it")

    assert await until_interrupted(work()) is None
    assert cleaned == ["all of it"]


async def test_work_that_is_not_interrupted_gives_its_result():
    assert await until_interrupted(asyncio.sleep(0, 1)) == 1


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
