"""Figures are told as they are: medians with their spread, and targets that can be missed."""

from __future__ import annotations

from tests.bench import report, targets
from tests.bench.latencies import quantiles
from tests.bench.meter import Figures, writes


def fleet(apply: float = 10.0) -> dict[str, Figures]:
    """Two processes' figures by phase; applying takes `apply` seconds."""
    figures = {"seconds": 10.0, "cpu API server": 40.0, "cpu kustomize-controller": 5.0, "cpu source-controller": 1.0}
    phases = {name: dict(figures) for name in ("sources", "apply", "noop", "update", "delete", "idle", "restart")}
    phases |= {f"floor {name}": dict(figures) for name in ("apply", "noop", "noop with its request", "update")}
    phases["apply"]["seconds"] = apply
    phases["restart"] |= {"ready": 1.0, "calls PATCH kustomizations/status": 0.5, "calls POST events": 1.0}
    return phases | {"drift": {"p50": 10.0, "p99": 20.0}}


def judged(found: dict[str, Figures]) -> dict[str, bool]:
    return {one.target.what: one.met for one in targets.judge(found, 100)}


def test_a_target_is_met_at_most_by_what_it_says() -> None:
    assert judged(fleet(apply=15.0))["apply: time, to the floor"]
    assert not judged(fleet(apply=15.1))["apply: time, to the floor"]
    assert not judged(fleet())["restart: writes"]


def test_what_users_send_is_no_cost_of_a_noop() -> None:
    found = fleet()
    found["noop"]["seconds"], found["floor noop"]["seconds"], found["floor noop with its request"]["seconds"] = (
        5,
        2,
        4.5,
    )
    assert not judged(found)["noop: time, to the floor"]
    assert judged(found)["noop: time beyond that of the requests, to the floor"]  # 2.5 of 2
    found["noop"]["seconds"] = 5.2
    assert not judged(found)["noop: time beyond that of the requests, to the floor"]


def test_what_a_slower_moment_adds_is_told_by_etcd_which_does_the_same_in_both() -> None:
    found = fleet()
    found["apply"] |= {"cpu API server": 52.0, "cpu etcd": 6.5}
    found["floor apply"] |= {"cpu API server": 40.0, "cpu etcd": 5.0}
    assert not judged(found)["apply: API server, to the floor"]
    assert targets.by_etcd(found, "apply") == 1.0
    assert judged(found)["apply: API server, to the floor, by etcd's time for the same work"]
    assert targets.by_etcd(fleet(), "apply") is None  # an embedded API has no etcd


def test_events_and_reads_are_no_writes_to_objects() -> None:
    assert writes({"calls POST events": 1.0, "calls LIST pods": 2.0, "calls PUT leases": 1.0, "cpu x": 9.0}) == 0
    assert writes({"calls PATCH kustomizations/status": 0.5, "calls GET services": 1.0}) == 0.5


def test_runs_are_told_by_their_median_and_spread() -> None:
    runs = [fleet(apply) for apply in (12.0, 30.0, 11.0)]
    assert report.medians(runs)["apply"]["seconds"] == 12.0
    [row] = [row for row in report.phases(runs) if row[0] == "apply"]
    assert row[1:3] == ["12.0 (11.0..30.0)", "1.20 (1.10..3.00)"]
    assert row[5] == "6.00"


def test_quantiles_are_of_the_sample() -> None:
    assert quantiles([0.001 * number for number in range(1, 101)]) == {"p50": 50.5, "p99": 99.0, "max": 100.0}
    assert quantiles([0.5]) == {"p50": 500.0, "p99": 500.0, "max": 500.0}


def test_a_table_has_a_row_for_each_phase_and_nothing_where_nothing_was_measured() -> None:
    runs: list[dict[str, Figures]] = [
        {"first": {"seconds": seconds, "peak": 90.0}, "again": {"seconds": 1.0}} for seconds in (4.0, 2.0, 3.0)
    ]
    assert report.rows(runs, {"seconds": "seconds", "peak, MiB": "peak"}) == [
        ["", "seconds", "peak, MiB"],
        ["first", "3.00 (2.00..4.00)", "90.0"],
        ["again", "1.00", ""],
    ]
