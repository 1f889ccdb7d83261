"""What becomes of objects that were changed or deleted in the cluster, and what people are told of those left so.

spec.driftDetection, spec.ignore → how they are applied;  changes → the condition Drifted, status.drift, an event
"""

from __future__ import annotations

from collections.abc import Sequence

from kustomize_controller import budget, history
from shared import apply
from shared.api.kustomize import DriftedField, DriftedObject, Kustomization
from shared.apply import ChangeSet, Drifted
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed

CONDITION = "Drifted"
DETECTED, NONE_DETECTED = "DriftDetected", "NoDriftDetected"
AFTER_APPLYING = frozenset({history.SUCCEEDED, "PruneFailed", budget.HELD, "HealthCheckFailed"})
"""Outcomes that a pass can have only once everything is applied."""
MOST_OBJECTS = 20
"""Objects that the status and the condition tell of; the others are counted."""
LONGEST = 4000
"""Characters of the condition's message and of the event's."""


def wanted(ks: Kustomization, digest: str) -> apply.Drift:
    """How the spec wants drift to be treated; `digest` is that of the objects that are about to be applied.
    ReconciliationFailed when a rule can't be used."""
    asked = ks.spec.drift_detection
    try:
        rules = apply.Rules([*ks.spec.ignore, *(asked.ignore if asked else ())])
    except apply.RuleError as error:
        raise Failed("ReconciliationFailed", str(error)) from error
    return apply.Drift(
        mode=(asked.mode if asked else None) or "enabled",  # type: ignore[arg-type]  # the CRD has the same values
        rules=rules,
        was_applied=_was_applied(ks, digest),
        reveal=not _may_hold_secrets(ks),
    )


def _was_applied(ks: Kustomization, digest: str) -> bool:
    """Does the status say that these very objects were the last that were applied, by this very spec? Of another
    cluster it can't say it: a kubeconfig may lead elsewhere today."""
    newest = ks.status.history[0] if ks.status.history else None
    return (
        newest is not None
        and newest.digest == digest
        and newest.last_reconciled_status in AFTER_APPLYING
        and ks.status.observed_generation == ks.metadata.generation
        and ks.spec.kube_config is None
    )


def _may_hold_secrets(ks: Kustomization) -> bool:
    """Objects of any kind may hold what was decrypted, or filled in from a Secret."""
    filled = ks.spec.post_build.substitute_from if ks.spec.post_build else []
    return ks.spec.decryption is not None or any(reference.kind == "Secret" for reference in filled)


def tell(ks: Kustomization, attempt: Attempt[Kustomization], changes: ChangeSet) -> None:
    """Put the drift that is left into the status, and tell people when it isn't what they were told already."""
    drifted = [change.drift for change in changes if change.drift is not None]
    ks.status.drift = [_entry(one) for one in drifted[:MOST_OBJECTS]]
    before = next((one for one in ks.status.conditions if one.type == CONDITION), None)
    if drifted:
        message = described(drifted)
        attempt.mark(CONDITION, True, DETECTED, message)
        if before is None or (before.status, before.message) != ("True", message):
            attempt.event(DETECTED, message, "error")
    elif ks.spec.drift_detection is not None and ks.spec.drift_detection.mode == "warn":
        attempt.mark(CONDITION, False, NONE_DETECTED, "No drift detected against the cluster state")
    else:
        attempt.mark(CONDITION, None)


def described(drifted: Sequence[Drifted]) -> str:
    """One line an object, as many as fit; the others are counted. Pure."""
    lines: list[str] = []
    for one in drifted[:MOST_OBJECTS]:
        line = str(one)
        if sum(map(len, lines)) + len(line) > LONGEST:
            break
        lines.append(line)
    more = len(drifted) - len(lines)
    return "\n".join([*lines, *([f"and {more} more objects drifted"] if more else [])])


def _entry(drifted: Drifted) -> DriftedObject:
    return DriftedObject(
        id=drifted.id.inventory_id,
        v=drifted.version,
        change=drifted.what,
        fields=[
            DriftedField(
                path=field.path,
                desired=field.desired,
                last_applied=field.applied,
                live=field.live,
                manager=field.author.manager or None,
                operation=field.author.operation or None,
                time=field.author.time or None,
            )
            for field in drifted.fields
        ],
        more_fields=drifted.more or None,
    )
