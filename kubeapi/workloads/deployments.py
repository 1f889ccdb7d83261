"""Deployments: a ReplicaSet per template, rolled from the old to the new one once the new one's pods are ready."""

from __future__ import annotations

import math
from typing import Any

from kubeapi import writes
from kubeapi.clock import parse
from kubeapi.errors import StatusError
from kubeapi.store import Entry
from kubeapi.workloads.base import LAST_APPLIED, Workload, condition, reference_to, template_hash, with_condition
from kubeapi.writes import DeleteOptions, Options

Manifest = dict[str, Any]

REPLICA_SETS = ("apps", "replicasets")
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"
_OWN = (LAST_APPLIED, REVISION, DESIRED, MAXIMUM)
"""Annotations that a set doesn't take from its Deployment."""


class Deployments(Workload):
    api_version = "apps/v1"
    kind = "Deployment"
    children = (REPLICA_SETS,)

    def reconcile(self, key: str, live: Manifest) -> None:
        metadata, spec = live["metadata"], live["spec"]
        if "deletionTimestamp" in metadata:
            return
        sets = [(entry, entry.manifest()) for entry in self.tools.owned(metadata["uid"], REPLICA_SETS)]
        current, others = self._split(spec, sets)
        if current is None and not spec.get("paused"):
            revision = 1 + max((_revision(one) for _, one in sets), default=0)
            try:
                self._create_set(live, revision)
            except StatusError as error:
                self._report(key, live, None, [], error.message)
                return
            self._set_revision(live, revision)
            # The new set comes back as a change.
            return
        if current is not None:
            newest = max(_revision(one) for _, one in sets)
            if _revision(current[1]) < newest:
                # Back to an earlier template: it becomes the newest revision.
                self._renumber(current[0], newest + 1)
                self._set_revision(live, newest + 1)
                return
            self._follow(live, current)
        self._roll(live, current, others)
        self._trim(live, others)
        self._report(key, live, current, others)

    # -- sets

    def _split(
        self, spec: Manifest, sets: list[tuple[Entry, Manifest]]
    ) -> tuple[tuple[Entry, Manifest] | None, list[tuple[Entry, Manifest]]]:
        """The set of the present template, and the others."""
        wanted = template_hash(spec["template"])
        current = next((one for one in sets if one[1]["metadata"].get("labels", {}).get(HASH) == wanted), None)
        return current, [one for one in sets if one is not current]

    def _create_set(self, live: Manifest, revision: int) -> None:
        metadata, spec = live["metadata"], live["spec"]
        template = dict(spec["template"])
        short = template_hash(template)
        labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH: short}
        template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
        selector = dict(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: short}
        annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != LAST_APPLIED}
        annotations[REVISION] = str(revision)
        replicas = spec.get("replicas", 1)
        annotations[DESIRED] = str(replicas)
        annotations[MAXIMUM] = str(replicas + _surge(spec, replicas))
        old = self.tools.owned(metadata["uid"], REPLICA_SETS)
        if spec.get("strategy", {}).get("type") == "Recreate" and any(_replicas(e.manifest()) for e in old):
            replicas = 0
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{metadata['name']}-{short}",
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [reference_to(live)],
            },
            "spec": {
                "replicas": replicas,
                "selector": selector,
                "template": template,
                "minReadySeconds": spec.get("minReadySeconds", 0),
            },
        }
        resource = self.cluster.resource("apps/v1", "ReplicaSet")
        writes.create(self.cluster, resource, metadata["namespace"], manifest, Options())
        if replicas:
            self._record_scaling(live, f"{metadata['name']}-{short}", 0, replicas)

    def _set_revision(self, live: Manifest, revision: int) -> None:
        def numbered(current: Manifest) -> Manifest:
            annotations = current["metadata"].setdefault("annotations", {})
            annotations[REVISION] = str(revision)
            return current

        metadata = live["metadata"]
        writes.change(
            self.cluster, self.resource, metadata["namespace"], metadata["name"], numbered, subresource="status"
        )

    def _renumber(self, entry: Entry, revision: int) -> None:
        def numbered(current: Manifest) -> Manifest:
            current["metadata"].setdefault("annotations", {})[REVISION] = str(revision)
            return current

        resource = self.cluster.resource("apps/v1", "ReplicaSet")
        writes.change(self.cluster, resource, entry.namespace, entry.name, numbered)

    def _follow(self, live: Manifest, current: tuple[Entry, Manifest]) -> None:
        """The present set has the Deployment's annotations."""
        wanted = {k: v for k, v in (live["metadata"].get("annotations") or {}).items() if k not in _OWN}
        known = current[1]["metadata"].get("annotations") or {}
        replicas = live["spec"].get("replicas", 1)
        kept = {k: v for k, v in known.items() if k == REVISION}
        kept[DESIRED] = str(replicas)
        kept[MAXIMUM] = str(replicas + _surge(live["spec"], replicas))
        if {**kept, **wanted} == known:
            return

        def annotated(found: Manifest) -> Manifest:
            found["metadata"]["annotations"] = {**kept, **wanted}
            return found

        resource = self.cluster.resource("apps/v1", "ReplicaSet")
        writes.change(self.cluster, resource, current[0].namespace, current[0].name, annotated)

    def _record_scaling(self, live: Manifest, name: str, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        self.record(live, "ScalingReplicaSet", f"Scaled {way} replica set {name} from {before} to {after}")

    def _scale(self, live: Manifest, entry: Entry, manifest: Manifest, replicas: int) -> None:
        if _replicas(manifest) == replicas:
            return
        self._record_scaling(live, entry.name, _replicas(manifest), replicas)

        def scaled(found: Manifest) -> Manifest:
            found["spec"]["replicas"] = replicas
            return found

        resource = self.cluster.resource("apps/v1", "ReplicaSet")
        writes.change(self.cluster, resource, entry.namespace, entry.name, scaled)

    def _roll(
        self, live: Manifest, current: tuple[Entry, Manifest] | None, others: list[tuple[Entry, Manifest]]
    ) -> None:
        """Old sets go down as the new one's pods are ready; at once where the strategy is Recreate."""
        spec = live["spec"]
        if current is None or spec.get("paused"):
            return
        wanted = spec.get("replicas", 1)
        old = [one for one in others if _replicas(one[1]) or (one[1].get("status") or {}).get("replicas")]
        if (spec.get("strategy") or {}).get("type") == "Recreate":
            for entry, manifest in old:
                self._scale(live, entry, manifest, 0)
            if not old:
                self._scale(live, *current, wanted)
            return
        self._scale(live, *current, wanted)
        ready = (current[1].get("status") or {}).get("readyReplicas", 0)
        keep = max(0, wanted - ready - _allowed(spec, wanted)) if ready < wanted else 0
        for entry, manifest in sorted(old, key=lambda one: -_revision(one[1])):
            share = min(keep, _replicas(manifest))
            self._scale(live, entry, manifest, share)
            keep -= share

    def _trim(self, live: Manifest, others: list[tuple[Entry, Manifest]]) -> None:
        """Only so many old sets are kept for a rollback."""
        limit = live["spec"].get("revisionHistoryLimit", 10)
        empty = [one for one in others if not _replicas(one[1]) and not (one[1].get("status") or {}).get("replicas")]
        empty.sort(key=lambda one: _revision(one[1]))
        resource = self.cluster.resource("apps/v1", "ReplicaSet")
        for entry, _ in empty[: max(0, len(empty) - limit)]:
            if not entry.deleting:
                writes.delete(self.cluster, resource, entry.namespace, entry.name, DeleteOptions(uid=entry.uid))

    # -- status

    def _report(
        self,
        key: str,
        live: Manifest,
        current: tuple[Entry, Manifest] | None,
        others: list[tuple[Entry, Manifest]],
        problem: str = "",
    ) -> None:
        metadata, spec = live["metadata"], live["spec"]
        wanted = spec.get("replicas", 1)
        every = [*([current] if current else []), *others]
        replicas = sum((one.get("status") or {}).get("replicas", 0) for _, one in every)
        ready = sum((one.get("status") or {}).get("readyReplicas", 0) for _, one in every)
        updated = (current[1].get("status") or {}).get("replicas", 0) if current else 0
        status: Manifest = {"observedGeneration": metadata.get("generation", 0)}
        for name, value in (
            ("replicas", replicas),
            ("updatedReplicas", updated),
            ("readyReplicas", ready),
            ("availableReplicas", ready),
            ("unavailableReplicas", max(0, sum(_replicas(one) for _, one in every) - ready)),
        ):
            if value:
                status[name] = value
        status["terminatingReplicas"] = sum((one.get("status") or {}).get("terminatingReplicas", 0) for _, one in every)
        before = live.get("status") or {}
        if "collisionCount" in before:
            status["collisionCount"] = before["collisionCount"]
        now = self.cluster.clock.stamp()
        conditions = self._paused(spec, list(before.get("conditions") or ()), now)
        if ready >= wanted - _allowed(spec, wanted):
            text = "Deployment has minimum availability."
            available = ("True", "MinimumReplicasAvailable", text)
        else:
            text = "Deployment does not have minimum availability."
            available = ("False", "MinimumReplicasUnavailable", text)
        conditions = with_condition(conditions, "Available", *available, now, updates=True)
        if problem:
            conditions = with_condition(
                conditions, "Progressing", "False", "ReplicaSetCreateError", problem, now, updates=True
            )
        elif current is not None and not spec.get("paused"):
            complete = updated == wanted and replicas == wanted and ready == wanted
            name = current[1]["metadata"]["name"]
            value, reason, text, moves = self._progress(key, live, name, complete, (updated, ready))
            conditions = with_condition(conditions, "Progressing", value, reason, text, now, updates=True, fresh=moves)
        status["conditions"] = _with_failure(conditions, [one for _, one in every], now)
        self.save_status(live, status)

    def _paused(self, spec: Manifest, conditions: list[Manifest], now: str) -> list[Manifest]:
        """Progressing says that a rollout is paused, then that it goes on."""
        known = next((one for one in conditions if one.get("type") == "Progressing"), {})
        reason = known.get("reason")
        if spec.get("paused") and reason not in ("DeploymentPaused", "ProgressDeadlineExceeded"):
            told = ("DeploymentPaused", "Deployment is paused")
        elif not spec.get("paused") and reason == "DeploymentPaused":
            told = ("DeploymentResumed", "Deployment is resumed")
        else:
            return conditions
        return with_condition(conditions, "Progressing", "Unknown", *told, now, updates=True)

    def _progress(
        self, key: str, live: Manifest, name: str, complete: bool, counts: tuple[int, int]
    ) -> tuple[str, str, str, bool]:
        """Status, reason and message of Progressing, and whether something moved; it fails when nothing did for
        progressDeadlineSeconds."""
        if complete:
            return "True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.', False
        before = live.get("status") or {}
        known = condition(live, "Progressing")
        moved = (before.get("updatedReplicas", 0), before.get("readyReplicas", 0)) != counts
        deadline = live["spec"].get("progressDeadlineSeconds", 600)
        text = f'ReplicaSet "{name}" is progressing.'
        same = known is not None and f'"{name}"' in str(known.get("message"))
        rolling = known is not None and known.get("reason") != "NewReplicaSetAvailable"
        if known is None or moved or not same or not rolling:
            self.queue_after(key, deadline + 1.0)
            return "True", "ReplicaSetUpdated", text, True
        waited = (self.cluster.clock.now() - parse(known["lastUpdateTime"])).total_seconds()
        if waited >= deadline:
            return "False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.', False
        self.queue_after(key, deadline - waited + 0.05)
        return str(known["status"]), str(known["reason"]), str(known["message"]), False


def _with_failure(conditions: list[Manifest], sets: list[Manifest], now: str) -> list[Manifest]:
    """The conditions, with why a ReplicaSet can't make its pods: the newest one's word counts first."""
    failure = next((one for one in (condition(found, "ReplicaFailure") for found in sets) if one is not None), None)
    if failure is None:
        return [one for one in conditions if one.get("type") != "ReplicaFailure"]
    told = failure["status"], failure.get("reason", ""), failure.get("message", "")
    return with_condition(conditions, "ReplicaFailure", *told, now, updates=True)


def _replicas(replica_set: Manifest) -> int:
    return int(replica_set["spec"].get("replicas", 1))


def _revision(replica_set: Manifest) -> int:
    text = (replica_set["metadata"].get("annotations") or {}).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _allowed(spec: Manifest, wanted: int) -> int:
    """How many pods may be missing while rolling: maxUnavailable, at least one when surge is 0."""
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0
    rolling = strategy.get("rollingUpdate") or {}
    unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted, math.floor)
    if not unavailable and not _share(rolling.get("maxSurge", "25%"), wanted, math.ceil):
        return 1
    return min(unavailable, wanted)


def _surge(spec: Manifest, wanted: int) -> int:
    """How many pods there may be beyond those wanted, while rolling."""
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0
    return _share((strategy.get("rollingUpdate") or {}).get("maxSurge", "25%"), wanted, math.ceil)


def _share(value: Any, of: int, rounded: Any) -> int:
    if isinstance(value, int):
        return value
    text = str(value)
    if text.endswith("%") and text[:-1].isdigit():
        return int(rounded(of * int(text[:-1]) / 100))
    return 0
