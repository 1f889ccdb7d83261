"""The rules that hold for objects of every kind: generation, deletion, and the conditions all controllers share."""

from __future__ import annotations

from shared.api.meta import Manifest
from shared.health import fields
from shared.health.verdict import Health, current, failed, in_progress


def first(manifest: Manifest) -> Health | None:
    """What decides before a kind's own rule is asked; None when nothing does.

    An object that is being deleted is Terminating; one whose controller saw an older spec only is InProgress; a
    condition Reconciling or Stalled that is True decides, in the order they stand in.
    """
    if fields.text(manifest, "metadata", "deletionTimestamp"):
        return Health("Terminating", "Resource scheduled for deletion")
    generation = fields.generation(manifest, "metadata", "generation")
    observed = fields.generation(manifest, "status", "observedGeneration")
    if generation is not None and observed is not None and generation != observed:
        kind = fields.text(manifest, "kind")
        return in_progress(f"{kind} generation is {generation}, but latest observed generation is {observed}")
    for condition in fields.conditions(manifest):
        if condition.type == "Reconciling" and condition.true:
            return in_progress(condition.text)
        if condition.type == "Stalled" and condition.true:
            return failed(condition.text)
    return None


def last(manifest: Manifest) -> Health:
    """What decides for a kind that has no rule: its Ready condition; without one the object counts as Current."""
    for condition in fields.conditions(manifest):
        if condition.type == "Ready":
            if condition.true:
                return current("Resource is Ready")
            if condition.status in ("False", "Unknown"):
                return in_progress(condition.text)
    return current("Resource is current")


def always(manifest: Manifest) -> Health:
    """The rule of kinds that are done once they are stored."""
    return current("Resource is always ready")
