"""pytest plugin: how many scenarios ran on which API server (`-p tests.kit.report`).

A scenario is a test below tests/scenarios with the parameter `embedded` or `real`, the API server it runs on. The
closing report counts those that passed, failed or were skipped on each, and names the scenarios that ran on one only.
With FLUVIAL_REQUIRE_REAL=1 the run fails unless the very same scenarios, at least one, ran on both.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict

import pytest

APIS = {"embedded": "the embedded API", "real": "the real one"}
_PARAMETERS = re.compile(r"\[(?P<parameters>[^\]]*)\]$")


def scenario(nodeid: str) -> tuple[str, str] | None:
    """(scenario, API server) of a test's node id; None when the test is no scenario."""
    found = _PARAMETERS.search(nodeid)
    if not found or "tests/scenarios/" not in nodeid:
        return None
    parameters = found["parameters"].split("-")
    for api in APIS:
        if api in parameters:
            parameters.remove(api)
            return f"{nodeid[: found.start()]}[{'-'.join(parameters)}]".removesuffix("[]"), api
    return None


class Scenarios:
    """What became of each scenario on each API server."""

    def __init__(self) -> None:
        self.outcomes: dict[str, dict[str, str]] = defaultdict(dict)
        self.skipped_because: set[str] = set()

    def add(self, nodeid: str, when: str, outcome: str, reason: str = "") -> None:
        """Note one phase of one test: its outcome is that of its call, or of what kept it from being called."""
        if not (found := scenario(nodeid)) or (when != "call" and outcome == "passed"):
            return
        name, api = found
        self.outcomes[name][api] = outcome
        if outcome == "skipped" and reason:
            self.skipped_because.add(reason)

    def ran(self, api: str) -> set[str]:
        """The scenarios that passed or failed on this API server."""
        return {name for name, by in self.outcomes.items() if by.get(api, "skipped") != "skipped"}

    def lines(self) -> list[str]:
        """The report, a line each; empty when there was no scenario at all."""
        if not self.outcomes:
            return []
        counts = []
        for api, name in APIS.items():
            failed = sum(1 for by in self.outcomes.values() if by.get(api) == "failed")
            count = f"{len(self.ran(api))} ran on {name}"
            counts.append(f"{count} ({failed} failed)" if failed else count)
        only = self.ran("embedded") ^ self.ran("real")
        lines = [f"scenarios: {', '.join(counts)}; {'the same' if not only else f'{len(only)} on one of them only'}"]
        if self.ran("embedded") and self.ran("real"):
            lines += [f"  on one API only: {name}" for name in sorted(only)]
        return lines + [f"  skipped: {reason}" for reason in sorted(self.skipped_because)]

    def problem(self) -> str:
        """Why this doesn't show that both API servers behave alike; empty when it does."""
        if not self.ran("real"):
            return "no scenario ran on the real control plane"
        if self.ran("embedded") != self.ran("real"):
            return "not the same scenarios ran on both API servers"
        return ""


_scenarios = Scenarios()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
    _scenarios.add(report.nodeid, report.when or "", report.outcome, reason.removeprefix("Skipped: "))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    worker = hasattr(session.config, "workerinput")
    if os.environ.get("FLUVIAL_REQUIRE_REAL") == "1" and not worker and not session.exitstatus and _scenarios.problem():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _scenarios.lines():
        terminalreporter.write_line(line)
    if os.environ.get("FLUVIAL_REQUIRE_REAL") == "1" and _scenarios.problem():
        terminalreporter.write_line(f"FAILED: {_scenarios.problem()} (FLUVIAL_REQUIRE_REAL=1)")
