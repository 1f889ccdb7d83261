"""Status writes of toolkit kinds whose conditions contradict each other are refused, where that is asked for."""

from __future__ import annotations

import pytest

from kubeapi.invariants import broken

NOW = "2026-01-01T00:00:00Z"


def condition(type_: str, status: str = "True", **fields: object) -> dict:
    return {"type": type_, "status": status, "reason": "R", "message": "m", "lastTransitionTime": NOW, **fields}


def holding(*conditions: dict, observed: int | None = None, generation: int = 2) -> dict:
    status: dict = {"conditions": list(conditions)}
    if observed is not None:
        status["observedGeneration"] = observed
    return {"metadata": {"name": "a", "generation": generation}, "status": status}


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (holding(condition("Ready"), condition("Stalled")), "Ready and Stalled are both True"),
        (holding(condition("Ready"), condition("Reconciling")), "Ready and Reconciling are both True"),
        (holding(condition("Stalled"), condition("Reconciling")), "Stalled and Reconciling are both True"),
        (holding(condition("Ready"), condition("Ready", "False")), "condition Ready is there more than once"),
        (holding(condition("Ready", "Maybe")), "condition Ready: status is 'Maybe'"),
        (holding(condition("Ready", reason="")), "condition Ready: it has no reason"),
        (holding(condition("Ready", lastTransitionTime="soon")), "lastTransitionTime 'soon' is no time"),
        (holding(condition("Ready", observedGeneration=3)), "observedGeneration 3 is beyond generation 2"),
        (holding(observed=3), "observedGeneration 3 is beyond generation 2"),
    ],
)
def test_a_contradiction_is_named(manifest: dict, problem: str):
    assert any(problem in found for found in broken(manifest))


@pytest.mark.parametrize(
    "manifest",
    [
        holding(condition("Ready", observedGeneration=2), observed=2),
        holding(condition("Ready", "False"), condition("Stalled"), observed=2),
        holding(condition("Ready", "Unknown"), condition("Reconciling"), observed=-1),
        {"metadata": {"name": "a"}},
    ],
)
def test_what_agrees_is_fine(manifest: dict):
    assert broken(manifest) == []
