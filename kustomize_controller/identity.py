"""On whose behalf a Kustomization acts, and on which cluster.

A tenant is impersonated, never trusted: with a service account named (or a default one set), every request about the
tenant's objects is sent in its name, and the API server decides what it may do.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict

from shared.api.kustomize import Kustomization
from shared.kube import config
from shared.kube.client import Client
from shared.kube.errors import ConfigError, NotFound
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed

REMOTE_LIMIT = 64
"""Clients to other clusters that are kept open."""


class Clusters:
    """The clusters that Kustomizations apply to: the controller's own and those that kubeconfig Secrets name."""

    def __init__(self) -> None:
        self._remote: OrderedDict[str, Client] = OrderedDict()

    async def find(self, ks: Kustomization, attempt: Attempt[Kustomization]) -> Client:
        """A client to the Kustomization's cluster, under the identity that it acts with. ReconciliationFailed."""
        client = attempt.kube
        if ks.spec.kube_config is not None:
            client = await self._connect(ks, attempt)
        account = ks.spec.service_account_name
        if not account and ks.spec.kube_config is None:
            account = attempt.options.default_service_account
        if not account:
            return client
        namespace = ks.metadata.namespace
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return client.impersonate(f"system:serviceaccount:{namespace}:{account}", groups)

    async def close(self) -> None:
        """Close the clients to other clusters."""
        await asyncio.gather(*(client.close() for client in self._remote.values()))

    async def _connect(self, ks: Kustomization, attempt: Attempt[Kustomization]) -> Client:
        reference = ks.spec.kube_config.secret_ref if ks.spec.kube_config else None
        assert reference is not None, "spec.kubeConfig.configMapRef is declared unbuilt"
        where = f"{ks.metadata.namespace}/{reference.name}"
        try:
            data = await attempt.secret(reference.name)
        except NotFound as error:
            raise Failed("ReconciliationFailed", f"can't read the kubeconfig Secret '{where}': {error}") from error
        keys = [reference.key] if reference.key else ["value", "value.yaml"]
        text = next((data[key] for key in keys if key in data), None)
        if text is None:
            wanted = " or ".join(f"'{key}'" for key in keys)
            raise Failed("ReconciliationFailed", f"the kubeconfig Secret '{where}' has no key {wanted}")
        digest = hashlib.sha256(text).hexdigest()
        client = self._remote.get(digest)
        if client is None:
            client = self._remote[digest] = self._open(text, where, attempt)
            while len(self._remote) > REMOTE_LIMIT:
                _, oldest = self._remote.popitem(last=False)
                await oldest.close()
        self._remote.move_to_end(digest)
        return client

    def _open(self, text: bytes, where: str, attempt: Attempt[Kustomization]) -> Client:
        options = attempt.options
        try:
            connection = config.from_kubeconfig_text(
                text,
                allow_plugins=options.insecure_kubeconfig_exec,
                allow_insecure=options.insecure_kubeconfig_tls,
                source=f"the kubeconfig Secret '{where}'",
            )
        except ConfigError as error:
            raise Failed("ReconciliationFailed", str(error)) from error
        return Client(
            connection, qps=options.kube_api_qps, burst=options.kube_api_burst, user_agent="kustomize-controller"
        )
