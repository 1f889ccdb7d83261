"""What a workload's pods say beyond its own status: why the newest one doesn't work.

A Deployment says "Available: 0/1" for minutes; its pod knows at once that the image can't be pulled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shared.api.meta import Manifest
from shared.health import fields, pod
from shared.health.verdict import Health

MESSAGE_LIMIT = 300
"""The longest part of a kubelet's message that is passed on, in characters."""

_ON_ITS_WAY = {"", "ContainerCreating", "PodInitializing"}


@dataclass(frozen=True, slots=True)
class PodFailure:
    """Why a pod doesn't work. What the container itself wrote is left out: it may hold secrets."""

    pod: str
    container: str
    """"" when it is the pod as a whole."""
    reason: str
    """In one CamelCase word, such as CrashLoopBackOff, ErrImagePull, OOMKilled, Unschedulable."""
    message: str

    def __str__(self) -> str:
        where = f"pod {self.pod}" + (f", container {self.container}" if self.container else "")
        return f"{where}: {self.reason}" + (f": {self.message}" if self.message else "")


def newest_failure(pods: Iterable[Manifest]) -> PodFailure | None:
    """Why the newest of the pods that don't work fails; None when all work or are on their way.

    Pods that are being deleted don't count: they are the old ones of a rollout. Newest is by creation, then by name,
    so that the answer doesn't flicker between pods of one age.
    """
    return _newest(pods, _failure)


def with_pods(health: Health, pods: Iterable[Manifest]) -> Health:
    """How a workload stands, with why its newest failing pod fails, or else what its newest pod is at that isn't ready.

    Of one that is Current nothing is added.
    """
    if health.status not in ("InProgress", "Failed"):
        return health
    pods = list(pods)
    why = _newest(pods, _failure) or _newest(pods, _unready)
    return health if why is None else Health(health.status, f"{health.message} ({why})")


def _newest(pods: Iterable[Manifest], why: Callable[[Manifest], PodFailure | None]) -> PodFailure | None:
    found = [
        (fields.text(item, "metadata", "creationTimestamp"), fields.text(item, "metadata", "name"), failure)
        for item in pods
        if not fields.text(item, "metadata", "deletionTimestamp") and (failure := why(item)) is not None
    ]
    return max(found, key=lambda entry: entry[:2])[2] if found else None


def _failure(item: Manifest) -> PodFailure | None:
    name = fields.text(item, "metadata", "name")
    try:
        nowhere = pod.unschedulable(item)
    except fields.Malformed:
        nowhere = None
    if nowhere is not None:
        return PodFailure(name, "", "Unschedulable", _cut(nowhere))
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in fields.items(item, "status", group):
            said = _container_failure(container)
            if said is not None:
                return PodFailure(name, fields.text(container, "name"), *said)
    if fields.text(item, "status", "phase") == "Failed":
        reason = fields.text(item, "status", "reason") or "Failed"  # such as Evicted
        return PodFailure(name, "", reason, _cut(fields.text(item, "status", "message")))
    return None


def _unready(item: Manifest) -> PodFailure | None:
    """What a pod that may still become ready is at: its first container that waits, or its own words."""
    name = fields.text(item, "metadata", "name")
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in fields.items(item, "status", group):
            waiting = fields.text(container, "state", "waiting", "reason")
            if waiting:
                message = _cut(fields.text(container, "state", "waiting", "message"))
                return PodFailure(name, fields.text(container, "name"), waiting, message)
    try:
        conditions = list(fields.conditions(item))
    except fields.Malformed:
        return None
    unready = next((one for one in conditions if one.type == "Ready" and one.status == "False"), None)
    if unready is None or unready.reason == "PodCompleted":
        return None
    return PodFailure(name, "", unready.reason or "NotReady", _cut(unready.message))


def _container_failure(container: Manifest) -> tuple[str, str] | None:
    waiting = fields.text(container, "state", "waiting", "reason")
    if waiting not in _ON_ITS_WAY:
        message = _cut(fields.text(container, "state", "waiting", "message"))
        ended = _ended(container, "lastState")
        if ended:
            message = "; ".join(filter(None, [message, f"it ended with {ended[1]} ({ended[0]})"]))
        return waiting, message
    return _ended(container, "state") or (_ended(container, "lastState") if waiting else None)


def _ended(container: Manifest, state: str) -> tuple[str, str] | None:
    """How a container ended, when it ended badly: the reason, and its exit code."""
    code = fields.integer(container, state, "terminated", "exitCode")
    if code == 0:
        return None
    return fields.text(container, state, "terminated", "reason") or "Error", f"exit code {code}"


def _cut(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
