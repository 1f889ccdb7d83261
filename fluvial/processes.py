"""The programs that the command line starts: each with a log of its own, none left behind.

A program is killed with the process that started it, however that ends (on Linux; elsewhere when it ends in order).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import socket
import sys
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
PORTS = range(10_000, 32_000)
"""No connection is given one of these by the system, so that none takes a port before the program that it is for."""
PATIENCE = 5.0
"""Seconds that a program has to end after it was asked to."""


class Failed(Exception):
    """Something that the command needs could not be had; the message says what, and what to do."""


class Processes:
    """Running programs by name; `stop` ends them."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._commands: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {}
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._stopping = False
        self._ended: asyncio.Queue[str] = asyncio.Queue()

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
        self._commands[name] = command, env
        self._running[name] = process
        self._watchers[name] = asyncio.create_task(self._watch(name, process))

    async def restart(self, name: str) -> None:
        """Start a program again that has ended."""
        await self.start(name, *self._commands[name])

    async def ended(self) -> str:
        """Wait until a program ends by itself; its name."""
        return await self._ended.get()

    async def during(self, work: Awaitable[T]) -> T:
        """Do the work; Failed as soon as a program ends by itself."""
        task, ended = asyncio.ensure_future(work), asyncio.ensure_future(self._ended.get())
        try:
            await asyncio.wait((task, ended), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise self.failure(ended.result())
            return task.result()
        finally:
            task.cancel()
            ended.cancel()
            await asyncio.gather(task, ended, return_exceptions=True)

    def failure(self, name: str) -> Failed:
        """What to say of a program that ended by itself."""
        status = self._running[name].returncode
        return Failed(f"{name} ended by itself with status {status}; its log ends with:\n{self.tail(name)}")

    @property
    def names(self) -> list[str]:
        """The programs that were started, in that order."""
        return list(self._commands)

    def log(self, name: str) -> Path:
        """Where a program's output is."""
        return self._logs / f"{name}.log"

    def tail(self, name: str, lines: int = 12) -> str:
        """The end of a program's log."""
        path = self.log(name)
        text = path.read_text(errors="replace") if path.exists() else ""
        return "\n".join(text.splitlines()[-lines:]) or "(its log is empty)"

    async def stop(self) -> None:
        """Ask all to end, those started last first, for they need the others; and kill what has not after PATIENCE."""
        self._stopping = True
        try:
            async with asyncio.timeout(PATIENCE):
                for process in reversed(self._running.values()):
                    _signal(process, signal.SIGTERM)
                    await process.wait()
        except TimeoutError:
            pass
        finally:
            for process in self._running.values():
                _signal(process, signal.SIGKILL)
        await asyncio.gather(*self._watchers.values(), return_exceptions=True)

    async def _watch(self, name: str, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        if not self._stopping:
            self._ended.put_nowait(name)


def free_ports(count: int) -> list[int]:
    """That many loopback ports that nothing listens on right now. Failed when there aren't so many."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in random.sample(PORTS, len(PORTS)):
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
            if len(found) == count:
                return found
    raise Failed(f"no {count} free ports on 127.0.0.1 between {PORTS[0]} and {PORTS[-1]}: end what uses them")


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """To the program and all that it started, which may outlive it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _die_with_parent() -> None:
    """Runs in the child before exec."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
