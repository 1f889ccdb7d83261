"""The command line as people run it: a process with a terminal's signals, whose output is read line by line.

    with Command(tmp_path, "demo", "--once") as demo:
        demo.until("healed in")
        assert demo.end() == 0
    assert demo.left() == []

Its temporary files lie in the test's own folder, so that what it leaves behind can be told from anything else.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 90.0
"""Seconds for a step on a busy machine."""


class Command:
    """A running `fluvial`. Leaving the block kills what is left of it."""

    def __init__(self, folder: Path, *arguments: str, **env: str) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self._mark = b"FLUVIAL_TEST=" + str(folder).encode()
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.output = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fluvial", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "TMPDIR": str(self.temporary),
                "FLUVIAL_TEST": str(folder),
                "PYTHONUNBUFFERED": "1",
                "COLUMNS": "200",
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def until(self, text: str, seconds: float = PATIENCE) -> str:
        """Wait for a line with this text; that line."""
        deadline = time.monotonic() + seconds
        while (line := self._next(deadline, text)) is not None:
            if text in line:
                return line
        raise AssertionError(f"it ended without {text!r}:\n{self.output}")

    def end(self, number: signal.Signals | None = None, seconds: float = PATIENCE) -> int:
        """Wait until it ends, after a signal if one is given; its exit status."""
        if number is not None:
            self.process.send_signal(number)
        deadline = time.monotonic() + seconds
        while self._next(deadline, "its end") is not None:
            pass
        return self.process.wait(5)

    def kubeconfig(self) -> Path:
        """The kubeconfig that it told of, of the embedded API."""
        found = re.findall(r"export KUBECONFIG=(\S+)", self.output)
        assert found, self.output
        return Path(found[-1])

    def children(self) -> dict[int, str]:
        """All processes that it started, with their command lines."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.process.pid:
                continue
            try:
                if self._mark in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
        return found

    def child(self, module: str) -> int:
        """The process of a controller, or of the API."""
        (pid,) = [pid for pid, command in self.children().items() if f"-m {module} " in command]
        return pid

    def left(self) -> list[str]:
        """What there is of it after its end: processes and temporary files."""
        return [*self.children().values(), *(str(path) for path in self.temporary.iterdir())]

    def _next(self, deadline: float, what: str) -> str | None:
        try:
            line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"waited in vain for {what!r}:\n{self.output}") from None
        if line is not None:
            self.output += line
        return line

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def __enter__(self) -> Command:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
