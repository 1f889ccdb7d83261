"""How objects stand: one file a case, named <kind>/<verdict>-<case>.yaml, its first line the message."""

from __future__ import annotations

import typing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared.health import Health, Status, assess
from shared.health.kinds import RULES

HERE = Path(__file__).parent
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
VERDICTS = {status.lower(): status for status in typing.get_args(Status)}
CASES = sorted(HERE.glob("*/*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_object_stands_as_its_file_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    manifest = yaml.safe_load(text)
    message = text.partition("\n")[0].removeprefix("# message: ")
    assert manifest["kind"] == path.parent.name
    assert assess(manifest, NOW) == Health(VERDICTS[path.stem.partition("-")[0]], message)


def test_every_rule_has_a_case_of_being_current() -> None:
    kinds = {kind for _, kind in RULES} | {"Pod"}
    assert kinds <= {path.parent.name for path in CASES if path.stem.startswith("current")}


def test_without_the_time_of_day_an_unschedulable_pod_stays_in_progress() -> None:
    pod = yaml.safe_load((HERE / "Pod" / "failed-unschedulable.yaml").read_text(encoding="utf-8"))
    assert assess(pod).status == "InProgress"


def test_our_own_kinds_are_in_progress_until_a_controller_has_seen_them() -> None:
    new = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"generation": 1},
        "status": {"observedGeneration": -1},
    }
    assert assess(new).status == "InProgress"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.sampled_from(["", "True", "False", "Ready", "Running", "v1"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "status", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = {"replicas", "conditions", "phase", "observedGeneration", "containerStatuses", "startTime", "updateStrategy"}


@given(
    st.sampled_from([*sorted(RULES), ("", "Pod"), ("example.com", "Widget")]),
    st.fixed_dictionaries(
        {},
        optional={
            part: json_values | st.dictionaries(st.sampled_from(sorted(FIELDS)), json_values, max_size=4)
            for part in ("metadata", "spec", "status")
        },
    ),
)
def test_whatever_a_controller_wrote_there_is_an_answer(kind: tuple[str, str], parts: dict[str, Any]) -> None:
    manifest = {"apiVersion": f"{kind[0]}/v1" if kind[0] else "v1", "kind": kind[1]} | parts
    assert assess(manifest, NOW).status in typing.get_args(Status)
