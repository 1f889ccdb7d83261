"""The programs that the command line starts: each with a log of its own, none left behind.

A program is killed with the process that started it, however that ends (on Linux; elsewhere when it ends in order).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
PATIENCE = 10.0
"""Seconds that a program has to end after it was asked to."""


class Failed(Exception):
    """Something that the command needs could not be had; the message says what, and what to do."""


class Processes:
    """Running programs by name; `stop` ends them."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        """Names of programs that ended by themselves."""

    async def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        """Start a program; what it prints goes to its log."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(env),
                process_group=0,
                preexec_fn=_die_with_parent,
            )
        self._running[name] = process
        self._watchers[name] = asyncio.create_task(self._watch(name, process))

    def log(self, name: str) -> Path:
        """Where a program's output is."""
        return self._logs / f"{name}.log"

    def tail(self, name: str, lines: int = 12) -> str:
        """The end of a program's log."""
        path = self.log(name)
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-lines:]) or "(its log is empty)"

    def require_running(self) -> None:
        """Failed when a program has ended by itself."""
        for name, process in self._running.items():
            if process.returncode is not None and not self._stopping:
                raise Failed(f"{name} ended with status {process.returncode}; its log ends with:\n{self.tail(name)}")

    async def stop(self) -> None:
        """Ask all to end, and kill those that don't."""
        self._stopping = True
        for process in self._running.values():
            _signal(process, signal.SIGTERM)
        waits = [asyncio.create_task(process.wait()) for process in self._running.values()]
        if waits:
            await asyncio.wait(waits, timeout=PATIENCE)
        for process in self._running.values():
            _signal(process, signal.SIGKILL)
        await asyncio.gather(*waits, *self._watchers.values(), return_exceptions=True)

    async def _watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        if not self._stopping:
            self.ended.put_nowait(name)


def free_ports(count: int) -> list[int]:
    """That many loopback ports that nothing listens on right now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [held.getsockname()[1] for held in sockets]


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the program and all that it started, which may outlive it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _die_with_parent() -> None:
    """Runs in the child before exec."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
