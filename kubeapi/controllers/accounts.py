"""In each namespace: the service account "default" and the ConfigMap with the server's certificate authority."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi import writes
from kubeapi.controllers.queue import Controller
from kubeapi.store import Change
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

CONFIG_MAP = "kube-root-ca.crt"
_NOTE = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "


class Accounts(Controller[str]):
    """Creates both, and again when somebody deletes them."""

    name = "service-account-controller"

    def __init__(self, cluster: Cluster, ca: str):
        super().__init__(cluster)
        self._ca = ca

    def keys(self, change: Change) -> list[str]:
        entry = change.entry
        if change.storage == ("", "namespaces"):
            return [entry.name] if change.type == "ADDED" else []
        named = (change.storage[1], entry.name) in (("serviceaccounts", "default"), ("configmaps", CONFIG_MAP))
        return [entry.namespace] if named and not change.storage[0] and change.type == "DELETED" else []

    def initial(self) -> list[str]:
        return [entry.name for entry in self.cluster.store.entries(("", "namespaces"))]

    def act(self, key: str) -> None:
        namespace = self.cluster.store.get(("", "namespaces"), "", key)
        if namespace is None or namespace.deleting:
            return
        if self.cluster.store.get(("", "serviceaccounts"), key, "default") is None:
            self._create(key, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
        if self.cluster.store.get(("", "configmaps"), key, CONFIG_MAP) is None:
            note = _NOTE + "kubernetes.default.svc, when the CA bundle of the pod is not enough"
            self._create(
                key,
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": CONFIG_MAP, "annotations": {"kubernetes.io/description": note}},
                    "data": {"ca.crt": self._ca},
                },
            )

    def _create(self, namespace: str, manifest: Manifest) -> None:
        resource = self.cluster.resource(manifest["apiVersion"], manifest["kind"])
        writes.create(self.cluster, resource, namespace, manifest, Options())
