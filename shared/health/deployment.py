"""Deployment: are all replicas of the newest template there, available and ready, and the old ones gone?"""

from __future__ import annotations

from shared.api.meta import Manifest
from shared.health import fields
from shared.health.verdict import Health, current, failed, in_progress

_NO_DEADLINE = 2**31 - 1  # the controller takes it for "none", and then never says Progressing


def assess(manifest: Manifest) -> Health:
    progressed = fields.integer(manifest, "spec", "progressDeadlineSeconds", default=_NO_DEADLINE) == _NO_DEADLINE
    available = False
    why = ""
    for condition in fields.conditions(manifest):
        if condition.type == "Progressing":
            if condition.reason == "ProgressDeadlineExceeded":
                return failed(": ".join(filter(None, ["Progress deadline exceeded", condition.message])))
            progressed = progressed or (condition.true and condition.reason == "NewReplicaSetAvailable")
        elif condition.type == "Available":
            available = available or condition.true
        elif condition.type == "ReplicaFailure" and condition.true:
            why = f" ({condition.text})"  # such as an exceeded quota: no pod is made, and nothing else says so

    wanted = fields.integer(manifest, "spec", "replicas", default=1)
    there = fields.integer(manifest, "status", "replicas")
    updated = fields.integer(manifest, "status", "updatedReplicas")
    ready = fields.integer(manifest, "status", "readyReplicas")
    usable = fields.integer(manifest, "status", "availableReplicas")
    if wanted > there:
        return in_progress(f"Replicas: {there}/{wanted}{why}")
    if wanted > updated:
        return in_progress(f"Updated: {updated}/{wanted}{why}")
    if there > wanted:
        return in_progress(f"Pending termination: {there - wanted}")
    if updated > usable:
        return in_progress(f"Available: {usable}/{updated}{why}")
    if wanted > ready:
        return in_progress(f"Ready: {ready}/{wanted}{why}")
    if not progressed:
        return in_progress("ReplicaSet not Available")
    if not available:
        return in_progress("Deployment not Available")
    return current(f"Deployment is available. Replicas: {there}")
