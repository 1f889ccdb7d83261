"""`${var}` in manifests."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text.substitute import SubstitutionError, required, substitute

VECTORS = Path(__file__).parents[2].parent / "shared" / "contract" / "vectors.json"
VARIABLES = {"a": "Hello World", "b": "x/y/z", "e": "", "n": "7", "m": "-3", "s": "*", "z": "[a-c]", "c": "abcabc"}


@pytest.mark.skipif(not VECTORS.exists(), reason="the contract is not beside the repository")
@pytest.mark.parametrize("strict", [True, False])
def test_every_substitution_of_the_contract_gives_what_flux_gives(strict: bool):
    vectors = json.loads(VECTORS.read_text())["substitution"]
    wrong = []
    for case in vectors["cases"]:
        wanted = case["out"] if "out" in case else case["strict" if strict else "lenient"]
        try:
            found: object = substitute(case["in"], vectors["vars"], strict=strict)
        except SubstitutionError as error:
            found = {"error": str(error)}
        if found != wanted:
            wrong.append((case["in"], wanted, found))
    assert wrong == []


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("plain text, $a and $(a) stay", "plain text, $a and $(a) stay"),
        ("${a}", "Hello World"),
        ("$${a} $$ $$$$", "${a} $ $$"),
        ("$$${a}", "$Hello World"),
        ("${miss:-d}${miss:=d}${miss=d}${miss:?d}${miss:+d}", "ddddd"),
        ("${e:-d}${e=d}", "dd"),
        ("${a:-d}${a:+d}", "Hello WorldHello World"),
        ("${miss:-${e:-${n}}}", "7"),
        ("${miss:-a ${n} b ${n}}", "a 7 b 7"),
        ("${miss:-}", ""),
        ("${miss==d}", "=d"),
        ("${#a}|${#e}", "11|0"),
        ("${a^^}|${a,,}|${c^}|${a,}", "HELLO WORLD|hello world|Abcabc|hello World"),
        ("${a:6}|${a:0:5}|${a:6:99}|${a:99}|${a:99:1}", "World|Hello|World||"),
        ("${a:${m}}|${a:${m}:2}|${c:-9}", "rld|rl|abcabc"),
        ("${a: -1}|${a:x}|${a:1:x}", "Hello World|Hello World|Hello World"),
        ("${a/o/0}|${a//o/0}|${a//o/}|${a//l}", None),
        ("${a/o/0}|${a//o/0}|${a//o/}", "Hell0 World|Hell0 W0rld|Hell Wrld"),
        ("${b//\\//-}|${b/#x/q}|${b/%z/q}|${b/#z/q}|${b/#x/}", "x-y-z|q/y/z|x/y/q|x/y/z|x/y/z"),
        ("${b/y/$$}|${b/y/\\\\}", "x/$/z|x/\\/z"),
        ("${b#*/}|${b##*/}|${b%/*}|${b%%/*}", "y/z|z|x/y|x"),
        ("${c#?}|${c##*b}|${c#[a-c]}|${c#[^a]}|${c#b}|${c#${s}}|${c##${s}}", "bcabc|c|bcabc|abcabc|abcabc|bcabc|"),
        ("${c%[a-c]}|${c%?}", "abcabc|abcab"),
        ("${c^,}", "abcabc"),
    ],
)
def test_a_template_becomes(template: str, result: str | None):
    if result is None:
        with pytest.raises(SubstitutionError):
            substitute(template, VARIABLES)
    else:
        assert substitute(template, VARIABLES) == result


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("${miss}", 'variable not set (strict mode): "miss"'),
        ("${#miss}", 'variable not set (strict mode): "miss"'),
        ("${a:-${miss}}", 'variable not set (strict mode): "miss"'),
        ("${", "unable to parse variable name"),
        ("${}", "unable to parse variable name"),
        ("${ a}", "unable to parse variable name"),
        ("${a", "missing closing brace"),
        ("${a-b}", "missing closing brace"),
        ("${a.b}", "missing closing brace"),
        ("${miss} ${", "unable to parse variable name"),
        ("${#}", "bad substitution"),
        ("${a:é}", "bad substitution"),
        ("${a/x/y", "bad substitution"),
        ("${a^^^}", "bad substitution"),
        ("${a:}", "unable to parse substitution within function"),
        ("${a:-", "unable to parse substitution within function"),
        ("${a:1:-1}", "the length -1 of a part is negative"),
    ],
)
def test_a_template_is_refused(template: str, message: str):
    with pytest.raises(SubstitutionError) as caught:
        substitute(template, VARIABLES)
    assert str(caught.value) == message


def test_without_strict_mode_what_is_not_set_is_empty():
    assert substitute("[${miss}${#miss}${miss/x/y}]", {}, strict=False) == "[0]"


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a.b", "ä", "a\n"])
def test_the_name_of_a_variable_must_be_one_of_a_shell(name: str):
    with pytest.raises(SubstitutionError, match="var name is invalid, must match"):
        substitute("x", {name: "v"})


def test_a_part_never_cuts_a_character():
    assert substitute("${x:0:2}", {"x": "éa"}) == "é"
    with pytest.raises(SubstitutionError, match="inside a character"):
        substitute("${x:0:1}", {"x": "éa"})


def test_upper_case_keeps_the_number_of_characters():
    assert substitute("${x^^}|${x^}", {"x": "ßa"}) in ("ßA|ßa", "ẞA|ẞa")


def test_what_would_grow_without_bound_is_refused_at_once():
    big = {"x": "y" * 1_000_000, "y": "z" * 1_000_000, "e": ""}
    start = time.monotonic()
    for template in ("${x}" * 100_000, "${x//y/${y}}", "${x//${e}/${y}}", "${a:-" * 60 + "}" * 60):
        with pytest.raises(SubstitutionError):
            substitute(template, big)
    assert time.monotonic() - start < 5


def test_a_pattern_of_many_stars_costs_no_more_than_letters():
    start = time.monotonic()
    result = substitute("${x##" + "*a" * 500 + "*b}", {"x": "a" * 20_000})
    assert result == "a" * 20_000
    assert time.monotonic() - start < 5


def test_the_names_a_text_needs_are_known():
    assert required("${a} ${b:-${c}} $${d} ${e/${f}/x}") == {"a", "b", "c", "e", "f"}


@given(st.text(st.sampled_from("${}a:-=?+#%/^,*[]\\é 1"), max_size=30), st.booleans())
def test_any_text_gives_text_or_a_substitution_error(template: str, strict: bool):
    with contextlib.suppress(SubstitutionError):
        assert isinstance(substitute(template, {"a": "x*y/é", "aa": ""}, strict=strict), str)
