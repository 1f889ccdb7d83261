"""DaemonSets: one pod on each node."""

from __future__ import annotations

from typing import Any

from kubeapi.workloads import revisions
from kubeapi.workloads.base import PODS, Workload, is_active, is_ready, template_hash

Manifest = dict[str, Any]

HASH = "controller-revision-hash"


class DaemonSets(Workload):
    api_version = "apps/v1"
    kind = "DaemonSet"

    def reconcile(self, key: str, live: Manifest) -> None:
        metadata, spec = live["metadata"], live["spec"]
        revision = template_hash(spec["template"])
        entries = [(entry, entry.manifest()) for entry in self.tools.owned(metadata["uid"], PODS)]
        active = [(entry, pod) for entry, pod in entries if is_active(pod)]
        selector = (spec["template"].get("spec") or {}).get("nodeSelector") or {}
        wanted = sum(
            1
            for node in self.cluster.store.entries(("", "nodes"))
            if all(node.labels.get(name) == value for name, value in selector.items())
        )
        if "deletionTimestamp" not in metadata:
            revisions.keep(self, live, revision)
            self._advance(live, active, wanted, revision)
        ready = sum(1 for _, pod in active if is_ready(pod))
        updated = sum(1 for _, pod in active if _revision(pod) == revision)
        status: Manifest = {
            "currentNumberScheduled": min(len(active), wanted),
            "numberMisscheduled": 0,
            "desiredNumberScheduled": wanted,
            "numberReady": ready,
            "observedGeneration": metadata.get("generation", 0),
        }
        for name, value in (
            ("updatedNumberScheduled", updated),
            ("numberAvailable", ready),
            ("numberUnavailable", max(0, wanted - ready)),
        ):
            if value:
                status[name] = value
        self.save_status(live, status)

    def _advance(self, live: Manifest, active: list[tuple[Any, Manifest]], wanted: int, revision: str) -> None:
        for entry, _ in active[wanted:]:
            self.delete_pod(entry)
        if len(active) < wanted:
            for _ in range(wanted - len(active)):
                self.create_pod(live, live["spec"]["template"], labels={HASH: revision})
            return
        if (live["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
            return
        for entry, pod in active:
            if _revision(pod) != revision:
                self.delete_pod(entry)
                return


def _revision(pod: Manifest) -> str:
    return str((pod["metadata"].get("labels") or {}).get(HASH, ""))
