"""Waiting until what was applied is healthy, and what the condition Healthy says of it."""

from __future__ import annotations

import asyncio
import time

from kustomize_controller.build import Places
from kustomize_controller.cluster import Cluster
from kustomize_controller.report import Report
from shared.api.kustomize import Kustomization
from shared.api.meta import format_duration
from shared.apply import APPLIED, ChangeSet
from shared.health.expressions import ExpressionError, HealthChecks
from shared.loop.attempt import LONG, Attempt
from shared.loop.verdict import Failed, Stalled

HEALTHY, CANCELED = "Healthy", "HealthCheckCanceled"


def compiled(ks: Kustomization) -> HealthChecks:
    """The health checks of the spec. Stalls with InvalidCELExpression when one can't be used."""
    try:
        return HealthChecks(ks.spec.health_check_exprs)
    except ExpressionError as error:
        raise Stalled(
            "InvalidCELExpression", f"Reconciliation failed terminally due to configuration error: {error}"
        ) from error


async def wait(
    ks: Kustomization,
    attempt: Attempt[Kustomization],
    cluster: Cluster,
    changes: ChangeSet,
    places: Places,
    checks: HealthChecks,
    report: Report,
    within: float,
) -> None:
    """Wait until all is healthy, where that is asked for, without holding a worker. HealthCheckFailed."""
    if not _is_asked(ks, changes):
        attempt.mark(HEALTHY, None)
        return
    before = ks.status.conditions
    revision, seconds = attempt.about["revision"], format_duration(within)
    message = f"Running health checks for revision {revision} with a timeout of {seconds}"
    attempt.mark(HEALTHY, "Unknown", "Progressing", message)
    await attempt.progress(message)
    try:
        async with attempt.resting():
            started = time.monotonic()
            await cluster.wait_healthy(changes, places, checks, within)
            took = time.monotonic() - started
    except Failed as error:
        attempt.mark(HEALTHY, False, error.reason, error.message)
        raise
    except asyncio.CancelledError:
        if cause := attempt.preempted_by:
            attempt.event(CANCELED, f"Health checks canceled due to new reconciliation triggered by {cause}")
        raise
    was = next((condition for condition in before if condition.type == HEALTHY and condition.status == "True"), None)
    if was is not None and not report.changed and took < LONG:
        ks.status.conditions = before  # nothing was waited for, and nothing is new but perhaps the generation
        attempt.mark(HEALTHY, True, was.reason, was.message)
        return
    passed = f"Health check passed in {format_duration(round(took, 3))}"
    attempt.mark(HEALTHY, True, "Succeeded", passed)
    if was is None or (report.changed and ks.status.last_applied_revision != revision):
        report.note(passed)


def _is_asked(ks: Kustomization, changes: ChangeSet) -> bool:
    """Is there anything to check? What isn't applied, because somebody wants it so, needn't be healthy."""
    if ks.spec.wait:
        return any(change.action in APPLIED for change in changes)
    return bool(ks.spec.health_checks)
