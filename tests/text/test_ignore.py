"""What a source leaves out of its artifact."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from shared.text import ignore

VECTORS = Path(__file__).parents[2].parent / "shared" / "contract" / "vectors.json"


@pytest.mark.skipif(not VECTORS.exists(), reason="the contract is not beside the repository")
def test_every_source_of_the_contract_keeps_what_flux_keeps():
    vectors = json.loads(VECTORS.read_text())["ignore"]
    for case in vectors["cases"]:
        matcher = ignore.matcher(case.get("sourceignore", {}), case["specIgnore"])
        kept = [path for path in vectors["paths"] if not matcher.excludes(path, path.endswith("/"))]
        assert kept == case["kept"], case


@pytest.mark.parametrize(
    ("rules", "excluded", "kept"),
    [
        ("*.md", ["a.md", "d/a.md", "x.md/y"], ["a.mdx"]),
        ("/a", ["a", "a/b"], ["d/a"]),
        ("a/", ["a/", "a/b", "d/a/"], ["a", "d/a"]),
        ("a/b", ["a/b", "a/b/c"], ["d/a/b"]),
        ("**/b", ["b", "a/b", "a/c/b/d"], ["bb"]),
        ("a/**/b", ["a/b", "a/x/b"], ["x/b"]),
        ("**/a/b", ["a/b", "x/a/b"], ["a/x/a/b"]),
        ("a/**", ["a", "a/b"], ["b"]),
        ("x/a**b", [], ["x/a", "x/ab", "x/aab"]),
        ("/*\n!/keep", ["a"], ["keep", "keep/a"]),
        ("d/\n!d/keep", ["d/a", "d/"], ["d/keep"]),
        ("a\n!a\na", ["a"], []),
        ("!a\na\n!a", [], ["a"]),
        ("[ab].c", ["a.c", "b.c"], ["c.c"]),
        ("[^ab].c", ["c.c"], ["a.c"]),
        ("[ab.c", [], ["a.c", "[ab.c"]),
        ("a?c", ["abc", "aéc"], ["ac"]),
        ("\\#a\n#b", ["#a"], ["b", "#b"]),
        ("a  \n  b\nc\\ ", ["a", "  b", "c "], ["b", "c"]),
        ("a\r\nb\r\n", ["a", "b"], []),
        ("\\!a", ["!a"], ["a"]),
        ("", [], ["a"]),
        ("/**\n**/", ["d/", "d/a"], ["a"]),
        ("*a*a*b", ["aab", "xaxaxb"], ["ab"]),
    ],
)
def test_rules_exclude_and_keep(rules: str, excluded: list[str], kept: list[str]):
    matcher = ignore.Matcher(ignore.parse(rules))
    assert [path for path in excluded if not matcher.excludes(path, path.endswith("/"))] == []
    assert [path for path in kept if matcher.excludes(path, path.endswith("/"))] == []


def test_rules_of_a_directory_hold_for_what_is_below_it():
    matcher = ignore.Matcher(ignore.parse("*.txt\n/x", ("a", "b")))
    assert matcher.excludes("a/b/c.txt")
    assert matcher.excludes("a/b/d/c.txt")
    assert matcher.excludes("a/b/x", is_dir=True)
    assert not matcher.excludes("c.txt")
    assert not matcher.excludes("a/c/d.txt")
    assert not matcher.excludes("a/b", is_dir=True)


def test_one_rule_replaces_the_defaults_but_never_the_version_control_files():
    defaults, own = ignore.matcher({}), ignore.matcher({"": "*.md"})
    assert defaults.excludes("a.zip")
    assert not own.excludes("a.zip")
    for matcher in (defaults, own):
        assert matcher.excludes(".git", is_dir=True)
        assert matcher.excludes("d/.gitignore")


def test_a_bucket_has_no_defaults():
    assert not ignore.matcher({}, "", defaults=False).excludes("a.zip")


def test_what_the_spec_says_comes_after_the_files():
    assert ignore.matcher({".": "!a"}, "a").excludes("a")
    assert not ignore.matcher({"d": "a"}, "!a").excludes("d/a")


def test_too_many_rules_are_refused():
    with pytest.raises(ignore.IgnoreError, match="10000 ignore rules"):
        ignore.parse("a\n" * 10_001)


def test_many_files_and_many_rules_take_a_moment():
    rules = "\n".join([f"/dir{n}/**/x{n}*.yaml" for n in range(50)] + [f"*.t{n}" for n in range(50)] + ["*a*b*c*d*"])
    matcher = ignore.matcher({"": rules}, None)
    paths = [f"dir{n % 97}/sub{n % 11}/file{n}.yaml" for n in range(10_000)]
    start = time.monotonic()
    assert not any(matcher.excludes(path) for path in paths)
    assert time.monotonic() - start < 5
