"""What a verdict makes of conditions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.meta import Condition
from shared.loop.verdict import (
    Failed,
    Positive,
    Ready,
    Stalled,
    Waiting,
    asked_pause,
    conclude,
    marked,
    progressing,
    with_times_of,
)

THEN, NOW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
ABNORMAL = ("FetchFailed", "ArtifactOutdated")


def condition(type_, status="True", reason="R", message="m", at=THEN, generation=1):
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=at,
        observed_generation=generation,
    )


def shown(conditions):
    return {c.type: (c.status, c.reason, c.message) for c in conditions}


def test_success_leaves_ready_and_what_else_holds():
    before = [condition("Reconciling"), condition("FetchFailed"), condition("Other")]
    verdict = Ready("Succeeded", "stored", also=(Positive("ArtifactInStorage", "Succeeded", "stored"),))
    assert shown(conclude(before, verdict, 2, NOW, abnormal=ABNORMAL)) == {
        "Ready": ("True", "Succeeded", "stored"),
        "ArtifactInStorage": ("True", "Succeeded", "stored"),
        "Other": ("True", "R", "m"),
    }


def test_a_failure_keeps_reconciling_with_what_was_being_done_and_sets_its_condition():
    before = [condition("Reconciling", reason="Progressing", message="Fetching"), condition("ArtifactInStorage")]
    after = conclude(before, Failed("GitFailed", "no route", condition="FetchFailed"), 2, NOW, abnormal=ABNORMAL)
    assert shown(after) == {
        "Reconciling": ("True", "ProgressingWithRetry", "Fetching"),
        "Ready": ("False", "GitFailed", "no route"),
        "ArtifactInStorage": ("True", "R", "m"),
        "FetchFailed": ("True", "GitFailed", "no route"),
    }


def test_waiting_looks_like_a_failure_that_is_retried():
    after = conclude([condition("Stalled")], Waiting("DependencyNotReady", "b is not ready"), 1, NOW)
    assert shown(after)["Reconciling"] == ("True", "ProgressingWithRetry", "b is not ready")
    assert "Stalled" not in shown(after)


def test_a_stall_ends_reconciling():
    after = conclude([condition("Reconciling")], Stalled("URLInvalid", "no scheme"), 1, NOW)
    assert shown(after) == {
        "Stalled": ("True", "URLInvalid", "no scheme"),
        "Ready": ("False", "URLInvalid", "no scheme"),
    }


@pytest.mark.parametrize(("message", "moved"), [("stored", False), ("stored anew", True)])
def test_the_transition_time_moves_with_status_reason_or_message_only(message, moved):
    before = [condition("Ready", reason="Succeeded", message="stored")]
    [after] = conclude(before, Ready("Succeeded", message), 7, NOW)
    assert (after.last_transition_time == NOW) is moved
    assert after.observed_generation == 7


def test_conditions_are_sorted_as_upstream_sorts_them():
    before = [condition(name) for name in ("Zeta", "Ready", "Alpha", "Reconciling")]
    after = conclude(before, Failed("F", "f", condition="Beta"), 2, NOW)
    assert [c.type for c in after] == ["Reconciling", "Ready", "Beta", "Alpha", "Zeta"]


def test_nothing_is_ready_while_it_is_worked_on():
    before = [condition("Ready", reason="Succeeded")]
    assert shown(progressing(before, "Building", 1, NOW))["Ready"] == ("Unknown", "Progressing", "Building")
    assert shown(progressing([], "Building", 1, NOW))["Ready"][0] == "Unknown"


def test_progress_keeps_the_last_failure_readable_until_the_world_is_about_to_change():
    before = conclude([], Failed("BuildFailed", "a.yaml:3"), 1, NOW)
    assert shown(progressing(before, "Building", 1, NOW))["Ready"] == ("False", "BuildFailed", "a.yaml:3")
    assert shown(progressing(before, "Applying", 1, NOW, unsettled=True))["Ready"][0] == "Unknown"


def test_a_message_that_is_too_long_for_the_api_is_cut():
    [_, ready] = conclude([], Failed("F", "x" * 40_000), 1, NOW)
    assert len(ready.message) == 32_768
    assert ready.message.endswith("...")


def test_a_message_with_a_file_name_in_another_encoding_can_be_written():
    said = marked([], "Ready", "False", "BuildFailed", "caf\udce9.yaml: \ud83d", 1, NOW)[0].message
    assert said == r"caf\xe9.yaml: \ud83d"
    assert said.encode()


def test_a_mark_can_be_taken_back():
    before = marked([], "SourceVerified", "True", "Succeeded", "signed", 1, NOW)
    assert shown(before) == {"SourceVerified": ("True", "Succeeded", "signed")}
    assert marked(before, "SourceVerified", None, "", "", 1, NOW) == []


types = st.sampled_from(["Ready", "Reconciling", "Stalled", "FetchFailed", "ArtifactInStorage"])
verdicts = st.one_of(
    st.builds(Ready, st.just("S"), st.just("ok")),
    st.builds(Failed, st.just("F"), st.just("no"), condition=st.sampled_from([None, "FetchFailed"])),
    st.builds(Waiting, st.just("W"), st.just("later")),
    st.builds(Stalled, st.just("X"), st.just("edit")),
)


@given(st.lists(types, unique=True), verdicts)
def test_the_invariants_hold_whatever_was_there_before(present, verdict):
    after = shown(conclude([condition(name) for name in present], verdict, 3, NOW, abnormal=ABNORMAL))
    assert not ("Stalled" in after and "Reconciling" in after)
    if after["Ready"][0] == "True":
        assert "Stalled" not in after
        assert "Reconciling" not in after
        assert "FetchFailed" not in after
    assert ("Stalled" in after) is isinstance(verdict, Stalled)


def test_what_was_never_written_in_between_did_not_change():
    written = [condition("Healthy"), condition("Ready", "False")]
    unknown = marked(written, "Healthy", "Unknown", "Progressing", "waiting", 1, NOW)
    again = marked(marked(unknown, "Healthy", "True", "R", "m", 1, NOW), "Ready", "True", "R", "m", 1, NOW)
    assert {c.type: c.last_transition_time for c in with_times_of(again, written)} == {"Healthy": THEN, "Ready": NOW}


class Busy(Exception):
    retry_after = 7


def test_a_pause_that_a_server_asked_for_is_found_behind_what_is_told_of_it():
    def told():
        try:
            raise Busy
        except Busy as error:
            raise Failed("FetchFailed", "too many requests") from error

    with pytest.raises(Failed) as found:
        told()
    assert asked_pause(found.value) == 7
    assert asked_pause(Failed("FetchFailed", "no answer")) == 0
