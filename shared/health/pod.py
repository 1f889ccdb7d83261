"""Pod: is it ready, or has it run to its end?

A pod that ended is Current, however it ended: it won't change any more. One that can't be scheduled gets 15 seconds
before that counts as a failure; without the time of day those seconds never end, and it stays InProgress.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.api.meta import Manifest, parse_time
from shared.health import fields
from shared.health.verdict import Health, current, failed, in_progress

SCHEDULE_WINDOW = timedelta(seconds=15)


def assess(manifest: Manifest, now: datetime | None = None) -> Health:
    phase = fields.text(manifest, "status", "phase")
    match phase:
        case "Succeeded":
            return current("Pod has completed successfully")
        case "Failed":
            return current("Pod has completed, but not successfully")
        case "Running":
            return _running(manifest)
        case "Pending":
            return _pending(manifest, now)
        case "":
            return in_progress("Pod phase not available")
    return Health("Unknown", f"unknown phase {phase[:100]}")


def _running(manifest: Manifest) -> Health:
    if any(condition.type == "Ready" and condition.true for condition in fields.conditions(manifest)):
        return current("Pod is Ready")
    looping = [
        fields.text(container, "name")
        for container in fields.items(manifest, "status", "containerStatuses")
        if fields.text(container, "state", "waiting", "reason") == "CrashLoopBackOff"
    ]
    if looping:
        return failed(f"Containers in CrashLoop state: {','.join(looping)}")
    return in_progress("Pod is running but is not Ready")


def _pending(manifest: Manifest, now: datetime | None) -> Health:
    why = unschedulable(manifest)
    if why is None:
        return in_progress("Pod is in the Pending phase")
    why = f": {why}" if why else ""
    if now is None or now - SCHEDULE_WINDOW < _created(manifest, now):
        return in_progress(f"Pod has not been scheduled{why}")
    return failed(f"Pod could not be scheduled{why}")


def unschedulable(manifest: Manifest) -> str | None:
    """Why no node takes the pod, as the scheduler says it; None when it didn't say so."""
    for condition in fields.conditions(manifest):
        if condition.type == "PodScheduled" and condition.status == "False" and condition.reason == "Unschedulable":
            return condition.message
    return None


def _created(manifest: Manifest, now: datetime) -> datetime:
    try:
        return parse_time(fields.text(manifest, "metadata", "creationTimestamp"))
    except ValueError:
        return now
