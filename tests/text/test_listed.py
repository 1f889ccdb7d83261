"""Lists that people read."""

from __future__ import annotations

import pytest

from shared.text import listed


@pytest.mark.parametrize(
    ("items", "lines", "names"),
    [
        ([], "", ""),
        (["a"], "a", "a"),
        (["a", "b"], "a\nb", "a, b"),
        (["a", "b", "c"], "a\nb\n… and 1 more", "a, b and 1 more"),
        ([1, 2, 3, 4], "1\n2\n… and 2 more", "1, 2 and 2 more"),
    ],
)
def test_a_list_has_as_many_as_people_read_and_counts_the_rest(items: list[object], lines: str, names: str) -> None:
    assert listed.lines(items, 2) == lines
    assert listed.names(items, 2) == names


def test_a_line_says_where_it_is_about() -> None:
    assert listed.placed("bad", "a.yaml:1") == "bad (in a.yaml:1)"
    assert listed.placed("bad", "") == "bad"
