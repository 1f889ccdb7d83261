"""Columns of pods and of what makes pods, and the small cells that all tables use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from kubeapi import selectors
from kubeapi.ages import between, since

Manifest = Mapping[str, Any]
Cell = Callable[[Manifest, datetime], Any]
Row = tuple[str, Cell | str] | tuple[str, Cell | str, int] | tuple[str, Cell | str, int, str]

NONE = "<none>"
UNKNOWN = "<unknown>"


def dig(manifest: Any, path: str) -> Any:
    """What is at a dotted path; None when anything on the way is missing."""
    for step in path.split("."):
        if not isinstance(manifest, Mapping):
            return None
        manifest = manifest.get(step)
    return manifest


def value(path: str, absent: Any = "") -> Cell:
    """What is at a path, as it is; `absent` when there is nothing."""

    def cell(manifest: Manifest, now: datetime) -> Any:
        found = dig(manifest, path)
        return absent if found is None else found

    return cell


def either(path: str, otherwise: str) -> Cell:
    """What is at a path, or `otherwise` when that is nothing or empty."""
    return lambda manifest, now: dig(manifest, path) or otherwise


def count(*fields: str) -> Cell:
    """How many entries the named maps have together."""
    return lambda manifest, now: sum(len(manifest.get(field) or ()) for field in fields)


def labels(found: Any) -> str:
    return ",".join(f"{key}={text}" for key, text in sorted((found or {}).items())) or NONE


def containers(path: str) -> Cell:
    return lambda manifest, now: ",".join(
        c.get("name", "") for c in (dig(manifest, path) or {}).get("containers") or ()
    )


def images(path: str) -> Cell:
    return lambda manifest, now: ",".join(
        c.get("image", "") for c in (dig(manifest, path) or {}).get("containers") or ()
    )


def selector(manifest: Manifest, now: datetime) -> str:
    """A label selector as text."""
    found = dig(manifest, "spec.selector")
    return selectors.format_labels(selectors.of_label_selector(found) or ()) or NONE


_TEMPLATE = "spec.template.spec"
_WIDE: tuple[Row, ...] = (("Containers", containers(_TEMPLATE), 1), ("Images", images(_TEMPLATE), 1))


# -- pods


def _waiting_or_ended(status: Manifest) -> str:
    """Why a container isn't running; "" when it is."""
    state = status.get("state") or {}
    if (state.get("waiting") or {}).get("reason"):
        return str(state["waiting"]["reason"])
    ended = state.get("terminated")
    if ended is None:
        return ""
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def _initialising(pod: Manifest) -> str:
    """What holds a pod up whose init containers aren't done; "" when they are."""
    specs = {one["name"]: one for one in dig(pod, "spec.initContainers") or ()}
    for number, status in enumerate(dig(pod, "status.initContainerStatuses") or ()):
        ended = (status.get("state") or {}).get("terminated")
        if ended is not None and ended.get("exitCode", 0) == 0:
            continue
        if specs.get(status["name"], {}).get("restartPolicy") == "Always" and status.get("started"):
            continue
        why = _waiting_or_ended(status)
        if why and why != "PodInitializing":
            return f"Init:{why}"
        return f"Init:{number}/{len(specs)}"
    return ""


