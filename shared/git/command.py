"""Commands: one run of the git binary, bounded in time and output, deaf to the machine's configuration.

    arguments + environment → process group → stdout, or a GitError

What always holds: no shell, no prompt, no configuration file of the system or user, no hooks, no helper, no protocol
but http, https and ssh; the whole process group is gone when `run` returns or raises, also when it is cancelled.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any, ParamSpec, TypeVar

from git.cmd import Git

from shared import processes
from shared.git.errors import GitError, TimedOut, TooLarge, translated

P = ParamSpec("P")
R = TypeVar("R")

MEBIBYTE = 1 << 20
OUTPUT = 64 * MEBIBYTE
_STDERR = 256 * 1024
_FILE = 8192 * MEBIBYTE
_THREADS = ThreadPoolExecutor(64, thread_name_prefix="git")
"""Threads that only wait for a process; the callers bound how many work at once."""

_CONFIGURATION = {
    "advice.detachedHead": "false",
    "core.attributesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.excludesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.untrackedCache": "false",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",
    "gc.auto": "0",
    "http.followRedirects": "initial",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "init.defaultBranch": "main",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "protocol.ssh.allow": "always",
    "protocol.version": "2",
    "safe.directory": "*",
    "submodule.recurse": "false",
}
_KEPT = ("GIT_EXEC_PATH", "GIT_TEMPLATE_DIR")


@dataclass(frozen=True)
class Result:
    """What a command printed, and how it ended."""

    status: int
    stdout: bytes
    stderr: str


class _Process:
    """The process of one run, so that whoever cancels can end it."""

    def __init__(self) -> None:
        self._popen: Popen[bytes] | None = None
        self.killed = False

    def started(self, popen: Popen[bytes]) -> None:
        self._popen = popen
        if self.killed:
            self.kill()

    def kill(self) -> None:
        self.killed = True
        if self._popen is not None and self._popen.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)


def environment(extra: Mapping[str, str], config: Mapping[str, str], home: Path) -> dict[str, str]:
    """Git's environment: `config` on top of what is safe, in variables so that no argument shows it."""
    merged = {**_CONFIGURATION, **config}
    pairs: dict[str, str] = {"GIT_CONFIG_COUNT": str(len(merged))}
    for number, (key, value) in enumerate(merged.items()):
        pairs[f"GIT_CONFIG_KEY_{number}"] = key
        pairs[f"GIT_CONFIG_VALUE_{number}"] = value
    return {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "http:https:ssh",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "HOME": os.fspath(home),
        "XDG_CONFIG_HOME": os.fspath(home),
        "LC_ALL": "C",
        "LANGUAGE": "C",
        **pairs,
        **extra,
    }


async def in_thread(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Runs blocking work in one of this package's threads."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, lambda: work(*args, **kwargs))


async def run(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    seconds: float,
    stdin: bytes = b"",
    output: int = OUTPUT,
    secrets: tuple[str, ...] = (),
    check: bool = True,
) -> Result:
    """Runs `git <arguments>` and returns what it printed.

    A status other than 0 is a GitError in the words of `errors.translated`, unless `check` is off. TimedOut after
    `seconds`; TooLarge when more than `output` bytes are printed.
    """
    process = _Process()
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(_THREADS, _execute, process, arguments, cwd, env, seconds, stdin, output)
    try:
        result = await asyncio.shield(work)
    except asyncio.CancelledError:
        process.kill()
        with suppress(Exception):
            await work
        raise
    if check and result.status != 0:
        raise translated(result.stderr, secrets=secrets)
    return result


def _execute(
    process: _Process,
    arguments: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    stdin: bytes,
    output: int,
) -> Result:
    # GitPython starts from this process's environment: what could steer git is taken out by name.
    foreign = [
        name for name in os.environ if name.startswith(("GIT_", "SSH_")) and name not in env and name not in _KEPT
    ]
    prefix = [shutil.which("env") or "env", *(word for name in foreign for word in ("-u", name))] if foreign else []
    istream: Any = None
    if stdin:
        reader, writer = os.pipe()
        istream = reader
    try:
        started: Any = Git(cwd).execute(
            [*prefix, Git.GIT_PYTHON_GIT_EXECUTABLE or "git", *arguments],
            istream=istream,
            as_process=True,
            env=dict(env),
            start_new_session=True,
        )
    except OSError as error:
        raise GitError(f"can't run git: {error.strerror}") from error
    finally:
        if stdin:
            os.close(reader)
    popen: Popen[bytes] = started.proc
    process.started(popen)
    with suppress(OSError, ValueError):
        resource.prlimit(popen.pid, resource.RLIMIT_FSIZE, (_FILE, _FILE))
    try:
        if stdin:
            with suppress(BrokenPipeError), os.fdopen(writer, "wb") as feed:
                feed.write(stdin)
        return _collected(popen, time.monotonic() + timeout, timeout, output)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(popen.pid, signal.SIGKILL)
        for pipe in (popen.stdout, popen.stderr):
            if pipe is not None:
                pipe.close()
        popen.wait()
        started.proc = None  # GitPython would wait for it once more


def _collected(popen: Popen[bytes], deadline: float, timeout: float, output: int) -> Result:
    """What git prints until it ends, in this package's errors."""
    try:
        stdout, stderr = processes.exchange(popen, b"", deadline, output=output, errors=_STDERR)
    except processes.TimedOut as error:
        raise TimedOut(f"timed out after {timeout:g} seconds") from error
    except processes.TooLarge as error:
        raise TooLarge(f"git printed more than {output} bytes: the repository is too large") from error
    return Result(popen.wait(), stdout, stderr.decode(errors="replace"))
