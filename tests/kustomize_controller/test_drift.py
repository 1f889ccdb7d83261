"""What people are told of drift that is left, and how much of it."""

from __future__ import annotations

from typing import Any

import pytest

from kustomize_controller import drift
from shared.api.kustomize import Snapshot
from shared.apply import Drifted, ObjectId
from shared.loop.verdict import Failed
from tests.kustomize_controller.test_build import kustomization


def deleted(number: int, name: str = "cm") -> Drifted:
    return Drifted(ObjectId("", "ConfigMap", "team", f"{name}-{number}"), "v1", "deleted")


def test_every_object_has_a_line_and_those_that_do_not_fit_are_counted() -> None:
    assert drift.described([deleted(1)]) == "ConfigMap/team/cm-1 was deleted"
    lines = drift.described([deleted(number) for number in range(500)]).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 480 more objects drifted"
    long = drift.described([deleted(number, "x" * 900) for number in range(50)])
    assert len(long) < 4200
    assert long.endswith("more objects drifted")


@pytest.mark.parametrize(
    ("spec", "reveal"),
    [
        ({}, True),
        ({"decryption": {"provider": "sops"}}, False),
        ({"postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "x"}]}}, True),
        ({"postBuild": {"substituteFrom": [{"kind": "Secret", "name": "x"}]}}, False),
    ],
)
def test_values_are_shown_where_none_can_come_from_a_secret(spec: dict[str, Any], reveal: bool) -> None:
    assert drift.wanted(kustomization(**spec), "sha256:1").reveal is reveal


@pytest.mark.parametrize(
    ("digest", "outcome", "observed", "spec", "was_applied"),
    [
        ("sha256:1", "ReconciliationSucceeded", 1, {}, True),
        ("sha256:1", "HealthCheckFailed", 1, {}, True),
        ("sha256:1", "PruneHeld", 1, {}, True),
        ("sha256:1", "ReconciliationFailed", 1, {}, False),
        ("sha256:2", "ReconciliationSucceeded", 1, {}, False),
        ("sha256:1", "ReconciliationSucceeded", 0, {}, False),
        ("sha256:1", "ReconciliationSucceeded", 1, {"kubeConfig": {"secretRef": {"name": "x"}}}, False),
    ],
)
def test_the_status_tells_what_was_applied_before(
    digest: str, outcome: str, observed: int, spec: dict[str, Any], was_applied: bool
) -> None:
    ks = kustomization(**spec)
    ks.status.observed_generation = observed
    ks.status.history = [
        Snapshot(
            digest=digest,
            first_reconciled="",
            last_reconciled="",
            last_reconciled_duration="1s",
            last_reconciled_status=outcome,
            total_reconciliations=1,
        )
    ]
    assert drift.wanted(ks, "sha256:1").was_applied is was_applied


def test_the_rules_of_both_fields_count_and_a_broken_one_is_told() -> None:
    both = kustomization(ignore=[{"paths": ["/a"]}], driftDetection={"mode": "warn", "ignore": [{"paths": ["/b"]}]})
    wanted = drift.wanted(both, "")
    assert (wanted.mode, wanted.rules.pointers({})) == ("warn", (("a",), ("b",)))
    with pytest.raises(Failed, match="no JSON pointer"):
        drift.wanted(kustomization(ignore=[{"paths": ["a"]}]), "")
