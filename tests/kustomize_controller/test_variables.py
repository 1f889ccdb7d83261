"""Filling variables in where they stand gives what filling in the whole text and reading it anew gives."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kustomize_controller import variables
from shared.loop.verdict import Failed

VALUES = [
    "",
    "a",
    "0",
    "017",
    "1e3",
    "yes",
    "~",
    "null",
    "1.50",
    "0x1F",
    "a-b",
    "a: b",
    "a:",
    "a:b",
    "- a",
    "#",
    "a #b",
    "[1]",
]
VALUES += [
    "{a: 1}",
    "'",
    '"',
    "\\",
    " a",
    "a b",
    "&a",
    "*a",
    "!a",
    "%",
    "@a",
    "`",
    "a\tb",
    "<<",
    "---",
    "...",
    "-",
    "1:2",
    "ü",
]
PARTS = [
    "${A}",
    "${B}",
    "${A:=x}",
    "${C:-7}",
    "$$",
    "$(A)",
    "$",
    "x",
    "-",
    ":",
    "/",
    ".",
    " ",
    "'",
    '"',
    "#",
    "\n",
    "1",
    "@",
    "=",
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=5).map("".join)
LEAVES = TEXTS | st.sampled_from([0, 1.5, True, None])
NODES = st.recursive(
    LEAVES,
    lambda node: (
        st.lists(node, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "y", "${B}", "x y"]), node, max_size=3)
    ),
    max_leaves=6,
)


def filled(manifest: dict[str, Any], text: variables.Text, given: dict[str, str], most: int) -> Any:
    try:
        return variables.filled_in([manifest], [text], ["a.yaml:1"], given, strict=True, most=most)
    except Failed as error:
        return error.message


def as_json(value: Any) -> bytes:
    """Tells 1 from 1.0 and true, as `==` doesn't."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


@settings(max_examples=1500, deadline=None)
@given(spec=NODES, a=st.sampled_from(VALUES), b=st.sampled_from(VALUES), most=st.sampled_from([60, 1000]))
def test_variables_that_are_filled_in_place_mean_what_they_mean_in_the_text(
    spec: Any, a: str, b: str, most: int
) -> None:
    manifest = {"kind": "ConfigMap", "metadata": {"name": "a"}, "spec": spec}
    text = variables.text(manifest)
    if text is not None:
        slowly = filled(manifest, text._replace(places=None), {"A": a, "B": b}, most)
        assert as_json(filled(manifest, text, {"A": a, "B": b}, most)) == as_json(slowly)


@pytest.mark.parametrize(
    ("value", "found"),
    [("0", 0), ("web", "web"), ("yes", True), ("1.2.3", "1.2.3"), ("repo:v1", "repo:v1"), ("017", 15), ("n", False)],
)
def test_words_are_filled_in_without_reading_the_object_anew(value: str, found: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(variables.yaml, "load", None)
    manifest = {
        "kind": "ConfigMap",
        "metadata": {"name": "a"},
        "data": {"plain": "${A}", "list": ["x-${A}"]},
    }
    text = variables.text(manifest)
    assert text is not None
    assert filled(manifest, text, {"A": value}, 1000) == [
        {"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"plain": found, "list": [f"x-{value}"]}}
    ]
