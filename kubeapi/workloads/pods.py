"""Pods: put on the one node there is, running and ready after a while, gone when deleted; or failing as asked."""

from __future__ import annotations

from typing import Any

from kubeapi import writes
from kubeapi.clock import parse
from kubeapi.store import Change, Entry
from kubeapi.workloads.base import FAIL, PODS, STAY, Tools, Workload, controller_of, with_condition

Manifest = dict[str, Any]

NODE = "kubeapi"
ADDRESS = "127.0.0.1"
_ORDER = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
UNSCHEDULABLE = "Unschedulable"

_NEVER_STARTS = {
    "ImagePullBackOff": 'Back-off pulling image "{image}"',
    "ErrImagePull": 'failed to pull and unpack image "{image}": not found',
    "InvalidImageName": 'Failed to apply default image tag "{image}": invalid reference format',
    "CreateContainerConfigError": "a ConfigMap or Secret that the container refers to was not found",
    "CreateContainerError": "the container could not be created",
    "ContainerCreating": "",
}
_OWNERS = {("apps", "deployments"), ("apps", "replicasets"), ("apps", "statefulsets"), ("apps", "daemonsets")}


class Pods(Workload):
    """Every pod's scheduler and kubelet."""

    api_version = "v1"
    kind = "Pod"
    children = ()

    def __init__(self, tools: Tools):
        super().__init__(tools)
        self._times: dict[str, float] = {}
        self._addresses = 0

    def keys(self, change: Change) -> list[str]:
        entry = change.entry
        if change.storage == PODS:
            if change.type == "DELETED":
                self._times.pop(entry.uid, None)
                return []
            return [entry.key]
        if change.storage in _OWNERS and change.before is not None and _wish(change.before) != _wish(entry):
            # Somebody asked for a failure, or no longer does: look at the pods below.
            return [pod.key for pod in self.cluster.store.entries(PODS, entry.namespace)]
        return []

    def reconcile(self, key: str, live: Manifest) -> None:
        metadata = live["metadata"]
        if "deletionTimestamp" in metadata:
            self._end(key, live)
            return
        status = live.get("status") or {}
        if status.get("phase") in ("Succeeded", "Failed"):
            return
        reason = self.tools.annotation(live, FAIL)
        if not (live.get("spec") or {}).get("nodeName"):
            self._schedule(live, reason if self._fits_a_node(live) else UNSCHEDULABLE)
            return
        stay = (metadata.get("annotations") or {}).get(STAY)
        if stay == "pending":
            return
        due = self._times.setdefault(metadata["uid"], self._now() + self.tools.delay_of(live))
        left = due - self._now()
        if left > 0.0005:
            self.queue_after(key, left)
            return
        if stay == "fail":
            self.save_status(live, self._completed(live, "Failed"))
            return
        wanted = self._running(live, reason)
        if wanted.get("phase") == "Running" and not reason and _runs_to_completion(live):
            if status.get("phase") == "Running":
                wanted = self._completed(live, "Succeeded")
            else:
                self._times[metadata["uid"]] = self._now() + self.tools.delay_of(live)
        elif reason and _runs_to_completion(live) and reason not in _NEVER_STARTS:
            wanted = self._completed(live, "Failed", reason)
        if self.save_status(live, wanted) and reason:
            image = live["spec"]["containers"][0].get("image", "")
            why = _NEVER_STARTS.get(reason, "Back-off restarting failed container").format(image=image)
            self.record(live, "BackOff" if "BackOff" in reason else "Failed", why or reason, "kubelet", warning=True)

    def _now(self) -> float:
        assert self._loop is not None
        return self._loop.time()

    # -- steps

    def _fits_a_node(self, live: Manifest) -> bool:
        """Whether some node has the labels that the pod's nodeSelector asks for."""
        selector = live["spec"].get("nodeSelector") or {}
        return not selector or any(
            all(node.labels.get(name) == value for name, value in selector.items())
            for node in self.cluster.store.entries(("", "nodes"))
        )

    def _schedule(self, live: Manifest, reason: str) -> None:
        now = self.cluster.clock.stamp()
        status = dict(live.get("status") or {})
        if reason == UNSCHEDULABLE:
            message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
            status["conditions"] = with_condition(
                status.get("conditions") or (), "PodScheduled", "False", UNSCHEDULABLE, message, now
            )
            status["phase"] = "Pending"
            if self.save_status(live, status):
                self.record(live, "FailedScheduling", message, "default-scheduler", warning=True)
            return

        def scheduled(current: Manifest) -> Manifest:
            current["spec"]["nodeName"] = NODE
            found = dict(current.get("status") or {})
            conditions = [c for c in found.get("conditions") or () if c.get("type") != "PodScheduled"]
            found["conditions"] = with_condition(conditions, "PodScheduled", "True", "", "", now)
            found["phase"] = "Pending"
            current["status"] = found
            return current

        metadata = live["metadata"]
        writes.change(
            self.cluster, self.resource, metadata["namespace"], metadata["name"], scheduled, manager="kube-scheduler"
        )

    def _running(self, live: Manifest, reason: str) -> Manifest:
        """The status of a pod whose time has come."""
        now = self.cluster.clock.stamp()
        status = dict(live.get("status") or {})
        spec = live["spec"]
        status.setdefault("startTime", now)
        status.setdefault("hostIP", ADDRESS)
        status.setdefault("hostIPs", [{"ip": ADDRESS}])
        status["observedGeneration"] = live["metadata"].get("generation", 1)
        if not status.get("podIP"):
            status["podIP"] = self._address()
            status["podIPs"] = [{"ip": status["podIP"]}]
        starts = not reason
        waiting: Manifest | None = None
        if reason:
            waiting = {"reason": reason}
            image = spec["containers"][0].get("image", "")
            message = _NEVER_STARTS.get(reason, "back-off restarting failed container").format(image=image)
            if message:
                waiting["message"] = message
        status["phase"] = "Pending" if reason in _NEVER_STARTS else "Running"
        known = {c["name"]: c for c in status.get("containerStatuses") or ()}
        status["containerStatuses"] = [
            _container(one, known.get(one["name"]), now, waiting) for one in spec.get("containers") or ()
        ]
        if spec.get("initContainers"):
            status["initContainerStatuses"] = [_initialised(one, now) for one in spec["initContainers"]]
        conditions = list(status.get("conditions") or ())
        why = "" if starts else "ContainersNotReady"
        names = " ".join(one["name"] for one in spec.get("containers") or ())
        message = "" if starts else f"containers with unready status: [{names}]"
        value = "True" if starts else "False"
        conditions = with_condition(conditions, "PodReadyToStartContainers", "True", "", "", now)
        conditions = with_condition(conditions, "Initialized", "True", "", "", now)
        conditions = with_condition(conditions, "Ready", value, why, message, now)
        status["conditions"] = _probed(with_condition(conditions, "ContainersReady", value, why, message, now))
        status.setdefault("qosClass", _quality(spec))
        return status

    def _completed(self, live: Manifest, phase: str, reason: str = "") -> Manifest:
        now = self.cluster.clock.stamp()
        status = self._running(live, "")
        code = 0 if phase == "Succeeded" else 1
        why = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        status["phase"] = phase
        for container in status["containerStatuses"]:
            started = (container["state"].get("running") or {}).get("startedAt", now)
            container["state"] = {
                "terminated": {
                    "exitCode": code,
                    "reason": "Completed" if code == 0 else reason or "Error",
                    "startedAt": started,
                    "finishedAt": now,
                }
            }
            container["ready"] = False
            container["started"] = False
        conditions = status["conditions"]
        conditions = with_condition(conditions, "Ready", "False", why, "", now)
        status["conditions"] = _probed(with_condition(conditions, "ContainersReady", "False", why, "", now))
        return status

    def _end(self, key: str, live: Manifest) -> None:
        """A deleted pod stops at once, but not before its deletion was seen; a failing kubelet lets it hang."""
        metadata = live["metadata"]
        if metadata.get("deletionGracePeriodSeconds"):
            stopping = min(self.tools.delay, float(metadata["deletionGracePeriodSeconds"]))
            uid = metadata["uid"] + "/end"
            due = self._times.setdefault(uid, self._now() + stopping)
            left = due - self._now()
            if left > 0.0005:
                self.queue_after(key, left)
                return
            self._times.pop(uid, None)
            writes.delete(
                self.cluster,
                self.resource,
                metadata["namespace"],
                metadata["name"],
                writes.DeleteOptions(uid=metadata["uid"], grace_period=0),
            )

    def _address(self) -> str:
        self._addresses = (self._addresses + 1) % (1 << 16)
        return f"10.244.{self._addresses >> 8}.{self._addresses & 255}"


