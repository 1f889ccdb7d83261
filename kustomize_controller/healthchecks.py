"""Waiting until what was applied is healthy, and what the condition Healthy says of it."""

from __future__ import annotations

import time

from kustomize_controller.build import Built
from kustomize_controller.cluster import Cluster
from kustomize_controller.report import Report
from shared.api.kustomize import Kustomization
from shared.api.meta import format_duration
from shared.apply import ChangeSet
from shared.health.expressions import ExpressionError, HealthChecks
from shared.loop.attempt import LONG, Attempt
from shared.loop.verdict import Failed, Stalled

HEALTHY = "Healthy"


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
    built: Built,
    checks: HealthChecks,
    report: Report,
    within: float,
) -> None:
    """Wait until all is healthy, where that is asked for, without holding a worker. HealthCheckFailed."""
    if not (ks.spec.wait or ks.spec.health_checks):
        attempt.mark(HEALTHY, None)
        return
    before, started = ks.status.conditions, time.monotonic()
    revision, seconds = attempt.about["revision"], format_duration(within)
    message = f"Running health checks for revision {revision} with a timeout of {seconds}"
    attempt.mark(HEALTHY, "Unknown", "Progressing", message)
    await attempt.progress(message)
    try:
        async with attempt.resting():
            await cluster.wait_healthy(changes, built, checks, within)
    except Failed as error:
        attempt.mark(HEALTHY, False, error.reason, error.message)
        raise
    took = time.monotonic() - started
    was_healthy = any(condition.type == HEALTHY and condition.status == "True" for condition in before)
    if was_healthy and not report.changed and took < LONG:
        ks.status.conditions = before  # nothing was waited for, and nothing is new
        return
    attempt.mark(HEALTHY, True, "Succeeded", f"Health check passed in {format_duration(round(took, 3))}")
    if took >= LONG:
        report.note(f"Health check passed in {format_duration(round(took, 3))}")
