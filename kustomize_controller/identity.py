"""On whose behalf a Kustomization acts, and on which cluster.

A tenant is impersonated, never trusted: with a service account named (or a default one set), every request about the
tenant's objects is sent in its name, and the API server decides what it may do.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any

from kustomize_controller.cluster import Cluster
from shared.api.kustomize import Kustomization
from shared.apply import Ledger, Owner
from shared.kube import config
from shared.kube.client import Client
from shared.kube.errors import ConfigError, NotFound
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed


class IdentityGone(Exception):
    """The ServiceAccount or the kubeconfig with which a Kustomization acted isn't there any more."""


class _NoKubeconfig(Failed):
    """The Secret with the kubeconfig isn't there."""


class Clusters:
    """The clusters that Kustomizations apply to: the controller's own, and those that kubeconfig Secrets name.

    Kustomizations with the same kubeconfig share a connection and a ledger, which are closed with the last of them.
    """

    def __init__(self, ledger: Ledger, options: Any, on_drift: Callable[[Owner, bool], None]) -> None:
        """`ledger` is that of the controller's own cluster; `on_drift` is called for every cluster's objects, and told
        whether one was deleted. Then a wait for health is in vain; after an edit it may well come to its end first."""
        self._own, self._options, self._on_drift = ledger, options, on_drift
        self._remote: dict[str, Ledger] = {}
        self._used_by: dict[tuple[str, str], str] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._listen(ledger)

    async def find(self, ks: Kustomization, attempt: Attempt[Kustomization], *, must_exist: bool = False) -> Cluster:
        """The Kustomization's cluster, under the identity that it acts with. ReconciliationFailed when the kubeconfig
        can't be had; with `must_exist` that, and a ServiceAccount that isn't there, is IdentityGone."""
        try:
            ledger = await self._connect(ks, attempt)
        except _NoKubeconfig as error:
            if must_exist:
                raise IdentityGone(error.message) from error
            raise
        account = ks.spec.service_account_name
        if not account and ks.spec.kube_config is None:
            account = self._options.default_service_account
        if not account:
            return Cluster(ks, ledger.client, ledger, self._options)
        namespace = ks.metadata.namespace or ""
        if must_exist:
            try:
                await ledger.client.get("v1", "ServiceAccount", account, namespace)
            except NotFound as error:
                raise IdentityGone(str(error)) from error
        client = ledger.client.impersonate(f"system:serviceaccount:{namespace}:{account}")
        return Cluster(ks, client, ledger, self._options)

    def forget(self, ks: Kustomization) -> None:
        """Forget a Kustomization that is gone."""
        key = (ks.metadata.namespace or "", ks.metadata.name)
        digest = self._used_by.get(key)
        ledger = self._remote.get(digest, self._own) if digest else self._own
        ledger.forget(Owner(*key))
        self._release(key)

    async def close(self) -> None:
        """Close the connections to other clusters."""
        for digest in list(self._remote):
            self._close(digest)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _connect(self, ks: Kustomization, attempt: Attempt[Kustomization]) -> Ledger:
        key = (ks.metadata.namespace or "", ks.metadata.name)
        if ks.spec.kube_config is None:
            self._release(key)
            return self._own
        text, where = await _kubeconfig(ks, attempt)
        digest = hashlib.sha256(text).hexdigest()
        if self._used_by.get(key) != digest:
            self._release(key)
            self._used_by[key] = digest
        if digest not in self._remote:
            self._remote[digest] = self._open(text, where)
        return self._remote[digest]

    def _open(self, text: bytes, where: str) -> Ledger:
        options = self._options
        try:
            connection = config.from_kubeconfig_text(
                text,
                allow_plugins=options.insecure_kubeconfig_exec,
                allow_insecure=options.insecure_kubeconfig_tls,
                source=f"the kubeconfig Secret '{where}'",
            )
        except ConfigError as error:
            raise Failed("ReconciliationFailed", str(error)) from error
        name = self._own.field_manager
        client = Client(connection, qps=options.kube_api_qps, burst=options.kube_api_burst, user_agent=name)
        ledger = Ledger(client, field_manager=name, overrides=options.override_manager)
        self._listen(ledger)
        return ledger

    def _listen(self, ledger: Ledger) -> None:
        ledger.on_drift(lambda owner: self._on_drift(owner, "deleted" in ledger.drifted(owner).values()))

    def _release(self, key: tuple[str, str]) -> None:
        digest = self._used_by.pop(key, None)
        if digest is not None and digest not in self._used_by.values():
            self._close(digest)

    def _close(self, digest: str) -> None:
        ledger = self._remote.pop(digest, None)
        if ledger is not None:
            task = asyncio.create_task(_closed(ledger))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _kubeconfig(ks: Kustomization, attempt: Attempt[Kustomization]) -> tuple[bytes, str]:
    """The kubeconfig's text, and the namespace and name of its Secret."""
    reference = ks.spec.kube_config.secret_ref if ks.spec.kube_config else None
    assert reference is not None, "spec.kubeConfig.configMapRef is declared unbuilt"
    where = f"{ks.metadata.namespace}/{reference.name}"
    try:
        data = await attempt.secret(reference.name)
    except NotFound as error:
        raise _NoKubeconfig("ReconciliationFailed", f"can't read the kubeconfig Secret '{where}': {error}") from error
    keys = [reference.key] if reference.key else ["value", "value.yaml"]
    text = next((data[key] for key in keys if key in data), None)
    if text is None:
        wanted = " or ".join(f"'{key}'" for key in keys)
        raise Failed("ReconciliationFailed", f"the kubeconfig Secret '{where}' has no key {wanted}")
    return text, where


async def _closed(ledger: Ledger) -> None:
    await ledger.close()
    await ledger.client.close()
