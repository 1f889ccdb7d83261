"""PodDisruptionBudget: its controller says nothing but that it saw the newest spec, which the generic rule checks."""

from __future__ import annotations

from shared.api.meta import Manifest
from shared.health.verdict import Health, current


def assess(manifest: Manifest) -> Health:
    return current("AllowedDisruptions has been computed.")
