"""A sample of the hostile inputs of tests/kustomize/mutations.py; all of them are built by that command."""

from __future__ import annotations

import pytest

from tests.kustomize.mutations import TREES, mutated, run


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_a_broken_input_ends_in_a_result_or_a_build_error(first: int) -> None:
    wrong = []
    for number in range(first, first + 100):
        files, path, options, done = mutated(number, 7)
        _, problem = run(files, path, options)
        if problem:
            wrong.append(f"{number} ({done}): {problem}")
    assert wrong == []


def test_the_inputs_can_be_built_before_they_are_broken() -> None:
    assert [run(files, ".", {}) for files in TREES] == [("built", "")] * len(TREES)


def test_a_number_always_gives_the_same_input() -> None:
    assert mutated(42, 1) == mutated(42, 1)
    assert mutated(42, 1) != mutated(42, 2)
