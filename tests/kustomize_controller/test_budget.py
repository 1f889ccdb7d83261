"""How much may be deleted without asking, and what confirms more."""

from __future__ import annotations

from typing import Any

import pytest

from kustomize_controller import budget
from kustomize_controller.build import Built
from shared.apply import ObjectId
from shared.loop.verdict import Failed
from tests.kustomize_controller.test_build import kustomization

BUILT = Built.of([{"kind": "ConfigMap", "metadata": {"name": "x"}}], ["x.yaml:1"])
EMPTY = Built.of([], [])


def ids(count: int) -> list[ObjectId]:
    return [ObjectId("", "ConfigMap", "team", f"cm-{number}") for number in range(count)]


def require(most: Any, doomed: int, total: int, built: Built = BUILT, token: str = "") -> None:
    ks = kustomization(prunePolicy={"maxDelete": most} if most is not None else {})
    ks.metadata.annotations = {budget.CONFIRM: token}
    budget.require_confirmed(ks, "main@sha1:1", built, ids(doomed), total)


@pytest.mark.parametrize(
    ("most", "total", "allowed"),
    [(0, 9, 0), (3, 9, 3), ("3", 9, 3), ("0%", 9, 0), ("25%", 9, 2), ("100%", 9, 9), ("50%", 1, 0)],
)
def test_a_limit_is_a_number_or_a_part_of_all(most: Any, total: int, allowed: int) -> None:
    assert budget.allowed(most, total) == allowed


@pytest.mark.parametrize("most", ["", "-1", "many", "2.5", "%"])
def test_another_limit_holds_all_deletions(most: str) -> None:
    with pytest.raises(Failed, match="maxDelete"):
        require(most, 1, 9)


@pytest.mark.parametrize(
    ("most", "doomed", "built", "is_held"),
    [
        (None, 9, BUILT, False),
        (2, 2, BUILT, False),
        (2, 3, BUILT, True),
        (0, 0, EMPTY, False),
        (None, 1, EMPTY, True),
        ("100%", 1, EMPTY, True),
    ],
)
def test_what_is_held(most: Any, doomed: int, built: Built, is_held: bool) -> None:
    token = f"main@sha1:1/{built.digest[7:19]}"
    if not is_held:
        require(most, doomed, 10, built)
        return
    with pytest.raises(Failed) as held:
        require(most, doomed, 10, built)
    assert (held.value.reason, held.value.condition) == ("PruneHeld", "PruneHeld")
    assert f"{budget.CONFIRM}={token}" in held.value.message
    require(most, doomed, 10, built, token)
    with pytest.raises(Failed):
        require(most, doomed, 10, built, token.replace("sha1:1", "sha1:2"))


def test_the_message_names_some_and_counts_the_rest() -> None:
    with pytest.raises(Failed, match="cm-9 and 490 more"):
        require(1, 500, 1000)
