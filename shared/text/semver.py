"""Semantic versions and ranges of them, as Masterminds/semver reads both.

What passes through: tags of Git and OCI repositories, chart versions, and the ranges users write to choose among them.
What always holds: two versions that differ only in metadata are equal; a prerelease is in a range only when the part
of the range between two `||` mentions a prerelease itself.

    1.2.3  =1.2.3  !=1.2.3  >1.2  >=1.2  <2  <=2.x     comparisons; `1.2`, `1.2.x` and `1.2.*` are all of 1.2
    ~1.2.3   >=1.2.3 <1.3.0         ^1.2.3   >=1.2.3 <2.0.0        ^0.2.3   >=0.2.3 <0.3.0
    1.2 - 1.4   >=1.2 <=1.4         a, b  or  a b   both            a || b   either
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

_LONGEST_VERSION = 256
_LONGEST_RANGE = 512
_MOST_ALTERNATIVES = 32
_MAX = 2**64 - 1

_IDENTIFIERS = r"[0-9A-Za-z\-]+(?:\.[0-9A-Za-z\-]+)*"
_LENIENT = re.compile(rf"v?([0-9]+)(\.[0-9]+)?(\.[0-9]+)?(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?\Z")
_STRICT = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    rf"(?:-({_IDENTIFIERS}))?(?:\+({_IDENTIFIERS}))?\Z"
)

_SPACE = r"[\t\n\f\r ]"
_OPERATOR = r"!=|>=|=>|<=|=<|~>|[=><~^]|"
_PART = r"[0-9|xX*]+"
_PATTERN = rf"v?{_PART}(?:\.{_PART})?(?:\.{_PART})?(?:-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?"
_COMPARISON = re.compile(
    rf"({_OPERATOR}){_SPACE}*v?({_PART})(?:\.({_PART}))?(?:\.({_PART}))?(-{_IDENTIFIERS})?(\+{_IDENTIFIERS})?"
)
# Spaces are taken once and never given back, or a hostile range would be tried in exponentially many ways.
_ALTERNATIVE = re.compile(
    rf"{_SPACE}*+(?:{_OPERATOR}){_SPACE}*+{_PATTERN}"
    rf"(?:(?:{_SPACE}*+,{_SPACE}*+|{_SPACE}++)(?:{_OPERATOR}){_SPACE}*+{_PATTERN})*+{_SPACE}*+\Z"
)
_HYPHEN = re.compile(rf"{_SPACE}*({_PATTERN}){_SPACE}+-{_SPACE}+({_PATTERN}){_SPACE}*")
_ANY = frozenset("xX*")


class VersionError(ValueError):
    """A text that is no version, or no range of versions."""


@dataclass(frozen=True, eq=False, slots=False)
class Version:
    """A version. Compares, and is equal, by precedence: metadata does not count."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""
    metadata: str = ""
    original: str = field(default="", repr=False)
    """The text it was read from, with the `v` and the missing parts it may have had."""

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What versions are ordered by."""
        return (self.major, self.minor, self.patch, *prerelease_key(self.prerelease))

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        if self.prerelease:
            text += f"-{self.prerelease}"
        return f"{text}+{self.metadata}" if self.metadata else text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __lt__(self, other: Version) -> bool:
        return self.key < other.key

    def __le__(self, other: Version) -> bool:
        return self.key <= other.key

    def __gt__(self, other: Version) -> bool:
        return self.key > other.key

    def __ge__(self, other: Version) -> bool:
        return self.key >= other.key


def prerelease_key(prerelease: str) -> tuple[Any, ...]:
    """Orders prereleases before the release; numbers by value and before words; fewer parts before more."""
    if not prerelease:
        return (1,)
    parts: list[tuple[int, int, str]] = []
    for part in prerelease.split("."):
        number = int(part) if part.isdecimal() and len(part) <= 20 else None
        parts.append((0, number, "") if number is not None and number <= _MAX else (1, 0, part))
    return (0, tuple(parts))


def parse(text: str) -> Version:
    """Lenient: a `v` before it, missing minor and patch, and zeros before numbers are fine."""
    match = _LENIENT.match(text) if len(text) <= _LONGEST_VERSION else None
    if match is None:
        raise VersionError(f"invalid semantic version: {_brief(text)}")
    major, minor, patch, prerelease, metadata = match.groups()
    return _version(text, major, (minor or ".0")[1:], (patch or ".0")[1:], prerelease, metadata)


def parse_tag(text: str) -> Version:
    """As lenient, but with all three numbers: so that a tag such as `v1` or `2024` is no version."""
    if text.count(".") < 2:
        raise VersionError(f"invalid semantic version: {_brief(text)}")
    return parse(text)


def parse_strict(text: str) -> Version:
    """Only what semver.org allows."""
    match = _STRICT.match(text) if len(text) <= _LONGEST_VERSION else None
    if match is None:
        raise VersionError(f"invalid semantic version: {_brief(text)}")
    return _version(text, *match.groups())


def _version(text: str, major: str, minor: str, patch: str, prerelease: str | None, metadata: str | None) -> Version:
    numbers = (int(major), int(minor), int(patch))
    if max(numbers) > _MAX:
        raise VersionError(f"a number is too large in the version {_brief(text)}")
    for part in (prerelease or "").split("."):
        if len(part) > 1 and part[0] == "0" and part.isdecimal():
            raise VersionError(f"a number in the prerelease begins with 0: {_brief(text)}")
    return Version(*numbers, prerelease or "", metadata or "", text)


def _brief(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


@dataclass(frozen=True, slots=True)
class _Comparison:
    operator: str
    version: Version
    any_from: int
    """Which number is the first that may be any: 0 major, 1 minor, 2 patch, 3 none."""

    def admits(self, version: Version) -> bool:
        """Is the version within? Prereleases have been sorted out before."""
        return _OPERATORS[self.operator](self, version)


@dataclass(frozen=True, slots=True)
class Range:
    """A range of versions: alternatives, each of comparisons that must all hold."""

    text: str
    alternatives: tuple[tuple[_Comparison, ...], ...]

    def __contains__(self, version: Version) -> bool:
        for comparisons in self.alternatives:
            if version.prerelease and not any(each.version.prerelease for each in comparisons):
                continue
            if all(each.admits(version) for each in comparisons):
                return True
        return False

    def __str__(self) -> str:
        return self.text


def parse_range(text: str) -> Range:
    """The range that a text states; VersionError when it states none."""
    if len(text.encode("utf-8", "surrogatepass")) > _LONGEST_RANGE:
        raise VersionError(f"constraint string is too long (max {_LONGEST_RANGE} bytes)")
    alternatives = _without_hyphens(text).split("||")
    if len(alternatives) > _MOST_ALTERNATIVES:
        raise VersionError(f"too many constraint groups (max {_MOST_ALTERNATIVES})")
    return Range(text, tuple(_alternative(each) for each in alternatives))


def _without_hyphens(text: str) -> str:
    result = text
    for match in _HYPHEN.finditer(text):
        result = result.replace(match[0], f">= {match[1]}, <= {match[2]} ", 1)
    return result


def _alternative(text: str) -> tuple[_Comparison, ...]:
    if not _ALTERNATIVE.match(text):
        raise VersionError(f'improper constraint: "{text}"')
    return tuple(_comparison(match) for match in _COMPARISON.finditer(text))


def _comparison(match: re.Match[str]) -> _Comparison:
    operator, major, minor, patch, prerelease, metadata = match.groups()
    prerelease = prerelease or ""
    if major in _ANY:
        any_from, text = 0, f"0.0.0{prerelease}"
    elif minor is None or minor in _ANY:
        any_from, text = 1, f"{major}.0.0{prerelease}"
    elif patch is None or patch in _ANY:
        any_from, text = 2, f"{major}.{minor}.0{prerelease}"
    else:
        any_from, text = 3, f"{major}.{minor}.{patch}{prerelease}{metadata or ''}"
    try:
        return _Comparison(operator, parse(text), any_from)
    except VersionError:
        raise VersionError(f'improper constraint: "{match[0]}"') from None


def _equal(c: _Comparison, v: Version) -> bool:
    return v.key == c.version.key if c.any_from == 3 else _tilde(c, v)


def _not_equal(c: _Comparison, v: Version) -> bool:
    if c.any_from < 3:
        if c.version.major != v.major:
            return True
        if c.any_from == 1:
            return False
        if c.version.minor != v.minor:
            return True
        if c.any_from == 2:
            return (v.prerelease or c.version.prerelease) != "" and v.prerelease != c.version.prerelease
    return v.key != c.version.key


def _greater(c: _Comparison, v: Version) -> bool:
    if c.any_from < 3:
        if v.major != c.version.major:
            return v.major > c.version.major
        if c.any_from == 1:
            return False
        if c.any_from == 2:
            return v.minor > c.version.minor
    return v.key > c.version.key


def _less(c: _Comparison, v: Version) -> bool:
    return v.key < c.version.key


def _greater_or_equal(c: _Comparison, v: Version) -> bool:
    return v.key >= c.version.key


def _less_or_equal(c: _Comparison, v: Version) -> bool:
    if c.any_from == 3:
        return v.key <= c.version.key
    if v.major != c.version.major:
        return v.major < c.version.major
    return c.any_from == 1 or v.minor <= c.version.minor


def _tilde(c: _Comparison, v: Version) -> bool:
    if v.key < c.version.key:
        return False
    if c.any_from not in (1, 2) and (c.version.major, c.version.minor, c.version.patch) == (0, 0, 0):
        return True  # ~0.0.0 is any version, and so is *
    return v.major == c.version.major and (c.any_from == 1 or v.minor == c.version.minor)


def _caret(c: _Comparison, v: Version) -> bool:
    if v.key < c.version.key:
        return False
    if c.version.major > 0 or c.any_from == 1:
        return v.major == c.version.major
    if v.major > 0:
        return False
    if c.version.minor > 0 or c.any_from == 2:
        return v.minor == c.version.minor
    return v.minor == 0 and v.patch == c.version.patch


_OPERATORS = {
    "": _equal, "=": _equal, "!=": _not_equal, ">": _greater, "<": _less,
    ">=": _greater_or_equal, "=>": _greater_or_equal, "<=": _less_or_equal, "=<": _less_or_equal,
    "~": _tilde, "~>": _tilde, "^": _caret,
}  # fmt: skip


def matching(texts: Iterable[str], within: Range | None = None) -> list[Version]:
    """The versions among the texts that are in the range, highest first; texts that are no version are left out."""
    found: list[Version] = []
    for text in texts:
        try:
            version = parse_tag(text)
        except VersionError:
            continue
        if within is None or version in within:
            found.append(version)
    return sorted(found, key=lambda version: version.key, reverse=True)


def highest(texts: Iterable[str], within: Range | None = None) -> str | None:
    """The text of the highest version in the range, as it was given; None when there is none."""
    versions = matching(texts, within)
    return versions[0].original if versions else None
