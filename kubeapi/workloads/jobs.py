"""Jobs: pods that run once; complete when enough succeeded, failed when too many didn't, and gone after their TTL."""

from __future__ import annotations

from typing import Any

from kubeapi import writes
from kubeapi.clock import parse
from kubeapi.store import Entry
from kubeapi.workloads.base import PODS, Workload, is_active, is_ready, is_true, with_condition
from kubeapi.writes import DeleteOptions

Manifest = dict[str, Any]

INDEX = "batch.kubernetes.io/job-completion-index"


class Jobs(Workload):
    api_version = "batch/v1"
    kind = "Job"

    def reconcile(self, key: str, live: Manifest) -> None:
        metadata, spec = live["metadata"], live["spec"]
        if "deletionTimestamp" in metadata:
            return
        if is_true(live, "Complete") or is_true(live, "Failed"):
            self._expire(key, live)
            return
        pods = [(entry, entry.manifest()) for entry in self.tools.owned(metadata["uid"], PODS)]
        succeeded = sum(1 for _, pod in pods if _phase(pod) == "Succeeded")
        failed = sum(1 for _, pod in pods if _phase(pod) == "Failed")
        active = [(entry, pod) for entry, pod in pods if is_active(pod)]
        now = self.cluster.clock.stamp()
        status = dict(live.get("status") or {})
        conditions = list(status.get("conditions") or ())
        parallel = spec.get("parallelism", 1)
        completions = spec.get("completions")
        needed = completions if completions is not None else max(1, succeeded)
        if spec.get("suspend"):
            for entry, _ in active:
                self.delete_pod(entry)
            conditions = with_condition(conditions, "Suspended", "True", "JobSuspended", "Job suspended", now)
            conditions[-1].setdefault("lastProbeTime", now)
            active = []
        else:
            if any(one.get("type") == "Suspended" for one in conditions):
                conditions = with_condition(conditions, "Suspended", "False", "JobResumed", "Job resumed", now)
            status.setdefault("startTime", now)
            ended = self._ended(live, succeeded, failed, needed, completions, len(active), now)
            if ended is not None:
                conditions = self._finish(live, conditions, ended, active, now)
                if ended[0] == "Complete":
                    status["completionTime"] = now
                active = []
            else:
                missing = max(0, min(parallel, (completions or parallel) - succeeded) - len(active))
                if spec.get("completionMode") == "Indexed":
                    taken = {_index(pod) for _, pod in pods if is_active(pod) or _phase(pod) == "Succeeded"}
                    free = [index for index in range(completions or 0) if index not in taken]
                    for index in free[:missing]:
                        self._create(live, index)
                else:
                    for _ in range(missing):
                        self._create(live)
        for name, value in (
            ("active", len(active)),
            ("ready", sum(1 for _, pod in active if is_ready(pod))),
            ("succeeded", succeeded),
            ("failed", failed),
        ):
            if value or name == "ready":
                status[name] = value
            else:
                status.pop(name, None)
        if spec.get("completionMode") == "Indexed":
            done = {_index(pod) for _, pod in pods if _phase(pod) == "Succeeded"}
            if done:
                status["completedIndexes"] = _ranges(done)
        status["uncountedTerminatedPods"] = {}
        status["terminating"] = 0
        if conditions:
            status["conditions"] = conditions
        self.save_status(live, status)

    def _create(self, live: Manifest, index: int | None = None) -> None:
        metadata, spec = live["metadata"], live["spec"]
        uid, name = metadata["uid"], metadata["name"]
        labels = {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": name,
            "controller-uid": uid,
            "job-name": name,
        }
        template = dict(spec["template"])
        if index is None:
            self.create_pod(live, template, labels=labels)
            return
        inner = dict(template.get("metadata") or {})
        inner["annotations"] = {**(inner.get("annotations") or {}), INDEX: str(index)}
        template["metadata"] = inner
        self.create_pod(live, template, labels={**labels, INDEX: str(index)}, prefix=f"{name}-{index}-")

    def _ended(
        self,
        live: Manifest,
        succeeded: int,
        failed: int,
        needed: int,
        completions: int | None,
        active: int,
        now: str,
    ) -> tuple[str, str, str] | None:
        """Complete or Failed with reason and message, or None while it goes on."""
        spec = live["spec"]
        if failed > spec.get("backoffLimit", 6):
            return "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        deadline = spec.get("activeDeadlineSeconds")
        started = (live.get("status") or {}).get("startTime")
        if deadline is not None:
            passed = 0.0 if not started else (self.cluster.clock.now() - parse(started)).total_seconds()
            if started and passed >= deadline:
                return "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
            key = f"{live['metadata']['namespace']}/{live['metadata']['name']}"
            self.queue_after(key, max(0.05, deadline - passed))
        done = succeeded >= needed if completions is not None else succeeded > 0 and active == 0
        if completions == 0:
            done = True
        if done:
            return "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
        return None

    def _finish(
        self,
        live: Manifest,
        conditions: list[Manifest],
        ended: tuple[str, str, str],
        active: list[tuple[Entry, Manifest]],
        now: str,
    ) -> list[Manifest]:
        type_, reason, message = ended
        if type_ == "Complete":
            self.record(live, "Completed", "Job completed")
        else:
            self.record(live, reason, message, warning=True)
        for entry, _ in active:
            self.delete_pod(entry)
        target = "SuccessCriteriaMet" if type_ == "Complete" else "FailureTarget"
        conditions = with_condition(conditions, target, "True", reason, message, now)
        conditions = with_condition(conditions, type_, "True", reason, message, now)
        for one in conditions:
            one.setdefault("lastProbeTime", now)
        return conditions

    def _expire(self, key: str, live: Manifest) -> None:
        """Delete a finished Job when its time to live is over."""
        ttl = live["spec"].get("ttlSecondsAfterFinished")
        if ttl is None:
            return
        ends = [
            one["lastTransitionTime"]
            for one in live["status"]["conditions"]
            if one["type"] in ("Complete", "Failed") and one["status"] == "True"
        ]
        left = ttl - (self.cluster.clock.now() - parse(ends[0])).total_seconds()
        if left > 0:
            self.queue_after(key, left + 0.01)
            return
        metadata = live["metadata"]
        options = DeleteOptions(uid=metadata["uid"], propagation="Foreground")
        writes.delete(self.cluster, self.resource, metadata["namespace"], metadata["name"], options)


def _phase(pod: Manifest) -> str:
    return str((pod.get("status") or {}).get("phase", ""))


def _index(pod: Manifest) -> int:
    """Which of an indexed Job's completions a pod is for; -1 for none."""
    text = str((pod["metadata"].get("annotations") or {}).get(INDEX, ""))
    return int(text) if text.isdigit() else -1


def _ranges(numbers: set[int]) -> str:
    """0,1,3-5: how completedIndexes is written."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    # Two in a row are listed, more are a range.
    texts = (
        str(first) if first == last else f"{first},{last}" if last == first + 1 else f"{first}-{last}"
        for first, last in parts
    )
    return ",".join(texts)
