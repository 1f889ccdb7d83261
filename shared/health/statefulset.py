"""StatefulSet: are all replicas there and ready, and of the newest revision as far as its update strategy goes?

The controller never says that it failed, so this is never Failed by itself; pods may say it (see `pods`).
"""

from __future__ import annotations

from shared.api.meta import Manifest
from shared.health import fields
from shared.health.verdict import Health, current, in_progress


def assess(manifest: Manifest) -> Health:
    if fields.text(manifest, "spec", "updateStrategy", "type") == "OnDelete":
        # Whoever deletes the pods decides when they are updated; there is nothing to wait for.
        return current("StatefulSet is using the ondelete update strategy")
    wanted = fields.integer(manifest, "spec", "replicas", default=1)
    there = fields.integer(manifest, "status", "replicas")
    ready = fields.integer(manifest, "status", "readyReplicas")
    updated = fields.integer(manifest, "status", "updatedReplicas")
    of_current_revision = fields.integer(manifest, "status", "currentReplicas")
    partition = fields.integer(manifest, "spec", "updateStrategy", "rollingUpdate", "partition", default=-1)
    if wanted > there:
        return in_progress(f"Replicas: {there}/{wanted}")
    if wanted > ready:
        return in_progress(f"Ready: {ready}/{wanted}")
    if there > wanted:
        return in_progress(f"Pending termination: {there - wanted}")
    if partition != -1:
        if updated < wanted - partition:
            return in_progress(f"updated: {updated}/{wanted - partition}")
        return current(f"Partition rollout complete. updated: {updated}")
    if wanted > of_current_revision:
        return in_progress(f"current: {of_current_revision}/{wanted}")
    if fields.text(manifest, "status", "currentRevision") != fields.text(manifest, "status", "updateRevision"):
        return in_progress("Waiting for updated revision to match current")
    return current(f"All replicas scheduled as expected. Replicas: {there}")
