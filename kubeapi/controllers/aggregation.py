"""ClusterRoles with an aggregationRule have the rules of the roles that it selects."""

from __future__ import annotations

from typing import Any

from kubeapi import writes
from kubeapi.authorization import GROUP, aggregated_rules
from kubeapi.controllers.queue import Controller
from kubeapi.store import Change

Manifest = dict[str, Any]


class Aggregation(Controller[str]):
    """Keeps aggregated rules as they should be."""

    name = "clusterrole-aggregation-controller"

    def keys(self, change: Change) -> list[str]:
        return [""] if change.storage == (GROUP, "clusterroles") else []

    def initial(self) -> list[str]:
        return [""]

    def act(self, key: str) -> None:
        resource = self.cluster.resource(f"{GROUP}/v1", "ClusterRole")
        for entry in self.cluster.store.entries(resource.storage):
            if b'"aggregationRule":' not in entry.raw:
                continue
            writes.change(
                self.cluster, resource, "", entry.name, self._aggregated, manager="clusterrole-aggregation-controller"
            )

    def _aggregated(self, live: Manifest) -> Manifest | None:
        if not live.get("aggregationRule"):
            return None
        rules = aggregated_rules(self.cluster, live)
        if rules == (live.get("rules") or []):
            return None
        live["rules"] = rules or None
        return live
