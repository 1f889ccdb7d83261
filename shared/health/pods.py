"""What a workload's pods say beyond its own status: whether one has failed for good, and why the newest one fails.

A Deployment says "Available: 0/1" for minutes; its pod knows at once that the image can't be pulled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.api.meta import Manifest
from shared.health import fields, kinds, pod
from shared.health.verdict import Health, failed

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
    found = [
        (fields.text(item, "metadata", "creationTimestamp"), fields.text(item, "metadata", "name"), failure)
        for item in pods
        if not fields.text(item, "metadata", "deletionTimestamp") and (failure := _failure(item)) is not None
    ]
    return max(found, key=lambda entry: entry[:2])[2] if found else None


def with_pods(health: Health, pods: Iterable[Manifest], now: datetime | None = None) -> Health:
    """A workload's health and what its pods add to it.

    InProgress becomes Failed when a pod has failed for good (it is crash looping); pods that wait for a node or are
    being deleted don't count. Otherwise InProgress says why the newest failing pod fails. All else stays as it is.
    """
    if health.status != "InProgress":
        return health
    pods = list(pods)
    why = newest_failure(pods)
    dead = sum(1 for item in pods if _failed_for_good(item, now))
    if dead:
        return failed(f"{dead} pods have failed" + (f" ({why})" if why else ""))
    return Health(health.status, f"{health.message} ({why})" if why else health.message)


def _failed_for_good(item: Manifest, now: datetime | None) -> bool:
    try:
        return kinds.assess(item, now).status == "Failed" and pod.unschedulable(item) is None
    except fields.Malformed:
        return False


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
