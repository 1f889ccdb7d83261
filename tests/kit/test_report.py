"""The closing report of a test run: which scenarios ran on which API server."""

from __future__ import annotations

import pytest

from tests.kit.report import Scenarios, scenario


@pytest.mark.parametrize(
    ("nodeid", "expected"),
    [
        ("tests/scenarios/test_a.py::test_x[embedded]", ("tests/scenarios/test_a.py::test_x", "embedded")),
        ("tests/scenarios/test_a.py::test_x[real-big]", ("tests/scenarios/test_a.py::test_x[big]", "real")),
        ("tests/scenarios/test_a.py::test_x", None),
        ("tests/kit/test_a.py::test_x[real]", None),
        ("tests/scenarios/test_a.py::test_x[unreal]", None),
    ],
)
def test_a_scenario_is_known_by_its_place_and_its_api(nodeid: str, expected: tuple[str, str] | None) -> None:
    assert scenario(nodeid) == expected


def ran(*tests: tuple[str, str]) -> Scenarios:
    found = Scenarios()
    for name, outcome in tests:
        nodeid = f"tests/scenarios/test_a.py::{name}"
        found.add(nodeid, "setup", "skipped" if outcome == "skipped" else "passed", "needs Go")
        if outcome != "skipped":
            found.add(nodeid, "call", outcome)
        found.add(nodeid, "teardown", "passed")
    return found


def test_the_same_scenarios_on_both_are_counted_and_no_problem() -> None:
    found = ran(("test_x[embedded]", "passed"), ("test_x[real]", "failed"))
    assert found.lines() == ["scenarios: 1 ran on the embedded API, 1 ran on the real one (1 failed); the same"]
    assert found.problem() == ""


def test_a_skipped_real_one_is_a_problem_with_its_reason() -> None:
    found = ran(("test_x[embedded]", "passed"), ("test_x[real]", "skipped"))
    first, second = found.lines()
    assert first == "scenarios: 1 ran on the embedded API, 0 ran on the real one; 1 on one of them only"
    assert second == "  skipped: needs Go"
    assert found.problem() == "no scenario ran on the real control plane"


def test_a_scenario_on_one_api_only_is_named() -> None:
    found = ran(("test_x[embedded]", "passed"), ("test_x[real]", "passed"), ("test_y[real]", "passed"))
    assert "  on one API only: tests/scenarios/test_a.py::test_y" in found.lines()
    assert found.problem() == "not the same scenarios ran on both API servers"


def test_a_run_without_scenarios_reports_nothing() -> None:
    assert ran().lines() == []
