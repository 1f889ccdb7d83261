"""Health that users write in CEL."""

from __future__ import annotations

from typing import Any

import pytest

from shared.api.meta import Manifest
from shared.api.parts import HealthCheckExpression
from shared.health import Health
from shared.health.expressions import ExpressionError, Expressions, HealthChecks


def widget(status: Any = None, *, kind: str = "Widget", group: str = "example.com", generation: int = 1) -> Manifest:
    manifest: Manifest = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"generation": generation}}
    return manifest | ({} if status is None else {"status": status})


def entry(
    api_version: str = "example.com/v1", kind: str | None = "Widget", **expressions: str
) -> HealthCheckExpression:
    return HealthCheckExpression(
        api_version=api_version, kind=kind, current=expressions.pop("current", "true"), **expressions
    )


PHASES = Expressions(
    "example.com/v1",
    "Widget",
    current="status.phase == 'Done' || status.phase == 'Both'",
    in_progress="status.phase == 'Busy' || status.phase == 'All'",
    failed="status.phase in ['Broken', 'Both', 'All']",
)


@pytest.mark.parametrize(
    ("phase", "status"),
    [
        ("Done", "Current"),
        ("Busy", "InProgress"),
        ("Broken", "Failed"),
        ("Both", "Failed"),
        ("All", "InProgress"),
        ("New", "InProgress"),
    ],
)
def test_the_first_expression_that_holds_decides_in_progress_before_failed_before_current(phase: str, status: str):
    assert PHASES.assess(widget({"phase": phase})).status == status


def test_an_expression_that_fails_on_the_object_makes_it_unknown():
    expression = "inProgress: failed to evaluate the CEL expression 'status.phase == 'Busy' || status.phase == 'All''"
    assert PHASES.assess(widget()) == Health("Unknown", f"{expression}: no such attribute(s): status")
    assert PHASES.assess(widget({})) == Health("Unknown", f"{expression}: no such key: phase")


def test_an_expression_that_gives_no_boolean_makes_it_unknown():
    expressions = Expressions("example.com/v1", "Widget", current="status.phase")
    assert expressions.assess(widget({"phase": "Done"})).status == "Unknown"


def test_the_ready_condition_says_what_the_object_waits_for():
    conditions = [{"type": "Ready", "status": "False", "reason": "Slow", "message": "waiting for the oven"}]
    health = PHASES.assess(widget({"phase": "Busy", "conditions": conditions}))
    assert health == Health("InProgress", "health check expression inProgress holds: waiting for the oven")


def test_what_the_controller_has_not_seen_yet_is_in_progress_whatever_the_expressions_say():
    health = PHASES.assess(widget({"phase": "Done", "observedGeneration": 1}, generation=2))
    assert health == Health("InProgress", "Widget generation is 2, but latest observed generation is 1")


def test_an_observed_generation_of_another_type_is_left_to_the_expressions():
    assert PHASES.assess(widget({"phase": "Done", "observedGeneration": "1"}, generation=2)).status == "Current"


def test_an_object_that_is_being_deleted_is_terminating():
    manifest = widget({"phase": "Done"})
    manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert PHASES.assess(manifest).status == "Terminating"


def test_only_the_group_is_compared_and_a_kind_goes_before_all_kinds():
    checks = HealthChecks([entry("example.com/v1", None, current="false"), entry("example.com/v1beta1", "Widget")])
    assert checks.assess(widget()).status == "Current"
    assert checks.assess(widget(kind="Gadget")).status == "InProgress"
    assert checks.assess(widget(group="other.com")).message == "Resource is current"


def test_jobs_keep_their_own_rule():
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "status": {}}
    assert HealthChecks([entry("batch/v1", "Job")]).assess(job).status == "InProgress"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry(current="status.")], "healthCheckExprs[0].current: 1:8: Syntax error"),
        ([entry(), entry(kind="Other", failed="1 +")], "healthCheckExprs[1].failed: 1:4: Syntax error"),
        ([entry(current="")], "healthCheckExprs[0].current: required, but missing"),
        ([entry(), entry("example.com/v2")], "healthCheckExprs[1]: duplicate custom health check for Widget of"),
        ([entry("v1", None), entry("v1", None)], "duplicate custom health check for all kinds of the core group"),
    ],
)
def test_expressions_that_can_not_be_used_are_refused_with_their_place(
    entries: list[HealthCheckExpression], message: str
):
    with pytest.raises(ExpressionError) as refused:
        HealthChecks(entries)
    assert message in str(refused.value)
