"""ReplicaSets and ReplicationControllers: as many pods as they say, and the count of the ready ones."""

from __future__ import annotations

from typing import Any

from kubeapi.clock import parse
from kubeapi.store import Entry
from kubeapi.workloads.base import PODS, Workload, is_active, is_ready, with_condition

Manifest = dict[str, Any]

_SLOWEST = 60.0
"""Seconds between two replacements of pods that end badly, at most."""


class ReplicaSets(Workload):
    api_version = "apps/v1"
    kind = "ReplicaSet"

    def reconcile(self, key: str, live: Manifest) -> None:
        metadata = live["metadata"]
        entries = self.tools.owned(metadata["uid"], PODS)
        pods = [(entry, entry.manifest()) for entry in entries]
        active = [(entry, pod) for entry, pod in pods if is_active(pod)]
        wanted = live["spec"].get("replicas", 1)
        problem = ""
        if "deletionTimestamp" not in metadata and not self._rests(key, pods, len(active) < wanted):
            problem = self.scale_pods(key, live, [entry for entry, _ in active], wanted)
        ready = sum(1 for _, pod in active if is_ready(pod))
        status: Manifest = {"replicas": len(active)}
        if active:
            status["fullyLabeledReplicas"] = len(active)
        if ready:
            status["readyReplicas"] = ready
            status["availableReplicas"] = ready
        if self.kind == "ReplicaSet":
            status["terminatingReplicas"] = sum(1 for entry, _ in pods if entry.deleting)
        status["observedGeneration"] = metadata.get("generation", 0)
        known = (live.get("status") or {}).get("conditions") or []
        conditions = [c for c in known if c.get("type") != "ReplicaFailure"]
        if problem:
            now = self.cluster.clock.stamp()
            self.record(live, "FailedCreate", f"Error creating: {problem}", warning=True)
            conditions = with_condition(known, "ReplicaFailure", "True", "FailedCreate", problem, now)
            self.queue_after(key, 1.0)
        if conditions:
            status["conditions"] = conditions
        # Pods just made are counted when their creation comes back as a change.
        self.save_status(live, status)

    def _rests(self, key: str, pods: list[tuple[Entry, Manifest]], missing: bool) -> bool:
        """Whether pods that ended badly are not to be replaced yet: the more there are, the longer it takes."""
        ends = [str(pod["metadata"]["creationTimestamp"]) for _, pod in pods if _failed(pod)]
        if not missing or not ends:
            return False
        passed = (self.cluster.clock.now() - parse(max(ends))).total_seconds()
        left = min(_SLOWEST, float(2 ** len(ends))) - passed
        if left > 0:
            self.queue_after(key, left)
        return left > 0


def _failed(pod: Manifest) -> bool:
    return (pod.get("status") or {}).get("phase") == "Failed"


class ReplicationControllers(ReplicaSets):
    api_version = "v1"
    kind = "ReplicationController"
