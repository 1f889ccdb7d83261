"""What was applied before."""

from __future__ import annotations

from kustomize_controller.history import recorded


def after(*runs):
    history = []
    for digest, outcome, now in runs:
        history = recorded(history, digest=digest, outcome=outcome, now=now, took=0.25, metadata={"revision": digest})
    return [
        (s.digest, s.last_reconciled_status, s.total_reconciliations, s.first_reconciled, s.last_reconciled)
        for s in history
    ]


def test_the_same_content_and_outcome_is_counted():
    assert after(("a", "ok", "t1"), ("a", "ok", "t2")) == [("a", "ok", 2, "t1", "t2")]


def test_another_content_or_outcome_is_a_new_entry_and_the_newest_comes_first():
    assert after(("a", "ok", "t1"), ("b", "ok", "t2"), ("b", "failed", "t3")) == [
        ("b", "failed", 1, "t3", "t3"),
        ("b", "ok", 1, "t2", "t2"),
        ("a", "ok", 1, "t1", "t1"),
    ]


def test_an_old_content_that_comes_back_moves_to_the_front():
    assert [row[0] for row in after(("a", "ok", "t1"), ("b", "ok", "t2"), ("a", "ok", "t3"))] == ["a", "b"]


def test_five_entries_are_kept():
    assert [row[0] for row in after(*((str(i), "ok", "t") for i in range(7)))] == ["6", "5", "4", "3", "2"]


def test_durations_are_written_as_go_does():
    [entry] = recorded([], digest="a", outcome="ok", now="t", took=62.5, metadata={})
    assert entry.last_reconciled_duration == "1m2.5s"
