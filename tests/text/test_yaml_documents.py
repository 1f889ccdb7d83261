"""Documents and their lines, and what hostile text meets."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text import yaml
from shared.text.yaml import Document, Limits, YAMLError

TEXT = """\
# a comment
---
a: 1
---
# another
- x
-   z
---
...
---

text
"""


def test_each_document_knows_the_line_where_it_begins():
    assert list(yaml.load_documents(TEXT)) == [
        Document({"a": 1}, 3),
        Document(["x", "z"], 6),
        Document(None, 9),
        Document("text", 12),
    ]


def test_documents_before_a_broken_one_are_read():
    documents = yaml.load_documents("a: 1\n---\nb: [\n---\nc: 3\n", "app.yaml")
    assert next(documents).value == {"a": 1}
    with pytest.raises(YAMLError) as broken:
        next(documents)
    assert (broken.value.source, broken.value.line) == ("app.yaml", 4)


def test_a_text_of_comments_has_no_document():
    assert yaml.load_all("# nothing\n") == []
    assert yaml.load("") is None
    assert yaml.load_all("---\n---\n") == [None, None]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: {\n", 3, "expected"),
        ("a: 1\n\tb: 2\n", 2, "tab"),
        ("a:\n  - *nobody\n", 2, "nobody"),
        ("a: 'x\n\n", 3, "quoted"),
        ("a: 1\nb: \x01\n", 2, "U+0001"),
        ("%YAML 1.3\n---\na: 1\n", 1, "YAML"),
        ("a: !!int x\n", 1, "int"),
        ("x: 1\na: &b\n  c: *b\n", 3, "b"),
    ],
)
def test_an_error_names_file_line_and_problem(text: str, line: int, problem: str):
    with pytest.raises(YAMLError) as broken:
        yaml.load_all(text, source="app.yaml")
    assert broken.value.line == line
    assert str(broken.value) == f"app.yaml:{line}: {broken.value.problem}"
    assert problem in broken.value.problem


def test_an_error_does_not_show_a_value():
    with pytest.raises(YAMLError) as broken:
        yaml.load("data:\n  password: 'hunter2-hunter2-hunter2-hunter2-hunter2\n")
    assert "hunter2" not in str(broken.value)


@pytest.mark.parametrize(
    ("text", "limits", "problem"),
    [
        ("[" * 300 + "]" * 300, Limits(), "deeper than 250"),
        ("\n".join("  " * n + "a:" for n in range(300)), Limits(), "deeper than 250"),
        ("[[[1]]]", Limits(depth=2), "deeper than 2"),
        ("a: &a [[1]]\nb: [[*a]]\n", Limits(depth=4), "deeper than 4"),
        ("a: é\n", Limits(size=5), "larger than 5 bytes"),
        ("--- 1\n--- 2\n--- 3\n", Limits(documents=2), "more than 2 documents"),
    ],
)
def test_what_exceeds_a_limit_is_refused(text: str, limits: Limits, problem: str):
    with pytest.raises(YAMLError, match=problem):
        yaml.load_all(text, limits=limits)


def test_what_just_fits_is_read():
    assert yaml.load("[[1]]", limits=Limits(depth=2)) == [[1]]
    assert yaml.load("a: é\n", limits=Limits(size=6)) == {"a": "é"}
    assert yaml.load_all("--- 1\n--- 2\n", limits=Limits(documents=2)) == [1, 2]


def test_aliases_can_not_fill_the_memory():
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    started = time.monotonic()
    with pytest.raises(YAMLError, match="repeating anchors"):
        yaml.load(text)
    assert time.monotonic() - started < 20


def test_aliases_that_people_write_are_read_and_shared_with_nobody():
    value: Any = yaml.load("base: &base {a: {b: 1}}\none: *base\ntwo: {<<: *base, c: 2}\n")
    value["one"]["a"]["b"] = 2
    assert value == {"base": {"a": {"b": 1}}, "one": {"a": {"b": 2}}, "two": {"a": {"b": 1}, "c": 2}}


@pytest.mark.parametrize(
    "text", ["a: !!python/object/apply:os.system [touch /tmp/x]\n", "!!python/name:os.system ''\n", "!!python/none x\n"]
)
def test_tags_never_make_objects(text: str):
    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(map(plain, value.values()))
        if isinstance(value, list):
            return all(map(plain, value))
        return isinstance(value, str | int | float | bool | None)

    assert plain(yaml.load(text))


@pytest.mark.parametrize("data", [b"a: \xff\n", b"\xff\xfea", b"\x00"])
def test_bytes_that_are_no_text_are_refused(data: bytes):
    with pytest.raises(YAMLError):
        yaml.load(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e15, 1e15)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab:#-'\" 1", max_size=4), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(json_values)
def test_what_is_written_means_the_same_when_it_is_read(value: Any):
    assert yaml.load(yaml.dump(value)) == value


@given(st.text(st.sampled_from("ab:-[]{},&*!|>'\"#%@ \n\t?<1.~"), max_size=40))
def test_any_text_gives_values_or_a_yaml_error(text: str):
    try:
        found = yaml.load_all(text)
    except YAMLError as error:
        found = [error.problem]
    assert all(isinstance(value, dict | list | str | int | float | bool | None) for value in found)


def test_a_large_document_is_read_in_parts():
    text = "apiVersion: v1\nentries:\n  a: [1, {x: z}]\n  b: {entries: {c: d}}\nother:\n  e: f\n"
    seen = []

    def part(key, value):
        seen.append((key, value))
        return key.upper()

    whole = yaml.load_parts(text, "entries", part)
    assert seen == [("a", [1, {"x": "z"}]), ("b", {"entries": {"c": "d"}})]
    assert whole == {"apiVersion": "v1", "entries": {"a": "A", "b": "B"}, "other": {"e": "f"}}


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("entries:\n  a: &a [1]\n  b: *a\n", {"entries": {"a": "part", "b": "part"}}),
        ("base: &b {a: [1]}\nentries:\n  <<: *b\n  c: 2\n", {"base": {"a": [1]}, "entries": {"a": [1], "c": "part"}}),
        ("entries: [1]\n", {"entries": [1]}),
        ("- entries: {a: 1}\n- entries: {a: 1}\n", [{"entries": {"a": 1}}, {"entries": {"a": 1}}]),
        ("entries\n", "entries"),
        ("", None),
    ],
)
def test_parts_are_what_stands_in_the_mapping_that_is_named(text, whole):
    assert yaml.load_parts(text, "entries", lambda key, value: "part") == whole


def test_a_problem_with_a_part_has_its_line():
    with pytest.raises(yaml.YAMLError, match=r"^index\.yaml:3: .*mapping values are not allowed"):
        yaml.load_parts("entries:\n  a: 1\n  b: c: d\n", "entries", lambda key, value: value, source="index.yaml")


@pytest.mark.parametrize("before", [0, (1 << 20) - 8, (1 << 20) - 7, 3 << 20])
def test_bytes_that_are_no_utf8_are_found_wherever_they_stand(before):
    good = b"a: " + b"x" * before + "–\n".encode()
    assert yaml.load(good) == {"a": "x" * before + "–"}
    with pytest.raises(yaml.YAMLError, match=r"^file:2: this is not UTF-8 text$"):
        yaml.load(good + b"b: \xe2\x80\n", source="file")