def _pod_status(pod: Manifest, now: datetime) -> str:
    status = pod.get("status") or {}
    reason = str(status.get("reason") or status.get("phase") or "")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    initialising = _initialising(pod)
    if initialising:
        reason = initialising
    else:
        running = False
        for one in reversed(status.get("containerStatuses") or ()):
            why = _waiting_or_ended(one)
            if why:
                reason = why
            elif one.get("ready") and (one.get("state") or {}).get("running") is not None:
                running = True
        if reason == "Completed" and running:
            ready = any(c.get("type") == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
            reason = "Running" if ready else "NotReady"
    if dig(pod, "metadata.deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if status.get("phase") not in ("Succeeded", "Failed"):
            return "Terminating"
    return reason


def _pod_ready(pod: Manifest, now: datetime) -> str:
    total = len(dig(pod, "spec.containers") or ())
    total += sum(1 for one in dig(pod, "spec.initContainers") or () if one.get("restartPolicy") == "Always")
    statuses = dig(pod, "status.containerStatuses") or ()
    return f"{sum(1 for one in statuses if one.get('ready'))}/{total}"


def _restarts(pod: Manifest, now: datetime) -> str:
    statuses = dig(pod, "status.containerStatuses") or ()
    total = sum(int(one.get("restartCount") or 0) for one in statuses)
    ends = [str(found) for one in statuses if (found := dig(one, "lastState.terminated.finishedAt"))]
    return f"{total} ({since(max(ends), now)} ago)" if total and ends else str(total)


def _gates(pod: Manifest, now: datetime) -> str:
    gates = [gate.get("conditionType") for gate in dig(pod, "spec.readinessGates") or ()]
    if not gates:
        return NONE
    true = {c.get("type") for c in dig(pod, "status.conditions") or () if c.get("status") == "True"}
    return f"{sum(1 for gate in gates if gate in true)}/{len(gates)}"


# -- what makes pods


def _deployment_ready(deployment: Manifest, now: datetime) -> str:
    ready, wanted = dig(deployment, "status.readyReplicas") or 0, dig(deployment, "spec.replicas")
    return f"{ready}/{0 if wanted is None else wanted}"


def _integer(path: str) -> Cell:
    return lambda manifest, now: dig(manifest, path) or 0


def _job_status(job: Manifest, now: datetime) -> str:
    true = {c.get("type") for c in dig(job, "status.conditions") or () if c.get("status") == "True"}
    for type_, word in (("Complete", "Complete"), ("Failed", "Failed")):
        if type_ in true:
            return word
    if dig(job, "metadata.deletionTimestamp"):
        return "Terminating"
    for type_, word in (
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ):
        if type_ in true:
            return word
    return "Running"


def _completions(job: Manifest, now: datetime) -> str:
    done, wanted = dig(job, "status.succeeded") or 0, dig(job, "spec.completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallel = dig(job, "spec.parallelism") or 0
    return f"{done}/1 of {parallel}" if parallel > 1 else f"{done}/1"


def _job_duration(job: Manifest, now: datetime) -> str:
    started, ended = dig(job, "status.startTime"), dig(job, "status.completionTime")
    if not started:
        return ""
    return between(started, ended) if ended else since(started, now)


def _last_schedule(cron: Manifest, now: datetime) -> str:
    moment = dig(cron, "status.lastScheduleTime")
    return since(moment, now) if moment else NONE


_REPLICAS: tuple[Row, ...] = (
    ("Name", "name"),
    ("Desired", _integer("spec.replicas"), 0, "integer"),
    ("Current", _integer("status.replicas"), 0, "integer"),
    ("Ready", _integer("status.readyReplicas"), 0, "integer"),
    ("Age", "age"),
    *_WIDE,
)

WORKLOADS: dict[tuple[str, str], tuple[Row, ...]] = {
    ("", "pods"): (
        ("Name", "name"),
        ("Ready", _pod_ready),
        ("Status", _pod_status),
        ("Restarts", _restarts),
        ("Age", "age"),
        ("IP", either("status.podIP", NONE), 1),
        ("Node", either("spec.nodeName", NONE), 1),
        ("Nominated Node", either("status.nominatedNodeName", NONE), 1),
        ("Readiness Gates", _gates, 1),
    ),
    ("", "replicationcontrollers"): (
        *_REPLICAS,
        ("Selector", lambda manifest, now: labels(dig(manifest, "spec.selector")), 1),
    ),
    ("apps", "replicasets"): (*_REPLICAS, ("Selector", selector, 1)),
    ("apps", "deployments"): (
        ("Name", "name"),
        ("Ready", _deployment_ready),
        ("Up-to-date", _integer("status.updatedReplicas")),
        ("Available", _integer("status.availableReplicas")),
        ("Age", "age"),
        *_WIDE,
        ("Selector", selector, 1),
    ),
    ("apps", "statefulsets"): (("Name", "name"), ("Ready", _deployment_ready), ("Age", "age"), *_WIDE),
    ("apps", "daemonsets"): (
        ("Name", "name"),
        ("Desired", _integer("status.desiredNumberScheduled"), 0, "integer"),
        ("Current", _integer("status.currentNumberScheduled"), 0, "integer"),
        ("Ready", _integer("status.numberReady"), 0, "integer"),
        ("Up-to-date", _integer("status.updatedNumberScheduled"), 0, "integer"),
        ("Available", _integer("status.numberAvailable"), 0, "integer"),
        ("Node Selector", lambda manifest, now: labels(dig(manifest, f"{_TEMPLATE}.nodeSelector"))),
        ("Age", "age"),
        *_WIDE,
        ("Selector", selector, 1),
    ),
    ("batch", "jobs"): (
        ("Name", "name"),
        ("Status", _job_status),
        ("Completions", _completions),
        ("Duration", _job_duration),
        ("Age", "age"),
        *_WIDE,
        ("Selector", selector, 1),
    ),
    ("batch", "cronjobs"): (
        ("Name", "name"),
        ("Schedule", value("spec.schedule")),
        ("Timezone", either("spec.timeZone", NONE)),
        ("Suspend", lambda manifest, now: str(bool(dig(manifest, "spec.suspend"))), 0, "boolean"),
        ("Active", lambda manifest, now: len(dig(manifest, "status.active") or ()), 0, "integer"),
        ("Last Schedule", _last_schedule),
        ("Age", "age"),
        ("Containers", containers("spec.jobTemplate.spec.template.spec"), 1),
        ("Images", images("spec.jobTemplate.spec.template.spec"), 1),
        (
            "Selector",
            lambda manifest, now: labels(dig(manifest, "spec.jobTemplate.spec.selector.matchLabels")),
            1,
        ),
    ),
}
