"""PodDisruptionBudgets: how many of their pods are healthy and how many may go."""

from __future__ import annotations

import math
from typing import Any

from kubeapi.selectors import all_match, of_label_selector
from kubeapi.store import Change
from kubeapi.workloads.base import PODS, Workload, is_active, is_ready, with_condition

Manifest = dict[str, Any]


class Budgets(Workload):
    api_version = "policy/v1"
    kind = "PodDisruptionBudget"
    children = ()

    def keys(self, change: Change) -> list[str]:
        if change.storage == PODS:
            return [e.key for e in self.cluster.store.entries(self.resource.storage, change.entry.namespace)]
        return super().keys(change)

    def reconcile(self, key: str, live: Manifest) -> None:
        metadata, spec = live["metadata"], live["spec"]
        wanted = of_label_selector(spec.get("selector"))
        pods: list[Manifest] = []
        if wanted is not None:
            entries = self.cluster.store.entries(PODS, metadata["namespace"])
            pods = [pod for e in entries if all_match(wanted, e.labels) and is_active(pod := e.manifest())]
        expected = len(pods)
        healthy = sum(1 for pod in pods if is_ready(pod))
        if "maxUnavailable" in spec:
            desired = max(0, expected - _amount(spec["maxUnavailable"], expected))
        else:
            desired = _amount(spec.get("minAvailable", 1), expected)
        allowed = max(0, healthy - desired)
        reason = "SufficientPods" if allowed else "InsufficientPods"
        now = self.cluster.clock.stamp()
        conditions = (live.get("status") or {}).get("conditions") or []
        conditions = with_condition(conditions, "DisruptionAllowed", "True" if allowed else "False", reason, "", now)
        conditions[-1].setdefault("message", "")
        generation = metadata.get("generation", 0)
        conditions[-1]["observedGeneration"] = generation
        self.save_status(
            live,
            {
                "currentHealthy": healthy,
                "desiredHealthy": desired,
                "disruptionsAllowed": allowed,
                "expectedPods": expected,
                "observedGeneration": generation,
                "conditions": conditions,
            },
        )


def _amount(value: Any, of: int) -> int:
    if isinstance(value, int):
        return value
    text = str(value)
    return math.ceil(of * int(text[:-1]) / 100) if text.endswith("%") and text[:-1].isdigit() else 0
