"""PersistentVolumeClaim: is it bound to a volume?"""

from __future__ import annotations

from shared.api.meta import Manifest
from shared.health import fields
from shared.health.verdict import Health, current, in_progress


def assess(manifest: Manifest) -> Health:
    phase = fields.text(manifest, "status", "phase", default="unknown")
    if phase != "Bound":
        return in_progress(f"PVC is not Bound. phase: {phase[:100]}")
    return current("PVC is Bound")
