"""ReplicaSet: are all replicas there, available and ready, and no more than those?"""

from __future__ import annotations

from shared.api.meta import Manifest
from shared.health import fields
from shared.health.verdict import Health, current, in_progress


def assess(manifest: Manifest) -> Health:
    for condition in fields.conditions(manifest):
        if condition.type == "ReplicaFailure" and condition.true:
            why = f": {condition.text}" if condition.text else ""
            return in_progress(f"Replica Failure condition. Check Pods{why}")
    wanted = fields.integer(manifest, "spec", "replicas", default=1)
    there = fields.integer(manifest, "status", "replicas")
    labelled = fields.integer(manifest, "status", "fullyLabeledReplicas")
    usable = fields.integer(manifest, "status", "availableReplicas")
    ready = fields.integer(manifest, "status", "readyReplicas")
    if wanted > labelled:
        return in_progress(f"Labelled: {labelled}/{wanted}")
    if wanted > usable:
        return in_progress(f"Available: {usable}/{wanted}")
    if wanted > ready:
        return in_progress(f"Ready: {ready}/{wanted}")
    if there > wanted:
        return in_progress(f"Pending termination: {there - wanted}")
    return current(f"ReplicaSet is available. Replicas: {there}")
