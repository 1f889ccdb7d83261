"""DaemonSet: does every node that should have a pod have one of the newest template, available and ready?"""

from __future__ import annotations

from shared.api.meta import Manifest
from shared.health import fields
from shared.health.verdict import Health, current, in_progress


def assess(manifest: Manifest) -> Health:
    # Its controller always writes both, so without them it hasn't looked yet.
    for parent, name in (("metadata", "generation"), ("status", "observedGeneration")):
        if fields.generation(manifest, parent, name) is None:
            return in_progress(f"DaemonSet {parent}.{name} not found")
    wanted = fields.integer(manifest, "status", "desiredNumberScheduled", default=-1)
    if wanted == -1:
        return in_progress("Missing .status.desiredNumberScheduled")
    for word, name in (
        ("Current", "currentNumberScheduled"),
        ("Updated", "updatedNumberScheduled"),
        ("Available", "numberAvailable"),
        ("Ready", "numberReady"),
    ):
        there = fields.integer(manifest, "status", name)
        if wanted > there:
            return in_progress(f"{word}: {there}/{wanted}")
    return current(f"All replicas scheduled as expected. Replicas: {wanted}")
