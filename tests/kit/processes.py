"""Programs that a test run starts, and that never outlive it.

Each program gets its own process group and log file. It is killed with its whole group when it is stopped, when this
process exits in whatever way (atexit; the kernel's parent-death signal when this process is killed), and whoever waits
for it learns at once that it ended early, with the end of its log.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if os.uname().sysname == "Linux" else None


class ProcessFailed(Exception):
    """A program ended too early or wasn't ready in time; the message has the end of its log and where the rest is."""


def _die_with_parent() -> None:
    """Runs in the child before exec: the kernel kills it when the thread that started it ends."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Processes:
    """A set of running programs. Start them from a thread that lives as long as they should (such as the main one)."""

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        log_dir.mkdir(parents=True, exist_ok=True)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str | Path], env: Mapping[str, str] | None = None) -> None:
        """Start a program under a name; its output is appended to log_dir/name.log. Returns before it is ready."""
        if name in self._running and self._running[name].poll() is None:
            raise ProcessFailed(f"{name} runs already (process {self._running[name].pid}): stop it first")
        if not self._running:
            atexit.register(self.stop)
        with self.log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=None if env is None else dict(env),
                process_group=0,
                preexec_fn=_die_with_parent,
            )

    def log(self, name: str) -> Path:
        """Where the output of this program goes."""
        return self.log_dir / f"{name}.log"

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of what runs, by name."""
        return {name: process.pid for name, process in self._running.items() if process.poll() is None}

    def require_running(self) -> None:
        """ProcessFailed when any of the programs has ended by itself."""
        for name, process in self._running.items():
            if (status := process.poll()) is not None:
                raise ProcessFailed(
                    f"{name} ended with status {status}; {self.log(name)} ends with:\n{self.tail(name)}"
                )

    def tail(self, name: str, lines: int = 15) -> str:
        """The last lines of a program's log."""
        text = self.log(name).read_text(errors="replace") if self.log(name).exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _last_words(self, name: str) -> str:
        if not (told := self.tail(name)):
            return f"; {self.log(name)} is empty"
        return f"; {self.log(name)} ends with:\n{told}"

    def wait_until(self, ready: Callable[[], bool], name: str, timeout: float = 60, every: float = 0.05) -> None:
        """Wait (seconds) until `ready` is true; ProcessFailed, naming `name`, when it isn't or a program ends."""
        deadline = time.monotonic() + timeout
        while not ready():
            self.require_running()
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    f"{name} isn't ready after {timeout:.0f} s; {self.log(name)} ends:\n{self.tail(name)}"
                )
            time.sleep(every)

    def terminate(self, *names: str, timeout: float = 20) -> list[str]:
        """Ask these programs (default: all) to end (SIGTERM) and wait; returns those that had to be killed or ended
        with an error."""
        chosen = names or tuple(self._running)
        for name in chosen:
            _signal(self._running[name], signal.SIGTERM)
        deadline = time.monotonic() + timeout
        bad: list[str] = []
        for name in chosen:
            try:
                status = self._running[name].wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                bad.append(f"{name} did not end within {timeout:.0f} s of SIGTERM and was killed")
            else:
                if status not in (0, -signal.SIGTERM):
                    bad.append(f"{name} ended with status {status}")
        self.stop(*chosen)
        return bad

    def stop(self, *names: str) -> None:
        """Kill these programs (default: all) with what they started, and forget them. Safe to call again."""
        chosen = names or tuple(self._running)
        for name in chosen:
            if name in self._running:
                _signal(self._running[name], signal.SIGKILL)
        for name in chosen:
            if process := self._running.pop(name, None):
                process.wait()
        if not self._running:
            atexit.unregister(self.stop)

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the process group, which may have members left after its leader ended."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
