"""Versions and ranges of versions."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text import semver

VECTORS = Path(__file__).parents[2].parent / "shared" / "contract" / "vectors.json"
ORDER = [
    "0.0.0", "0.0.1", "0.1.0", "1.0.0-0", "1.0.0-1.2", "1.0.0-9", "1.0.0-10", "1.0.0-alpha", "1.0.0-alpha.1",
    "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0",
    "2.0.0", "10.0.0",
]  # fmt: skip


def test_versions_are_ordered_by_precedence():
    versions = [semver.parse(text) for text in ORDER]
    assert sorted(versions) == versions
    assert all(a < b and b > a and a != b for a, b in itertools.pairwise(versions))
    assert semver.parse("v1.2") == semver.parse("1.2.0+build")


@pytest.mark.parametrize(
    ("text", "lenient", "tag", "strict"),
    [
        ("1.2.3", "1.2.3", "1.2.3", "1.2.3"),
        ("v1.2.3", "1.2.3", "1.2.3", None),
        ("1.2.3-rc.1+b.2", "1.2.3-rc.1+b.2", "1.2.3-rc.1+b.2", "1.2.3-rc.1+b.2"),
        ("1.2", "1.2.0", None, None),
        ("v1", "1.0.0", None, None),
        ("01.02.03", "1.2.3", "1.2.3", None),
        ("v2025.02.03-rc.1", "2025.2.3-rc.1", "2025.2.3-rc.1", None),
        ("1.2.3-01", None, None, None),
        ("1.2.3-", None, None, None),
        ("1.2.3+", None, None, None),
        ("1.2.3-a..b", None, None, None),
        ("1.2.3.4", None, None, None),
        (" 1.2.3", None, None, None),
        ("1.2.3\n", None, None, None),
        ("V1.2.3", None, None, None),
        ("latest", None, None, None),
        ("", None, None, None),
        (
            "18446744073709551615.0.0",
            "18446744073709551615.0.0",
            "18446744073709551615.0.0",
            "18446744073709551615.0.0",
        ),
        ("18446744073709551616.0.0", None, None, None),
        ("1.2.3-" + "a" * 300, None, None, None),
        ("١.2.3", None, None, None),
    ],
)
def test_a_version_is_read(text: str, lenient: str | None, tag: str | None, strict: str | None):
    for read, wanted in ((semver.parse, lenient), (semver.parse_tag, tag), (semver.parse_strict, strict)):
        if wanted is None:
            with pytest.raises(semver.VersionError):
                read(text)
        else:
            assert str(read(text)) == wanted
            assert read(text).original == text


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("*", ["0.0.0", "9.9.9"], ["1.0.0-rc.1"]),
        ("1.2.3", ["1.2.3", "1.2.3+x"], ["1.2.4", "1.2.3-rc.1"]),
        ("=v1.2.3", ["v1.2.3"], ["1.2.2"]),
        ("1.2", ["1.2.0", "1.2.9"], ["1.3.0", "1.1.9"]),
        ("1.x", ["1.0.0", "1.9.9"], ["2.0.0", "0.9.0"]),
        ("1.2.*", ["1.2.9"], ["1.3.0"]),
        ("!=1.2", ["1.3.0", "2.2.0"], ["1.2.0", "1.2.9"]),
        ("!=1.2.3", ["1.2.4"], ["1.2.3"]),
        (">1.2.3", ["1.2.4"], ["1.2.3", "1.3.0-rc.1"]),
        (">1.2", ["1.3.0"], ["1.2.9"]),
        (">11", ["12.0.0"], ["11.1.0"]),
        (">=1.2", ["1.2.0"], ["1.1.9"]),
        ("=>1.2", ["1.2.0"], ["1.1.9"]),
        ("<2", ["1.9.9"], ["2.0.0", "2.0.0-rc.1"]),
        ("<=2", ["2.9.9"], ["3.0.0"]),
        ("=<2.1", ["2.1.9", "1.9.0"], ["2.2.0"]),
        ("~1.2.3", ["1.2.3", "1.2.9"], ["1.3.0", "1.2.2"]),
        ("~>1", ["1.9.0"], ["2.0.0"]),
        ("~0.0.0", ["9.0.0"], []),
        ("^1.2.3", ["1.2.3", "1.9.0"], ["2.0.0", "1.2.2"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("^0", ["0.9.9"], ["1.0.0"]),
        ("^0.0", ["0.0.9"], ["0.1.0"]),
        ("1.2 - 1.4", ["1.2.0", "1.4.9"], ["1.5.0", "1.1.0"]),
        ("1.2 - 1.4 || 2 - 3", ["1.3.0", "3.1.0"], ["1.5.0", "4.0.0"]),
        (">=1.0.0 <2.0.0", ["1.5.0"], ["2.0.0"]),
        (">=1.0.0, <2.0.0", ["1.5.0"], ["2.0.0"]),
        (">= 1.0.0,<2.0.0 , !=1.5.0", ["1.4.0"], ["1.5.0"]),
        ("1.x || >=3", ["1.1.0", "3.0.0"], ["2.0.0"]),
        ("^1.3.0-0", ["1.3.0-rc.1", "1.3.0", "1.4.0-rc.1"], ["1.2.9", "2.0.0"]),
        (">=1.0.0-0 <2 || >=3", ["1.1.0-rc.1", "3.0.0"], ["3.1.0-rc.1"]),
    ],
)
def test_a_range_admits(text: str, inside: list[str], outside: list[str]):
    within = semver.parse_range(text)
    assert [version for version in inside if semver.parse(version) not in within] == []
    assert [version for version in outside if semver.parse(version) in within] == []


@pytest.mark.parametrize("text", ["", " ", "a", ">>1", "1.2.3.4", "1 ||", "|| 1", "1|2", "xx", ">=1.0.0 <", "1" * 600])
def test_a_range_is_refused(text: str):
    with pytest.raises(semver.VersionError):
        semver.parse_range(text)


def test_a_hostile_range_is_refused_at_once():
    start = time.monotonic()
    for text in ("1  " * 170 + "!", "=" * 512, " " * 511 + "!", "1 - " * 128, "1," + " " * 500 + "!"):
        with pytest.raises(semver.VersionError):
            semver.parse_range(text)
    assert time.monotonic() - start < 2


@pytest.mark.skipif(not VECTORS.exists(), reason="the contract is not beside the repository")
def test_the_highest_tags_of_the_contract_are_chosen():
    vectors = json.loads(VECTORS.read_text())["imagePolicy"]
    cases = [case for case in vectors["cases"] if "semver" in case["policy"] and "filterTags" not in case]
    assert len(cases) >= 6
    for case in cases:
        within = semver.parse_range(case["policy"]["semver"]["range"])
        assert semver.highest(vectors["tags"], within) == case.get("latest"), case


def test_matching_versions_come_highest_first_and_keep_their_text():
    found = semver.matching(["1.0.0", "v1.2.0", "latest", "2", "1.10.0", "1.2.0+b"], semver.parse_range("1.x"))
    assert [version.original for version in found] == ["1.10.0", "v1.2.0", "1.2.0+b", "1.0.0"]


@given(st.text(st.sampled_from("0129.xX*v-+|,~^<>=! ab"), max_size=30))
def test_any_text_is_a_range_or_refused(text: str):
    try:
        within = semver.parse_range(text)
    except semver.VersionError:
        return
    assert isinstance(semver.parse("1.2.3") in within, bool)
