"""Keeps the status of ResourceQuotas: what they limit, and how much of it is used."""

from __future__ import annotations

from typing import Any

from kubeapi import writes
from kubeapi.admission import amounts, quotas
from kubeapi.controllers.queue import Controller
from kubeapi.store import Change, Entry

Manifest = dict[str, Any]


class Quotas(Controller[str]):
    """Keys are "namespace/name" of a quota."""

    name = "quota-controller"

    def keys(self, change: Change) -> list[str]:
        if change.storage == quotas.STORAGE:
            if change.type != "DELETED" and not _only_status(change):
                return [change.entry.key]
            return []
        namespace = change.entry.namespace
        if not namespace or not self.cluster.store.count(quotas.STORAGE):
            return []
        return [entry.key for entry in self.cluster.store.entries(quotas.STORAGE, namespace)]

    def initial(self) -> list[str]:
        return [entry.key for entry in self.cluster.store.entries(quotas.STORAGE)]

    def act(self, key: str) -> None:
        namespace, _, name = key.rpartition("/")

        def counted(live: Manifest) -> Manifest:
            hard = (live.get("spec") or {}).get("hard") or {}
            used = quotas.used_by(self.cluster, live, hard)
            live["status"] = {"hard": hard, "used": {key: str(used[key]) for key in hard}} if hard else {}
            return live

        resource = self.cluster.resource("v1", "ResourceQuota")
        writes.change(self.cluster, resource, namespace, name, counted, subresource="status")


def _only_status(change: Change) -> bool:
    """Whether a write left the limits as they were."""
    return change.before is not None and _hard(change.entry) == _hard(change.before)


def _hard(entry: Entry) -> Any:
    return amounts.read((entry.manifest().get("spec") or {}).get("hard"))
