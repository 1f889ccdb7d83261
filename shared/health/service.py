"""Service: has it the address it needs? Only one of type LoadBalancer waits, for its cluster address."""

from __future__ import annotations

from shared.api.meta import Manifest
from shared.health import fields
from shared.health.verdict import Health, current, in_progress


def assess(manifest: Manifest) -> Health:
    kind = fields.text(manifest, "spec", "type", default="ClusterIP")
    if kind == "LoadBalancer" and not fields.text(manifest, "spec", "clusterIP"):
        return in_progress("ClusterIP not set. Service type: LoadBalancer")
    return current("Service is ready")