def _probed(conditions: list[Manifest]) -> list[Manifest]:
    """The conditions in a kubelet's order; they always say that they were never probed."""
    ordered = sorted(conditions, key=lambda one: _ORDER.index(one["type"]) if one["type"] in _ORDER else len(_ORDER))
    return [{**one, "lastProbeTime": None} for one in ordered]


def _wish(entry: Entry) -> str | None:
    if b"kubeapi.fluvial.dev/" not in entry.raw:
        return None
    found = (entry.manifest()["metadata"].get("annotations") or {}).get(FAIL)
    return None if found is None else str(found)


def _runs_to_completion(pod: Manifest) -> bool:
    reference = controller_of(pod)
    if reference is not None:
        return bool(reference["kind"] == "Job")
    return bool(pod["spec"].get("restartPolicy") in ("Never", "OnFailure"))


def _container(spec: Manifest, known: Manifest | None, now: str, waiting: Manifest | None) -> Manifest:
    starts = waiting is None
    state: Manifest
    if waiting is not None:
        state = {"waiting": waiting}
    else:
        started = (((known or {}).get("state") or {}).get("running") or {}).get("startedAt", now)
        state = {"running": {"startedAt": started}}
    image = spec.get("image", "")
    status: Manifest = {
        "name": spec["name"],
        "image": image,
        "imageID": image if starts else "",
        "ready": starts,
        "started": starts,
        "restartCount": 0 if waiting is None or waiting.get("reason") != "CrashLoopBackOff" else 3,
        "state": state,
        "lastState": {},
    }
    if starts:
        status["containerID"] = f"kubeapi://{spec['name']}"
    return status


def _initialised(spec: Manifest, now: str) -> Manifest:
    image = spec.get("image", "")
    done = {"exitCode": 0, "reason": "Completed", "startedAt": now, "finishedAt": now}
    return {
        "name": spec["name"],
        "image": image,
        "imageID": image,
        "ready": True,
        "started": False,
        "restartCount": 0,
        "state": {"terminated": done},
        "lastState": {},
    }


def _quality(spec: Manifest) -> str:
    """The pod's quality of service class."""
    any_set, guaranteed = False, True
    for container in spec.get("containers") or ():
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        any_set = any_set or bool(requests or limits)
        for name in ("cpu", "memory"):
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                guaranteed = False
    if not any_set:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def age_seconds(manifest: Manifest, now: Any) -> float:
    """Seconds since an object was created."""
    return float((now - parse(manifest["metadata"]["creationTimestamp"])).total_seconds())
