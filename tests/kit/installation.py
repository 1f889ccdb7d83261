"""The toolkit running as its users run it: an API server, the CRDs, and each controller as a process of its own.

The API server is a fresh embedded one, a fresh real one, or any cluster of a kubeconfig. Controllers are those that
pyproject.toml names as commands and whose package is there. All listen on free loopback ports.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import requests

from fluvial.processes import free_ports
from tests.kit.api import Api
from tests.kit.controlplane import ControlPlane
from tests.kit.processes import Processes, ProcessFailed
from tests.upstream.controlplane import build

ROOT = Path(__file__).resolve().parents[2]
RUNTIME_NAMESPACE = "flux-system"


@dataclass(frozen=True)
class Command:
    """A controller's command, as pyproject.toml has it: `name = "package.module:function"`."""

    name: str
    module: str
    function: str

    @property
    def line(self) -> list[str]:
        """What starts it, in this interpreter, whether or not the command itself is installed."""
        code = f"import sys; from {self.module} import {self.function}; sys.exit({self.function}())"
        return [sys.executable, "-c", code]


def commands() -> list[Command]:
    """The controllers that this tree has."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    found = []
    for name, target in scripts.items():
        module, _, function = target.partition(":")
        if name.endswith("-controller") and (ROOT / module.replace(".", "/")).with_suffix(".py").is_file():
            found.append(Command(name, module, function))
    return found


@dataclass
class Addresses:
    """Where the controllers listen, as host:port."""

    health: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    artifacts: str = ""
    events: str = ""
    """Where the notification controller takes events; empty when it doesn't run."""
    receiver: str = ""


