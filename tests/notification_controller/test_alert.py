"""What an Alert wants, what it adds, and what keeps it quiet."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from notification_controller import noise
from notification_controller.alert import Interest, Interests, combined, has_labels
from notification_controller.event import Event, InvolvedObject
from notification_controller.noise import Held, Settings, State, Told, Verdict
from shared.api.codec import decode
from shared.api.notification import Alert

GROUP = "kustomize.toolkit.fluxcd.io"


def alert(
    *sources: dict[str, Any], name: str = "alert", annotations: dict[str, str] | None = None, **spec: Any
) -> Alert:
    listed = list(sources) or [{"kind": "Kustomization", "name": "*"}]
    metadata = {"name": name, "namespace": "apps", "annotations": annotations or {}}
    return decode(Alert, {"metadata": metadata, "spec": {"providerRef": {"name": "p"}, "eventSources": listed, **spec}})


def event(message: str = "applied", **fields: Any) -> Event:
    involved = InvolvedObject(kind="Kustomization", namespace="apps", name="app", api_version=f"{GROUP}/v1")
    made = Event(involved_object=involved, severity="info", message=message, reason="ReconciliationSucceeded")
    return msgspec.structs.replace(made, **fields)


FAILURE = event("build failed", severity="error", reason="BuildFailed")
WELL = event()
PROGRESS = event("working", reason="Progressing")


# -- sources


@pytest.mark.parametrize(
    ("source", "takes"),
    [
        ({"kind": "Kustomization", "name": "app"}, True),
        ({"kind": "Kustomization", "name": "*"}, True),
        ({"kind": "Kustomization", "name": "*", "namespace": "apps"}, True),
        ({"kind": "Kustomization", "name": "other"}, False),
        ({"kind": "HelmRelease", "name": "*"}, False),
        ({"kind": "Kustomization", "name": "app", "namespace": "other"}, False),
    ],
)
def test_a_source_names_objects_by_kind_name_and_namespace(source: dict[str, Any], takes: bool) -> None:
    assert bool(Interest.of(alert(source)).selections(event())) is takes


def test_labels_of_one_source_are_enough() -> None:
    blue, red = {"team": "blue"}, {"team": "red"}
    sources = [{"kind": "Kustomization", "name": "*", "matchLabels": labels} for labels in (blue, red)]
    assert Interest.of(alert(*sources)).selections(event()) == [blue, red]
    assert has_labels({"team": "blue", "tier": "1"}, blue)
    assert not has_labels({"team": "green"}, blue)
    assert not has_labels({}, blue)


def test_interests_are_found_by_kind_and_namespace() -> None:
    here, there = alert(name="here"), alert({"kind": "Kustomization", "name": "*", "namespace": "other"}, name="there")
    asleep = alert(name="asleep", suspend=True)
    found = Interests([there, here, asleep])
    assert [one.alert.metadata.name for one in found.of(event())] == ["here"]
    assert found.named("apps/there") is not None
    assert found.named("apps/asleep") is None


# -- severity and messages


@pytest.mark.parametrize(
    ("wanted", "severity", "takes"),
    [
        ("info", "info", True),
        ("info", "error", True),
        ("info", "trace", True),
        ("error", "error", True),
        ("error", "info", False),
        ("error", "trace", False),
    ],
)
def test_the_severity_that_an_alert_wants(wanted: str, severity: str, takes: bool) -> None:
    assert Interest.of(alert(eventSeverity=wanted)).wants_severity(severity) is takes


@pytest.mark.parametrize(
    ("expressions", "message", "takes"),
    [
        ([], "anything", True),
        (["^applied"], "applied revision", True),
        (["^applied"], "not applied", False),
        (["nothing", "(?i)APPLIED"], "was applied", True),
        (["("], "(", False),
        (["(", "applied"], "applied", True),
        ([r"(?=applied)"], "applied", False),
    ],
)
def test_the_inclusion_list(expressions: list[str], message: str, takes: bool) -> None:
    assert Interest.of(alert(inclusionList=expressions)).includes(message) is takes


def test_a_broken_exclusion_excludes_nothing_and_is_named() -> None:
    interest = Interest.of(alert(exclusionList=["[", "waiting"]))
    assert interest.problems == ("failed to compile exclusion regex: [",)
    assert interest.excludes("waiting for it")
    assert not interest.excludes("[")


def test_no_expression_can_run_long() -> None:
    interest = Interest.of(alert(exclusionList=["^(a+)+$", "(x+x+)+y"]))
    assert not interest.excludes("a" * 100_000 + "b")
    assert not interest.excludes("x" * 100_000)


# -- metadata


def test_metadata_of_the_controller_wins_over_the_alert_and_that_over_annotations() -> None:
    given = event(
        metadata={f"{GROUP}/revision": "controller", "event.toolkit.fluxcd.io/team": "annotation"}
        | {"event.toolkit.fluxcd.io/free": "annotation"}
    )
    made, conflicts = combined(
        given, alert(eventMetadata={"revision": "alert", "team": "alert", "summary": "alert"}, summary="summary")
    )
    assert made.metadata == {"revision": "controller", "team": "alert", "free": "annotation", "summary": "summary"}
    assert conflicts == {
        "revision": "Alert object .spec.eventMetadata, involved object controller metadata",
        "team": "involved object annotations, Alert object .spec.eventMetadata",
        "summary": "Alert object .spec.eventMetadata, Alert object .spec.summary",
    }


# -- noise


@pytest.mark.parametrize(
    ("annotations", "expected", "problems"),
    [
        ({}, noise.OFF, 0),
        ({"transitions": "true", "delay": "5m"}, Settings(transitions=True, delay=300.0), 0),
        ({"recovery": "true", "group": "30s"}, Settings(recovery=True, group=30.0), 0),
        ({"recovery": "yes", "group": "25h", "delay": "-1s"}, noise.OFF, 3),
    ],
)
def test_what_annotations_ask_for(annotations: dict[str, str], expected: Settings, problems: int) -> None:
    named = {noise.PREFIX + key: value for key, value in annotations.items()}
    chosen, wrong = noise.settings(alert(annotations=named))
    assert (chosen, len(wrong)) == (expected, problems)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (FAILURE, State.FAILING),
        (WELL, State.WELL),
        (PROGRESS, State.NEITHER),
        (event(reason="DependencyNotReady"), State.NEITHER),
        (event(reason="RollbackSucceeded"), State.NEITHER),
        (event(reason="UpgradeSucceeded"), State.WELL),
    ],
)
def test_what_an_event_says_of_its_object(given: Event, expected: State) -> None:
    assert noise.state(given) is expected


TRANSITIONS, DELAY = Settings(transitions=True), Settings(delay=60.0)
RECOVERY, GROUP_30 = Settings(recovery=True), Settings(group=30.0)
NOTHING, FAILED, IS_WELL = Told(), Told(State.FAILING, "BuildFailed", 50.0), Told(State.WELL, "", 50.0)
OTHER = msgspec.structs.replace(FAILURE, reason="HealthCheckFailed")
HELD_FAILURE, HELD_WELL = Held(FAILURE, 160.0), Held(WELL, 100.0)
SEND, HOLD, DROP = Verdict.SEND, Verdict.HOLD, Verdict.DROP


@pytest.mark.parametrize(
    ("chosen", "told", "held", "given", "selected", "verdict", "ready", "forgets"),
    [
        # transitions
        (TRANSITIONS, NOTHING, None, FAILURE, True, SEND, 0, False),
        (TRANSITIONS, FAILED, None, FAILURE, True, DROP, 0, False),
        (TRANSITIONS, FAILED, None, OTHER, True, SEND, 0, False),
        (TRANSITIONS, FAILED, None, WELL, True, SEND, 0, False),
        (TRANSITIONS, IS_WELL, None, WELL, True, DROP, 0, False),
        (TRANSITIONS, NOTHING, None, WELL, True, DROP, 0, False),
        (TRANSITIONS, NOTHING, None, PROGRESS, True, DROP, 0, False),
        (TRANSITIONS, FAILED, None, WELL, False, DROP, 0, False),
        # delay
        (DELAY, NOTHING, None, FAILURE, True, HOLD, 160, False),
        (DELAY, NOTHING, HELD_FAILURE, FAILURE, True, HOLD, 160, True),
        (DELAY, NOTHING, HELD_FAILURE, WELL, True, SEND, 0, True),
        (DELAY, NOTHING, HELD_FAILURE, WELL, False, DROP, 0, True),
        (DELAY, FAILED, None, FAILURE, True, SEND, 0, False),
        (DELAY, FAILED, None, OTHER, True, HOLD, 160, False),
        (DELAY, NOTHING, None, WELL, True, SEND, 0, False),
        (DELAY, NOTHING, HELD_FAILURE, PROGRESS, True, SEND, 0, False),
        (DELAY, NOTHING, None, FAILURE, False, DROP, 0, False),
        # recovery
        (RECOVERY, FAILED, None, WELL, False, SEND, 0, False),
        (RECOVERY, IS_WELL, None, WELL, False, DROP, 0, False),
        (RECOVERY, NOTHING, None, WELL, False, DROP, 0, False),
        (RECOVERY, FAILED, None, PROGRESS, False, DROP, 0, False),
        (RECOVERY, NOTHING, None, FAILURE, True, SEND, 0, False),
        # group
        (GROUP_30, NOTHING, None, FAILURE, True, HOLD, 100, False),
        (GROUP_30, FAILED, None, WELL, True, HOLD, 100, False),
        (GROUP_30, FAILED, HELD_WELL, FAILURE, True, HOLD, 100, True),
        (GROUP_30, NOTHING, None, WELL, True, SEND, 0, False),
    ],
)
def test_what_becomes_of_an_event(
    chosen: Settings,
    told: Told,
    held: Held | None,
    given: Event,
    selected: bool,
    verdict: Verdict,
    ready: float,
    forgets: bool,
) -> None:
    decision = noise.decide(chosen, told, held, given, selected=selected, now=100.0)
    assert (decision.verdict, decision.ready, decision.forgets_held) == (verdict, ready, forgets)


def test_a_failure_is_remembered_from_its_beginning() -> None:
    first = noise.remembered(NOTHING, FAILURE, 100.0)
    assert first == Told(State.FAILING, "BuildFailed", 100.0)
    assert noise.remembered(first, OTHER, 200.0) == Told(State.FAILING, "HealthCheckFailed", 100.0)
    assert noise.remembered(first, PROGRESS, 200.0) == first
    assert noise.remembered(first, WELL, 300.0) == IS_WELL_AT_300


IS_WELL_AT_300 = Told(State.WELL, "", 300.0)


def test_a_recovery_says_how_long_it_took() -> None:
    assert noise.with_recovery(WELL, FAILED, 50.0 + 312.4).metadata == {"recovered": "after 5m12s"}
    update = msgspec.structs.replace(WELL, metadata={"commit_status": "update", "revision": "main@sha1:1"})
    assert noise.with_recovery(update, FAILED, 53.0).metadata == {"revision": "main@sha1:1", "recovered": "after 3s"}
    assert noise.with_recovery(WELL, IS_WELL, 99.0) is WELL
    assert noise.with_recovery(FAILURE, FAILED, 99.0) is FAILURE


def named(name: str, message: str, **fields: Any) -> Event:
    involved = InvolvedObject(kind="Kustomization", namespace="apps", name=name, api_version=f"{GROUP}/v1")
    return event(message, **{"severity": "error", "reason": "BuildFailed", "involved_object": involved, **fields})


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (named("a", "dependency 'infra' failed"), named("b", "dependency 'infra' failed"), True),
        (named("shop", "shop: can't build"), named("cart", "cart: can't build"), True),
        (named("a", "timeout after 30.1s at 4f1f3c0e9d5c"), named("b", "timeout after 29s at 1a2b3c4d5e6f"), True),
        (named("a", "one\nobject a"), named("b", "one\nobject b"), True),
        (named("a", "no such file"), named("b", "no such branch"), False),
        (named("a", "x"), named("b", "x", reason="HealthCheckFailed"), False),
    ],
)
def test_which_failures_have_one_cause(one: Event, two: Event, same: bool) -> None:
    assert (noise.cause(one) == noise.cause(two)) is same


def test_many_failures_of_one_cause_make_one_message() -> None:
    made = noise.gathered([named(f"app-{number}", "it broke") for number in range(60)])
    lines = made.message.split("\n")
    assert lines[0] == "60 objects: it broke"
    assert lines[1] == "Kustomization/apps/app-0"
    assert lines[-1] == "and 10 more"
    assert made.metadata["objects"] == "60"
    assert noise.gathered([FAILURE]) is FAILURE
