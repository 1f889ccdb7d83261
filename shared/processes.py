"""Processes: one run of a program at a time or several, bounded in time, output and memory, that end when told to.

    arguments + environment + stdin → process group → status, stdout, stderr

What always holds: no shell; the process group of a run is gone when `run` returns or raises; after `stop` none runs and
none starts. Everything here blocks, and may be called from any thread.
"""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 16
_STDERR = 64 * 1024
_LIMITS = (
    (resource.RLIMIT_CORE, 0),  # a core would hold keys
    (resource.RLIMIT_FSIZE, 64 << 20),
    (resource.RLIMIT_AS, 8 << 30),
)


class Stopped(Exception):
    """The program was ended, or not started, because the attempt ends."""


class TimedOut(Exception):
    """The program took too long."""


class TooLarge(Exception):
    """The program printed too much."""


class Missing(Exception):
    """The program can't be started; the message says why."""


@dataclass(frozen=True, repr=False)
class Result:
    """How a run ended, and what it printed; of stderr only the first 64 KiB."""

    status: int
    stdout: bytes
    stderr: str


class Processes:
    """The programs of one attempt."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[int] = set()
        self._stopped = False

    def run(
        self,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdin: bytes = b"",
        seconds: float,
        output: int,
    ) -> Result:
        """Run a program to its end. Missing, TimedOut, TooLarge (more than `output` bytes), Stopped."""
        with self._changed:
            if self._stopped:
                raise Stopped
        try:
            popen = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                umask=0o077,
            )
        except (OSError, ValueError) as error:
            raise Missing(getattr(error, "strerror", None) or "it can't be started") from error
        with self._changed:
            self._running.add(popen.pid)
            if self._stopped:
                _kill(popen.pid)
        try:
            for kind, limit in _LIMITS:
                with suppress(OSError, ValueError):
                    resource.prlimit(popen.pid, kind, (limit, limit))
            stdout, stderr = exchange(popen, stdin, time.monotonic() + seconds, output=output)
        finally:
            # Not reaped yet, so the number is still that of this group.
            _kill(popen.pid)
            with self._changed:
                self._running.discard(popen.pid)
                stopped = self._stopped
                self._changed.notify_all()
            status = popen.wait()
            for pipe in (popen.stdin, popen.stdout, popen.stderr):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
        if stopped:
            raise Stopped
        return Result(status, stdout, stderr.decode(errors="replace"))

    def stop(self) -> None:
        """End all that runs, at once, and start nothing more."""
        with self._changed:
            self._stopped = True
            for pid in self._running:
                _kill(pid)

    def wait_idle(self, seconds: float) -> bool:
        """Wait until nothing runs; False when something still does after that time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, seconds)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def exchange(
    popen: subprocess.Popen[bytes], stdin: bytes, deadline: float, *, output: int, errors: int = _STDERR
) -> tuple[bytes, bytes]:
    """Feed a program, unless its stdin is no pipe of ours, and read what it prints until it ended; it is not reaped.

    Stdout, at most `output` bytes or TooLarge; and the first `errors` bytes of stderr, by the block. TimedOut at
    `deadline`, in seconds of the monotonic clock.
    """
    assert popen.stdout is not None
    assert popen.stderr is not None
    stdout, stderr = bytearray(), bytearray()
    left = memoryview(stdin)
    with selectors.DefaultSelector() as waiting:
        waiting.register(popen.stdout, selectors.EVENT_READ, stdout)
        waiting.register(popen.stderr, selectors.EVENT_READ, stderr)
        if popen.stdin is not None:
            os.set_blocking(popen.stdin.fileno(), False)
            waiting.register(popen.stdin, selectors.EVENT_WRITE)
        while waiting.get_map():
            for key, _ in waiting.select(_left(deadline)):
                if popen.stdin is not None and key.fileobj is popen.stdin:
                    try:
                        left = left[os.write(key.fd, left[:_BLOCK]) :] if left else left
                    except BrokenPipeError:
                        left = left[:0]
                    except BlockingIOError:
                        continue
                    if not left:
                        waiting.unregister(popen.stdin)
                        popen.stdin.close()
                    continue
                block = os.read(key.fd, _BLOCK)
                if not block:
                    waiting.unregister(key.fileobj)
                elif key.data is stdout:
                    stdout += block
                    if len(stdout) > output:
                        raise TooLarge(f"more than {output} bytes")
                elif len(stderr) < errors:
                    stderr += block
    while os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        _left(deadline)
        time.sleep(0.002)
    return bytes(stdout), bytes(stderr)


def _left(deadline: float) -> float:
    if (left := deadline - time.monotonic()) <= 0:
        raise TimedOut
    return left