class Installation:
    """A running toolkit. Make one with start(); stop() or `with` ends it."""

    def __init__(self, api: str, directory: Path) -> None:
        self.kind = api if api in ("embedded", "real") else "given"
        self.directory = directory.resolve()
        self.kubeconfig = self.directory / "kubeconfig" if self.kind != "given" else Path(api).resolve()
        self.logs = self.directory / "logs"
        self.addresses = Addresses()
        self.controllers = Processes(self.logs)
        self._server = Processes(self.logs)
        self._plane: ControlPlane | None = None
        self._lines: dict[str, list[str]] = {}
        self._environment: dict[str, str] = {}
        self._temporary = ""

    @classmethod
    def start(
        cls,
        api: str,
        directory: Path,
        *,
        flags: Mapping[str, Sequence[str]] | None = None,
        controllers: bool = True,
    ) -> Installation:
        """Start it and wait until every controller is ready.

        `api` is "embedded", "real" or the path of a kubeconfig; `flags` adds flags to controllers by their name;
        without `controllers` only the API server is started and the CRDs are applied. Raises ProcessFailed or
        build.BuildFailed with what to do.
        """
        directory.mkdir(parents=True, exist_ok=True)
        made = cls(api, directory)
        try:
            made._start_api()
            made._install()
            if controllers:
                made.start_controllers(flags or {})
        except BaseException:
            made.stop()
            raise
        return made

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of all that was started, by name."""
        return {**self._server.pids, **(self._plane.pids if self._plane else {}), **self.controllers.pids}

    def start_controllers(self, flags: Mapping[str, Sequence[str]]) -> None:
        """Start every controller, notification first, and wait until each says it is ready."""
        names = {command.name: command for command in commands()}
        if not names:
            raise ProcessFailed(f"no controller is in {ROOT}: pyproject.toml names commands whose modules aren't there")
        order = sorted(names, key=lambda name: (name != "notification-controller", name))
        ports = [f"127.0.0.1:{port}" for port in free_ports(2 * len(order) + 3)]
        where = self.addresses
        where.artifacts, events, where.receiver = ports[:3]
        where.events = events if "notification-controller" in names else ""
        for index, name in enumerate(order):
            where.health[name], where.metrics[name] = ports[3 + 2 * index : 5 + 2 * index]
        self._temporary = tempfile.mkdtemp(prefix="toolkit-")  # not in `directory`: GnuPG's sockets need a short path
        env = build.environment()
        env |= {
            "TMPDIR": self._temporary,
            "KUBECONFIG": str(self.kubeconfig),
            "RUNTIME_NAMESPACE": RUNTIME_NAMESPACE,
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH", "")])),
        }
        self._lines = {name: [*names[name].line, *self._flags(name), *flags.get(name, ())] for name in order}
        self._environment = env
        self._run(*order)

    def restart_controllers(self, *names: str) -> None:
        """Kill these controllers (SIGKILL), start them again on the same addresses, and wait until they are ready."""
        self.controllers.stop(*names)
        self._run(*names)

    def add_replica(self, name: str, replica: str, *flags: str) -> None:
        """Start another process of a controller, with the flags of the first one and these, and wait until it is
        ready."""
        health, metrics = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.addresses.health[replica], self.addresses.metrics[replica] = health, metrics
        self._lines[replica] = [*self._lines[name], f"--health-addr={health}", f"--metrics-addr={metrics}", *flags]
        self._run(replica)

    def _run(self, *names: str) -> None:
        for name in names:
            self.controllers.start(name, self._lines[name], self._environment)
        for name in names:
            address = self.addresses.health[name]
            self.controllers.wait_until(lambda address=address: _says_ready(address), name)  # type: ignore[misc]

    def _flags(self, name: str) -> list[str]:
        where = self.addresses
        flags = [f"--health-addr={where.health[name]}", f"--metrics-addr={where.metrics[name]}"]
        if name == "source-controller":
            storage = self.directory / "artifacts"
            storage.mkdir(exist_ok=True)
            flags += [f"--storage-path={storage}", f"--storage-addr={where.artifacts}"]
            flags += [f"--storage-adv-addr={where.artifacts}"]
        if name == "image-reflector-controller":
            tags = self.directory / "tags"
            tags.mkdir(exist_ok=True)
            flags += [f"--storage-path={tags}"]
        if name == "notification-controller":
            flags += [f"--events-addr={where.events}", f"--receiverAddr={where.receiver}"]
            flags += [f"--storage-path={self.directory / 'notifications'}"]
        elif where.events:
            flags += [f"--events-addr=http://{where.events}/"]
        return flags

    def _start_api(self) -> None:
        if self.kind == "real":
            self._plane = ControlPlane.start(self.directory / "control-plane")
            self.kubeconfig = self._plane.kubeconfig
        elif self.kind == "embedded":
            self.kubeconfig.unlink(missing_ok=True)
            command = [sys.executable, "-m", "fluvial", "kubeapi", "--port=0", f"--kubeconfig-out={self.kubeconfig}"]
            command.append("--check-invariants")
            env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
            self._server.start("kubeapi", command, env)
            self._server.wait_until(lambda: self.kubeconfig.is_file() and bool(self.kubeconfig.read_text()), "kubeapi")
        elif not self.kubeconfig.is_file():
            raise ProcessFailed(f"{self.kubeconfig} is not there: give a kubeconfig, `embedded` or `real` as API")

    def _install(self) -> None:
        self.api = Api.of(self.kubeconfig)
        self._server.wait_until(lambda: self.api.ok("/readyz"), f"the API server at {self.api.url}")
        self.api.ensure_namespace(RUNTIME_NAMESPACE)
        names = self.api.apply_crds(ROOT / "deploy" / "crds")
        if not names:
            raise ProcessFailed(f"{ROOT / 'deploy' / 'crds'} has no CustomResourceDefinition: run `make crds`")
        for name in names:
            self._server.wait_until(lambda name=name: self.api.crd_is_established(name), f"CRD {name}")  # type: ignore[misc]

    def require_running(self) -> None:
        """ProcessFailed when anything that was started has ended by itself."""
        for group in (self._server, self.controllers, *([self._plane.processes] if self._plane else [])):
            group.require_running()

    def tracebacks(self) -> dict[str, int]:
        """How many tracebacks each controller logged, of those that logged any."""
        counts = {}
        for name in self.addresses.health:
            log = self.controllers.log(name)
            if log.exists() and (count := log.read_text(errors="replace").count("Traceback (most recent call last)")):
                counts[name] = count
        return counts

    def stop(self) -> list[str]:
        """Stop the controllers as Kubernetes would (SIGTERM), then kill the rest; what didn't end well, in words."""
        bad = self.controllers.terminate()
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._server.stop()
        if self._plane:
            self._plane.stop()
        return bad

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _says_ready(address: str) -> bool:
    try:
        return requests.get(f"http://{address}/readyz", timeout=5, proxies={"http": ""}).ok
    except requests.RequestException:
        return False
