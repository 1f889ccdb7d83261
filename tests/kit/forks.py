"""Controllers as processes that start in a moment, to be killed at any.

    with Forks(toolkit) as forks:
        forks.start("kustomize-controller")
        forks.kill("kustomize-controller")    # SIGKILL: nothing is tidied up

A process that has loaded their code, and does nothing else, is forked for each start: loading it takes seconds.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import tempfile
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import TracebackType

from tests.kit.toolkit import CONTROLLERS, Toolkit

_MODULES = {name: f"{name.replace('-', '_')}.__main__" for name in CONTROLLERS}


class Forks:
    """Controllers of a toolkit's server, under the names and rights that they have inside the test."""

    def __init__(self, toolkit: Toolkit) -> None:
        self._toolkit = toolkit
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(_MODULES.values()))
        self._running: dict[str, ForkServerProcess] = {}
        self.temporary = toolkit.folder / "temporary"
        """Where they have their temporary files."""
        self.temporary.mkdir(exist_ok=True)

    def start(self, name: str) -> None:
        """Start a controller; it isn't waited for."""
        folder = self._toolkit.folder
        arguments = (name, folder / name, self._toolkit.flags(name), folder / f"{name}.log", self.temporary)
        process = self._running[name] = self._context.Process(target=_run, args=arguments, name=name)
        process.start()

    def kill(self, name: str) -> None:
        """End it at once, whatever it is at. AssertionError when it has ended by itself."""
        process = self._running.pop(name)
        assert process.is_alive(), f"{name} ended by itself: see {self._toolkit.folder / f'{name}.log'}"
        process.kill()
        process.join()

    def __enter__(self) -> Forks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running.values():
            process.kill()
            process.join()


def _run(name: str, kubeconfig: Path, flags: list[str], log: Path, temporary: Path) -> None:
    """In the new process."""
    os.environ["KUBECONFIG"] = str(kubeconfig)
    tempfile.tempdir = str(temporary)
    with log.open("a") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
    sys.exit(importlib.import_module(_MODULES[name]).main(flags))
