"""Regular expressions of users."""

from __future__ import annotations

import time

import pytest

from shared.text import regex


def test_groups_are_read_by_number_and_by_name():
    match = regex.compile(r"^(?P<name>[a-z]+)-(\d+)(x)?").search("app-12")
    assert match is not None
    assert match.group("name") == "app"
    assert match.groups() == ("app", "12", None)
    assert match.groupdict() == {"name": "app"}


def test_positions_count_characters():
    match = regex.compile("b").search("éab")
    assert match is not None
    assert match.span() == (2, 3)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a(b", "missing )"),
        ("[", "missing ]"),
        (r"(a)\1", "invalid escape sequence"),
        ("(?=a)", "invalid perl operator"),
        ("a{1001}", "invalid repetition size"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        ("a" * 5000, "at most 4096"),
        ("\ud800", "half of a character pair"),
    ],
)
def test_what_is_no_expression_or_too_large_a_one_is_refused_with_the_reason(pattern: str, why: str):
    with pytest.raises(regex.PatternError) as refused:
        regex.compile(pattern)
    assert why in str(refused.value)


def test_no_expression_runs_long():
    started = time.monotonic()
    assert regex.compile("(a+)+$").search("a" * 200_000 + "b") is None
    assert time.monotonic() - started < 2
