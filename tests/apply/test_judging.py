"""What is drift and what is noise; what an apply did; policies. All of it from values alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.apply import ObjectId, Owner, policies
from shared.apply.judgement import Left, Record, action_of, judge
from shared.apply.live import Live, Reader
from shared.apply.policies import Policy
from shared.apply.takeover import LAST_APPLIED, Predecessors

OWNER = Owner("apps", "web")
ID = ObjectId("", "ConfigMap", "apps", "config")
LIVE = Live(
    "uid-1", 10, 1, ("apps", "web"), b"fields", "t1", Policy.NONE, takeover_due=False, deleting=False, touched=b"t1"
)
RECORD = Record(ID, OWNER, "v1", b"digest", Policy.NONE, uid="uid-1", version=10, fields=b"fields")


def live(**changes: Any) -> Live:
    return replace(LIVE, **{"version": 11, **changes})


@pytest.mark.parametrize(
    ("record", "now", "drift"),
    [
        ({}, live(), ""),
        ({}, live(fields=b"other"), "changed"),
        ({}, live(fields=b""), "changed"),
        ({}, live(uid="uid-2"), "changed"),
        ({}, None, "deleted"),
        ({}, live(owner=None), "changed"),
        ({}, live(owner=("apps", "other")), "taken"),
        ({}, live(takeover_due=True), "changed"),
        ({"policy": Policy.MERGE}, live(takeover_due=True), ""),
        ({}, live(takeover_due=True, policy=Policy.MERGE), ""),
        ({}, live(fields=b"other", policy=Policy.IGNORE), ""),
        ({}, live(fields=b"other", policy=Policy.RECONCILE_DISABLED), ""),
        ({}, live(fields=b"other", deleting=True), ""),
        ({"policy": Policy.IF_NOT_PRESENT}, live(fields=b"other"), ""),
        ({"policy": Policy.IF_NOT_PRESENT}, live(uid="uid-2"), "changed"),
        # older than what we wrote
        ({}, live(version=9, fields=b"other"), ""),
        ({"drift": "changed"}, live(version=9), "changed"),
        # skipped objects
        ({"skipped": True, "policy": Policy.IGNORE}, None, ""),
        ({"skipped": True, "policy": Policy.IF_NOT_PRESENT}, live(fields=b"x"), ""),
        ({"skipped": True, "policy": Policy.IF_NOT_PRESENT}, None, "changed"),
        ({"skipped": True}, live(policy=Policy.RECONCILE_DISABLED), ""),
        ({"skipped": True}, live(), "changed"),
        # nobody wants to know
        ({"drift_mode": "disabled"}, live(fields=b"other"), ""),
        ({"drift_mode": "disabled"}, None, ""),
        ({"policy": Policy.DRIFT_DISABLED}, live(fields=b"other"), ""),
        ({}, live(fields=b"other", policy=Policy.DRIFT_DISABLED), ""),
        ({"policy": Policy.DRIFT_ENABLED}, live(fields=b"other", policy=Policy.DRIFT_DISABLED), "changed"),
        ({"drift_mode": "warn"}, live(fields=b"other"), "changed"),
        # drift that was reported, and is left as it is
        ({"left": Left(None, live(fields=b"other").edition)}, live(fields=b"other"), ""),
        ({"left": Left(None, live(fields=b"other").edition)}, live(fields=b"other", touched=b"t2"), "changed"),
        ({"left": Left(None, live(fields=b"other").edition)}, None, "deleted"),
        ({"left": Left(None, None)}, None, ""),
        ({"left": Left(None, None)}, live(), "changed"),
    ],
)
def test_drift(record: dict[str, Any], now: Live | None, drift: str) -> None:
    assert judge(replace(RECORD, **record), now, version=11) == drift


def test_a_deletion_from_before_our_write_is_no_drift() -> None:
    assert judge(RECORD, None, version=9) == ""


@pytest.mark.parametrize(
    ("before", "after", "record", "digest", "action"),
    [
        (LIVE, LIVE, None, b"digest", "unchanged"),
        (LIVE, live(written="t2"), RECORD, b"digest", "configured"),
        (LIVE, live(fields=b"more"), RECORD, b"digest", "configured"),
        (LIVE, live(), RECORD, b"digest", "unchanged"),  # somebody else wrote a status
        (LIVE, live(), RECORD, b"other", "configured"),  # within a second of our last write
        (LIVE, live(), None, b"digest", "unchanged"),
        (LIVE, live(uid="uid-2"), None, b"digest", "configured"),
        (replace(LIVE, version=5, written="t0"), live(version=10), RECORD, b"other", "unchanged"),  # the watch is late
        (replace(LIVE, version=5, written="t0"), live(version=11), RECORD, b"digest", "unchanged"),
    ],
)
def test_what_an_apply_did(before: Live, after: Live, record: Record | None, digest: bytes, action: str) -> None:
    assert action_of(before, after, record, digest) == action


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, Policy.NONE),
        ({"ssa": "Merge"}, Policy.MERGE),
        ({"ssa": "IfNotPresent"}, Policy.IF_NOT_PRESENT),
        ({"ssa": "ignore"}, Policy.IGNORE),
        ({"ssa": "Override"}, Policy.NONE),
        ({"ssa": "nonsense"}, Policy.NONE),
        ({"force": "Enabled", "prune": "disabled"}, Policy.FORCE | Policy.PRUNE_DISABLED),
        ({"reconcile": "disabled"}, Policy.RECONCILE_DISABLED),
    ],
)
def test_policies_are_read(annotations: dict[str, str], expected: Policy) -> None:
    pairs = {f"kustomize.toolkit.fluxcd.io/{key}": value for key, value in annotations.items()}
    assert policies.read(None, pairs) == expected
    assert policies.read(pairs, {"ssa": "Ignore"}) == expected
    assert policies.read(pairs, None, group="other.io") == Policy.NONE


@pytest.mark.parametrize(
    ("desired", "there", "exists", "may"),
    [
        (Policy.NONE, Policy.NONE, True, True),
        (Policy.IF_NOT_PRESENT, Policy.NONE, False, True),
        (Policy.IF_NOT_PRESENT, Policy.NONE, True, False),
        (Policy.NONE, Policy.IF_NOT_PRESENT, True, True),
        (Policy.IGNORE, Policy.NONE, False, False),
        (Policy.NONE, Policy.IGNORE, True, False),
        (Policy.NONE, Policy.RECONCILE_DISABLED, True, False),
        (Policy.NONE, Policy.PRUNE_DISABLED, True, True),
    ],
)
def test_may_it_be_applied(desired: Policy, there: Policy, exists: bool, may: bool) -> None:
    assert policies.may_apply(desired, there, exists=exists) is may


def entry(manager: str, operation: str = "Update", subresource: str = "", **fields: Any) -> dict[str, Any]:
    result = {"manager": manager, "operation": operation, "time": "t1", "fieldsV1": fields or {"f:data": {}}}
    return result | ({"subresource": subresource} if subresource else {})


@pytest.mark.parametrize(
    ("given", "is_due"),
    [
        (entry("ours", "Apply"), False),
        (entry("ours"), True),
        (entry("kubectl-client-side-apply"), True),
        (entry("kubectl-edit"), True),
        (entry("kubectl", "Apply"), True),
        (entry("before-first-apply"), True),
        (entry("legacy-tool", "Apply"), True),
        (entry("kubectl-edit", subresource="scale"), False),
        (entry("operator"), False),
        (entry("kube-controller-manager", subresource="status"), False),
    ],
)
def test_whose_fields_are_taken_over(given: dict[str, Any], is_due: bool) -> None:
    reader = Reader(Predecessors("ours", ("legacy",)))
    metadata = {"uid": "u", "resourceVersion": "7", "managedFields": [entry("ours", "Apply"), given]}
    assert reader.of_manifest({"metadata": metadata}).takeover_due is is_due


def test_leftovers_of_older_tools_are_taken_over() -> None:
    reader = Reader(Predecessors("ours"))
    assert reader.of_manifest({"metadata": {"annotations": {LAST_APPLIED: "{}"}}}).takeover_due
    assert not reader.of_manifest({"metadata": {"annotations": {"other": "{}"}}}).takeover_due


def test_a_field_set_is_the_same_in_any_order() -> None:
    reader = Reader(Predecessors("ours"))
    one = entry("ours", "Apply", **{"f:a": {}, "f:b": {"f:c": {}}})
    other = entry("ours", "Apply", **{"f:b": {"f:c": {}}, "f:a": {}})
    less = entry("ours", "Apply", **{"f:b": {"f:c": {}}})
    digests = [reader.of_manifest({"metadata": {"managedFields": [e]}}).fields for e in (one, other, less)]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
