"""A running toolkit on this machine: a cluster, the definitions of our kinds, the controllers.

kubeconfig or embedded API → CRDs → notification-controller, source-controller, kustomize-controller → ready
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import aiohttp

from fluvial.processes import Failed, Processes, free_ports
from fluvial.watching import watched
from shared.api import crd
from shared.api.meta import Manifest
from shared.kube import config
from shared.kube.client import Client
from shared.kube.errors import ApiError, ConfigError
from shared.text import yaml

NAMESPACE = "flux-system"
"""Where the controllers look for what is theirs, and where `up` and `demo` put their objects."""
FIELD_MANAGER = "fluvial"
API = "kubeapi"
CONTROLLERS = ("notification-controller", "source-controller", "kustomize-controller")
"""In the order of their start: who takes the others' events is there before they have any."""
START_TIMEOUT = 60.0
RESTARTS = 3
"""How often a controller that crashed is started again before the command gives up."""
Say = Callable[[str], Any]


@dataclass
class Installation:
    """What runs, and how to reach it."""

    client: Client
    kubeconfig: Path | None
    """None when the cluster is the one that the caller's environment names."""
    processes: Processes
    directory: Path
    webhooks: str
    """Where Receivers hear webhooks: http://127.0.0.1:PORT."""

    async def attend(self, say: Say) -> NoReturn:
        """Start controllers again that end by themselves, and say so. Failed when that doesn't help."""
        for _ in range(RESTARTS):
            name = await self.processes.ended()
            failure = self.processes.failure(name)
            if name == API:
                raise failure
            say(f"{failure}\n{name} is started again")
            await self.processes.restart(name)
        raise self.processes.failure(await self.processes.ended())


@contextlib.asynccontextmanager
async def installed(
    say: Say, *, kubeconfig: Path | None = None, embedded: bool = True, data: Path | None = None, port: int = 0
) -> AsyncIterator[Installation]:
    """Start everything, and end it when the block ends: processes are gone then, and so are the temporary files.

    `say` is told of each step. With `embedded` the cluster is an embedded API on `port` (any free one by default) that
    keeps its objects in `data`, or in memory; otherwise it is that of `kubeconfig`, or of the environment when None.
    Raises Failed.
    """
    if shutil.which("git") is None:
        raise Failed("git is not on the PATH: install it")
    with tempfile.TemporaryDirectory(prefix="fluvial-") as temporary:
        directory = Path(temporary)
        (directory / "tmp").mkdir()
        processes = Processes(directory / "logs")
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(processes.stop)
            if embedded:
                say("starting the embedded Kubernetes API")
                kubeconfig = await _start_api(processes, directory, data, port)
            client = _client(kubeconfig)
            stack.push_async_callback(client.close)
            if not embedded:
                await _require_no_other(client)
            say("applying the CustomResourceDefinitions")
            try:
                await _apply_definitions(client)
                await client.apply(_namespace(), field_manager=FIELD_MANAGER)
            except ApiError as error:
                raise Failed(f"can't set up the cluster at {client.server}: {error}") from error
            except TimeoutError as error:
                raise Failed(f"the cluster at {client.server} does not serve the new kinds: {error}") from error
            say(f"starting {', '.join(CONTROLLERS[:-1])} and {CONTROLLERS[-1]}")
            webhooks = await _start_controllers(processes, directory, kubeconfig)
            yield Installation(client, kubeconfig, processes, directory, webhooks)


async def _start_api(processes: Processes, directory: Path, data: Path | None, port: int) -> Path:
    kubeconfig = directory / "kubeconfig"
    command = [sys.executable, "-m", "fluvial", "kubeapi", f"--port={port}", f"--kubeconfig-out={kubeconfig}"]
    if data is not None:
        command.append(f"--data={data}")
    await processes.start(API, command, _environment(directory, None))

    async def written() -> None:
        while not kubeconfig.exists():  # noqa: ASYNC110 (nothing tells of a file)
            await asyncio.sleep(0.02)

    await _in_time(processes, "the embedded API", written())
    return kubeconfig


def _client(kubeconfig: Path | None) -> Client:
    try:
        return Client(config.load(str(kubeconfig) if kubeconfig else None), user_agent="fluvial", qps=-1)
    except ConfigError as error:
        raise Failed(f"no cluster to work on: {error}") from error


