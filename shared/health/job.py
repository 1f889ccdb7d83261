"""Job: has it completed? A running one is InProgress, as Flux has it: what depends on a migration waits for its end.

A suspended Job is Current: nothing will happen until somebody resumes it.
"""

from __future__ import annotations

from shared.api.meta import Manifest
from shared.health import fields
from shared.health.verdict import Health, current, failed, in_progress


def assess(manifest: Manifest) -> Health:
    if fields.value(manifest, "spec", "suspend") is True:
        return current("Job is suspended")
    parallelism = fields.integer(manifest, "spec", "parallelism", default=1)
    completions = fields.integer(manifest, "spec", "completions", default=parallelism)
    active = fields.integer(manifest, "status", "active")
    successes = fields.integer(manifest, "status", "succeeded")
    failures = fields.integer(manifest, "status", "failed")
    for condition in fields.conditions(manifest):
        if condition.type == "Complete" and condition.true:
            return current(f"Job Completed. succeeded: {successes}/{completions}")
        if condition.type == "Failed" and condition.true:
            why = ": ".join(filter(None, [condition.reason, condition.message]))
            return failed(f"Job Failed. failed: {failures}/{completions}" + (f" ({why})" if why else ""))
    if not fields.text(manifest, "status", "startTime"):
        return in_progress(f"Job not started. active: {active}/{parallelism}")
    return in_progress(f"Job in progress. success:{successes}, active: {active}, failed: {failures}")
