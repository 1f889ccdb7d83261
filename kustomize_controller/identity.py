"""On whose behalf a Kustomization acts, and on which cluster.

A tenant is impersonated, never trusted: with a service account named (or a default one set), every request about the
tenant's objects is sent in its name, and the API server decides what it may do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from kustomize_controller import kubeconfigs
from kustomize_controller.cluster import Cluster, owner_of
from kustomize_controller.kubeconfigs import NoKubeconfig, Way
from shared.answers import Answers
from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.apply import Ledger, Owner
from shared.auth import Clouds
from shared.kube.client import Client
from shared.kube.errors import NotFound
from shared.loop.attempt import Attempt


class IdentityGone(Exception):
    """The ServiceAccount or the kubeconfig with which a Kustomization acted isn't there any more."""


class Clusters:
    """The clusters that Kustomizations apply to: the controller's own, and those that spec.kubeConfig names.

    Kustomizations that go the same way share a connection and a ledger, which are closed with the last of them.
    """

    def __init__(self, ledger: Ledger, options: Any, clouds: Clouds, on_drift: Callable[[Owner, bool], None]) -> None:
        """`ledger` is that of the controller's own cluster; `on_drift` is called for every cluster's objects, and told
        whether one was deleted. Then a wait for health is in vain; after an edit it may well come to its end first."""
        self._own, self._options, self._clouds, self._on_drift = ledger, options, clouds, on_drift
        self._remote: dict[str, Ledger] = {}
        self._used_by: dict[Owner, str] = {}
        self._accounts: Answers[Manifest] = Answers(1024)
        """ServiceAccounts that were there when Kustomizations were deleted, often all of a tenant's at once."""
        self._closing: set[asyncio.Task[None]] = set()
        self._listen(ledger)

    async def find(self, ks: Kustomization, attempt: Attempt[Kustomization], *, must_exist: bool = False) -> Cluster:
        """The Kustomization's cluster, under the identity that it acts with. ReconciliationFailed when the kubeconfig
        can't be had; with `must_exist` that, and a ServiceAccount that isn't there, is IdentityGone."""
        try:
            ledger = await self._connect(ks, attempt)
        except NoKubeconfig as error:
            if must_exist:
                raise IdentityGone(error.message) from error
            raise
        account = ks.spec.service_account_name or self._options.default_service_account
        if not account:
            return Cluster(ks, ledger.client, ledger, self._options)
        namespace = ks.metadata.namespace or ""
        if must_exist:
            try:
                read = partial(ledger.client.get, "v1", "ServiceAccount", account, namespace)
                where = self._used_by.get(owner_of(ks), "")
                await self._accounts.find((where, namespace, account), attempt.since, read)
            except NotFound as error:
                raise IdentityGone(str(error)) from error
        client = ledger.client.impersonate(f"system:serviceaccount:{namespace}:{account}")
        return Cluster(ks, client, ledger, self._options)

    def forget(self, ks: Kustomization) -> None:
        """Forget a Kustomization that is gone."""
        owner = owner_of(ks)
        digest = self._used_by.get(owner)
        ledger = self._remote.get(digest, self._own) if digest else self._own
        ledger.forget(owner)
        self._release(owner)

    async def close(self) -> None:
        """Close the connections to other clusters."""
        for digest in list(self._remote):
            self._close(digest)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _connect(self, ks: Kustomization, attempt: Attempt[Kustomization]) -> Ledger:
        owner = owner_of(ks)
        if ks.spec.kube_config is None:
            self._release(owner)
            return self._own
        known = {digest: ledger.client.transport.connection for digest, ledger in self._remote.items()}
        way = await kubeconfigs.find(ks, attempt, self._clouds, known)
        if self._used_by.get(owner) != way.digest:
            self._release(owner)
            self._used_by[owner] = way.digest
        if way.digest not in self._remote:
            self._remote[way.digest] = self._open(way)
        return self._remote[way.digest]

    def _open(self, way: Way) -> Ledger:
        options, name = self._options, self._own.field_manager
        client = Client(way.connection, qps=options.kube_api_qps, burst=options.kube_api_burst, user_agent=name)
        ledger = Ledger(client, field_manager=name, overrides=options.override_manager)
        self._listen(ledger)
        return ledger

    def _listen(self, ledger: Ledger) -> None:
        ledger.on_drift(lambda owner: self._on_drift(owner, "deleted" in ledger.drifted(owner).values()))

    def _release(self, owner: Owner) -> None:
        digest = self._used_by.pop(owner, None)
        if digest is not None and digest not in self._used_by.values():
            self._close(digest)

    def _close(self, digest: str) -> None:
        ledger = self._remote.pop(digest, None)
        if ledger is not None:
            task = asyncio.create_task(_closed(ledger))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _closed(ledger: Ledger) -> None:
    await ledger.close()
    await ledger.client.close()