async def _require_no_other(client: Client) -> None:
    """Failed when the cluster runs controllers of its own, with which ours would fight over the same objects."""
    try:
        there = await client.list("apps/v1", "Deployment", NAMESPACE)
    except ApiError as error:
        raise Failed(f"can't look at the cluster of {client.server}: {error}") from error
    for manifest in there:
        name, replicas = manifest["metadata"]["name"], manifest["spec"].get("replicas", 1)
        if name in CONTROLLERS and replicas:
            raise Failed(
                f"the cluster at {client.server} runs {NAMESPACE}/{name} already: create a GitRepository and a "
                f"Kustomization for it to work on, or end it first (kubectl scale deployment {name} --replicas=0 "
                f"-n {NAMESPACE})"
            )


def _namespace() -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


async def _apply_definitions(client: Client) -> None:
    """Apply the definitions of our kinds and wait until they are served."""
    manifests = [yaml.load(text) for text in crd.files().values()]
    await asyncio.gather(*(client.apply(manifest, field_manager=FIELD_MANAGER) for manifest in manifests))
    async with watched(client, manifests[0]["apiVersion"], manifests[0]["kind"]) as definitions:
        for manifest in manifests:
            await definitions.until("", manifest["metadata"]["name"], _is_established, START_TIMEOUT)
    client.discovery.invalidate()


def _is_established(manifest: Manifest | None) -> bool:
    conditions = ((manifest or {}).get("status") or {}).get("conditions") or []
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


async def _start_controllers(processes: Processes, directory: Path, kubeconfig: Path | None) -> str:
    """Start them and wait until each says that it is ready; where Receivers hear webhooks."""
    artifacts, notifications = directory / "artifacts", directory / "notifications"
    artifacts.mkdir()
    files, events, webhooks, *rest = (f"127.0.0.1:{port}" for port in free_ports(3 + 2 * len(CONTROLLERS)))
    told = f"--events-addr=http://{events}/"
    flags = {
        "notification-controller": [
            f"--events-addr={events}",
            f"--receiverAddr={webhooks}",
            f"--storage-path={notifications}",
        ],
        "source-controller": [
            told,
            f"--storage-path={artifacts}",
            f"--storage-addr={files}",
            f"--storage-adv-addr={files}",
        ],
        "kustomize-controller": [told],
    }
    health = {}
    for index, name in enumerate(CONTROLLERS):
        health[name], metrics = rest[2 * index : 2 * index + 2]
        command = [sys.executable, "-m", name.replace("-", "_"), f"--health-addr={health[name]}"]
        command += [f"--metrics-addr={metrics}", "--log-encoding=console", *flags[name]]
        await processes.start(name, command, _environment(directory, kubeconfig))

    async def all_ready() -> None:
        async with aiohttp.ClientSession() as session:
            for address in health.values():
                while not await _says_ready(session, address):  # noqa: ASYNC110 (a probe has to be asked)
                    await asyncio.sleep(0.05)

    await _in_time(processes, "a controller", all_ready())
    return f"http://{webhooks}"


async def _says_ready(session: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with session.get(f"http://{address}/readyz") as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _in_time(processes: Processes, what: str, started: Coroutine[Any, Any, None]) -> None:
    """Wait until a program has started. Failed when it doesn't in time, or a program ends."""
    try:
        async with asyncio.timeout(START_TIMEOUT):
            await processes.during(started)
    except TimeoutError as error:
        logs = "\n".join(f"{name} said last:\n{processes.tail(name)}" for name in processes.names)
        raise Failed(f"{what} did not start within {START_TIMEOUT:.0f} s\n{logs}") from error


def _environment(directory: Path, kubeconfig: Path | None) -> dict[str, str]:
    """What programs get. Their temporary files are below ours, so that they go with it even when one is killed."""
    root = str(Path(__file__).resolve().parents[1])
    env = {**os.environ, "RUNTIME_NAMESPACE": NAMESPACE, "PYTHONUNBUFFERED": "1"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    env["TMPDIR"] = str(directory / "tmp")
    if kubeconfig is not None:
        env["KUBECONFIG"] = str(kubeconfig)
    return env
