"""The toolkit inside the test: an embedded API in this event loop, with faults on demand, and the controllers.

    async with Toolkit.running(folder, git) as toolkit:
        await toolkit.start()                     # both controllers; stop() and start() as often as needed
        toolkit.server.faults.fail(user=KUSTOMIZE, nth=3)

Each controller acts as a ServiceAccount of its own, so that faults and counts can tell who asks. A Witness sees every
write as it is stored, and knows at once of an object that lives although no status records it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import kubeapi
from kubeapi.store import Change
from kustomize_controller import __main__ as kustomize_controller
from shared.api import crd
from shared.api.kinds import KINDS
from shared.api.meta import Manifest
from shared.kube import config
from shared.kube.client import Client
from shared.loop import process
from source_controller import __main__ as source_controller
from tests.kit.cluster import Cluster
from tests.kit.gitserver import GitServer
from tests.kit.objects import account

NAMESPACE = "flux-system"
SOURCE = f"system:serviceaccount:{NAMESPACE}:source-controller"
KUSTOMIZE = f"system:serviceaccount:{NAMESPACE}:kustomize-controller"
CONTROLLERS = ("source-controller", "kustomize-controller")
_QUIET = ["--health-addr=0", "--metrics-addr=0", "--min-retry-delay=50ms", "--requeue-dependency=1s"]
_OWNER = "kustomize.toolkit.fluxcd.io"
_PLURAL = ("kustomize.toolkit.fluxcd.io", "kustomizations")


class Witness:
    """Sees every write; `problems` tells of each object that lived while its Kustomization did not record it."""

    def __init__(self, server: Any) -> None:
        self._store = server.cluster.store
        self._alive: dict[tuple[str, str], dict[str, bool]] = {}
        self.problems: list[str] = []
        self.deleted: set[str] = set()
        """The inventory ids of all that was ever deleted."""
        self._ends: list[Callable[[], None]] = []
        self.look_at(server)

    def look_at(self, server: Any) -> None:
        """See the writes of a server; of others than the first, to which Kustomizations of the first apply."""
        self._ends.append(server.cluster.store.listen(self._see))

    def stop(self) -> None:
        for end in self._ends:
            end()

    def alive(self, namespace: str, name: str) -> set[str]:
        """The inventory ids of what lives, and isn't being deleted, under this Kustomization's labels."""
        return {id for id, leaving in self._alive.get((namespace, name), {}).items() if not leaving}

    def _see(self, change: Change) -> None:
        if change.storage == _PLURAL:
            if change.type != "DELETED":
                self._compare(change.entry.namespace, change.entry.name, "its status")
            return
        labels = change.entry.labels
        owner = labels.get(f"{_OWNER}/namespace", ""), labels.get(f"{_OWNER}/name", "")
        group = change.entry.api_version.rpartition("/")[0]
        id = f"{change.entry.namespace}_{change.entry.name}_{group}_{change.entry.kind}"
        for other, objects in self._alive.items():
            if other != owner:
                objects.pop(id, None)
        if not all(owner):
            return
        objects = self._alive.setdefault(owner, {})
        if change.type == "DELETED":
            objects.pop(id, None)
            self.deleted.add(id)
        else:
            objects[id] = change.entry.deleting
            self._compare(*owner, f"a write of {id}")

    def _compare(self, namespace: str, name: str, when: str) -> None:
        found = self._store.get(_PLURAL, namespace, name)
        if found is None:
            return
        inventory = (found.manifest().get("status") or {}).get("inventory") or {}
        recorded = {entry["id"] for entry in inventory.get("entries") or ()}
        if unknown := self.alive(namespace, name) - recorded:
            self.problems.append(
                f"after {when} {sorted(unknown)} live and {namespace}/{name} records {sorted(recorded)}"
            )


class Toolkit:
    """A server and the controllers. `cluster` is a namespace of it to test in."""

    def __init__(self, server: Any, folder: Path, git: GitServer) -> None:
        self.server, self.folder, self.git = server, folder, git
        self.witness = Witness(server)
        self.cluster: Cluster
        self._running: dict[str, contextlib.AsyncExitStack] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, folder: Path, git: GitServer, **settings: Any) -> AsyncIterator[Toolkit]:
        """A server with the CRDs and a namespace to test in; everything that runs ends with the block."""
        server = await kubeapi.start(tls=False, invariants=True, **{"workload_delay": 0.02, **settings})
        made = cls(server, folder, git)
        try:
            server.kubeconfig(folder / "admin")
            client = Client(config.load(folder / "admin"), qps=-1)
            try:
                await made._install(client)
                made.cluster = await Cluster.make(client, git)
                yield made
            finally:
                await made.stop()
                await client.close()
        finally:
            made.witness.stop()
            await server.stop()

    async def _install(self, client: Client) -> None:
        manifests: list[Manifest] = [crd.definition(kind) for kind in KINDS]
        manifests.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        for name in CONTROLLERS:
            there = account(name)
            there["metadata"]["namespace"] = NAMESPACE
            manifests += [there, _administrator(name)]
        for manifest in manifests:
            await client.apply(manifest, field_manager="tests")
        for name in CONTROLLERS:
            self.server.kubeconfig(self.folder / name, user=f"{NAMESPACE}:{name}")

    # -- the controllers

    async def start(self, *names: str, flags: Iterable[str] = ()) -> None:
        """Start these controllers (default: both) and wait until they work."""
        for name in names or CONTROLLERS:
            given = [*self.flags(name), *flags]
            if name == "source-controller":
                options, build = source_controller.options(given), source_controller.build
            else:
                options, build = kustomize_controller.options(given), kustomize_controller.build
            stack = contextlib.AsyncExitStack()
            connection = config.load(self.folder / name)
            await stack.enter_async_context(process.running(name, connection, options, build))
            self._running[name] = stack

    def flags(self, name: str) -> list[str]:
        """The command line of a controller."""
        if name != "source-controller":
            return list(_QUIET)
        return [*_QUIET, f"--storage-path={self.folder / 'storage'}", "--storage-addr=127.0.0.1:0"]

    async def stop(self, *names: str) -> None:
        """Stop these controllers (default: all that run) as a signal would, whatever they are at."""
        for name in names or tuple(self._running):
            if name in self._running:
                await self._running.pop(name).aclose()

    # -- counting

    def forget_calls(self) -> None:
        """Count from now on."""
        self.server.requests.clear()

    def calls(self, user: str, *, uncounted: Iterable[str] = ("watch",)) -> Counter[str]:
        """What a controller asked since then: `verb resource[/subresource]`. Watches are no calls of an attempt."""
        return Counter(
            f"{asked.verb} {asked.resource}{'/' if asked.subresource else ''}{asked.subresource}"
            for asked in self.server.requests
            if asked.user == user and asked.resource and asked.verb not in uncounted
        )

    async def asked(self, user: str, call: str) -> None:
        """Wait until a controller has asked something, such as `list gitrepositories`."""
        async with asyncio.timeout(30):
            while not self.calls(user)[call]:
                await asyncio.sleep(0.02)

    async def quiet(self, user: str, seconds: float = 0.5) -> None:
        """Wait until a controller has asked nothing for a while."""
        loop = asyncio.get_running_loop()
        count, since = -1, loop.time()
        async with asyncio.timeout(30):
            while loop.time() - since < seconds:
                await asyncio.sleep(0.05)
                now = sum(self.calls(user).values())
                if now != count:
                    count, since = now, loop.time()


def _administrator(name: str) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
    }
