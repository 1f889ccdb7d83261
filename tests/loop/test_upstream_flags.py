"""Every flag, default, feature gate and environment variable that upstream documents is there.

So a Deployment made for its controllers starts ours.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from shared.api.meta import parse_duration

CONTRACT = Path(__file__).parents[3] / "shared/contract/flags_metrics.json"
BUILT = ("source", "kustomize", "notification")
ALWAYS = {"CancelHealthCheckOnNewRevision": True}
"""Gates that have no other way here."""
pytestmark = pytest.mark.skipif(not CONTRACT.exists(), reason="the contract is not beside the repository")


def contract() -> dict[str, Any]:
    return json.loads(CONTRACT.read_text()) if CONTRACT.exists() else {}


def controller(name: str) -> Any:
    return importlib.import_module(f"{name}_controller.__main__")


def wanted(flag: dict[str, Any]) -> Any:
    """The default as our types have it."""
    value = flag["default"]
    if flag["type"] == "duration" or (flag["name"].startswith("helm-cache-") and isinstance(value, str)):
        return parse_duration(value)
    return value


@pytest.mark.parametrize("name", BUILT)
def test_each_flag_has_upstream_s_default(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in contract()["environment"]:
        for variable in each["name"].split(", "):
            monkeypatch.delenv(variable, raising=False)
    options = vars(controller(name).options([]))
    differ = {}
    for flag in (*contract()["commonFlags"], *contract()["flags"][f"{name}-controller"]):
        if flag["name"] == "feature-gates":
            continue
        found = options.get(flag["name"].replace("-", "_"), "missing")
        if (found or None) != (wanted(flag) or None):
            differ[flag["name"]] = (found, wanted(flag))
    assert differ == {}


@pytest.mark.parametrize("name", BUILT)
def test_each_feature_gate_has_upstream_s_default(name: str) -> None:
    gates = [each for each in contract()["featureGates"] if each["controller"] == f"{name}-controller"]
    options = controller(name).options([])
    assert {each["gate"]: options.feature_gates.get(each["gate"], "missing") for each in gates} == {
        each["gate"]: ALWAYS.get(each["gate"], each["default"]) for each in gates
    }


@pytest.mark.parametrize(
    ("variable", "option"),
    [
        ("METRICS_ADDR", "metrics_addr"),
        ("EVENTS_ADDR", "events_addr"),
        ("STORAGE_PATH", "storage_path"),
        ("STORAGE_ADDRESS", "storage_addr"),
        ("STORAGE_ADV_ADDR", "storage_adv_addr"),
        ("RUNTIME_NAMESPACE", "runtime_namespace"),
    ],
)
def test_the_environment_gives_defaults(variable: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "set-by-environment")
    assert getattr(controller("source").options([]), option) == "set-by-environment"


@pytest.mark.parametrize("name", BUILT)
def test_the_arguments_of_upstream_s_deployment_are_taken(name: str) -> None:
    arguments = contract()["deployment"]["args"]
    controller(name).options([each.replace("$(RUNTIME_NAMESPACE)", "flux-system") for each in arguments])


@pytest.mark.parametrize("percentage", ["100", "-1", "many"])
def test_intervals_vary_by_less_than_themselves(percentage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        controller("source").options([f"--interval-jitter-percentage={percentage}"])
    assert "--interval-jitter-percentage" in capsys.readouterr().err
