"""Path patterns with `**`, as Go's doublestar reads them: the time of a match is linear in the path.

`*` any text and `?` any character within a name, `**` as a whole name any number of names, `[a-z]`, `[^a-z]` and
`[!a-z]`, `{one,other}`, `\\x`. A pattern that ends in `/**` matches the directory itself, too.
"""

from __future__ import annotations

import re

from shared.text import regex
from shared.text.regex import PatternError

_NAME = "[^/]"


class Glob:
    """A pattern that paths with `/` are compared with."""

    def __init__(self, pattern: str) -> None:
        """PatternError when it is none."""
        made, _ = _sequence(pattern, 0, inside=False)
        self._compiled = regex.compile(f"(?s:{made})")

    def matches(self, path: str) -> bool:
        """Does the pattern fit all of the path? What is no UTF-8 in it counts as one strange character each."""
        return self._compiled.fullmatch(printable(path)) is not None


def printable(path: str) -> str:
    """A path of the file system with U+FFFD for each byte that is no UTF-8, as Go reads such a path."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _sequence(pattern: str, at: int, *, inside: bool) -> tuple[str, int]:
    """The expression for a pattern's rest, or for one of the alternatives that it is `inside` of."""
    made: list[str] = []
    start = at
    while at < len(pattern):
        char = pattern[at]
        if inside and char in ",}":
            break
        if (
            pattern.startswith("**", at)
            and (at == start or pattern[at - 1] == "/")
            and _ends_name(pattern, at + 2, inside)
        ):
            last = at + 2 >= len(pattern)
            if not last and pattern[at + 2] == "/":
                made.append(f"(?:{_NAME}+/)*")
                at += 3
                continue
            if made and made[-1] == "/":
                made[-1] = "(?:/.*)?"
            else:
                made.append(".*")
            at += 2
        elif char == "*":
            made.append(f"{_NAME}*")
            at += 1
        elif char == "?":
            made.append(_NAME)
            at += 1
        elif char == "[":
            part, at = _class(pattern, at + 1)
            made.append(part)
        elif char == "{":
            part, at = _alternatives(pattern, at + 1)
            made.append(part)
        else:
            if char == "\\":
                at += 1
                if at == len(pattern):
                    raise PatternError(f"{pattern[:100]!r}: it ends in a backslash")
            made.append(re.escape(pattern[at]))
            at += 1
    return "".join(made), at


def _ends_name(pattern: str, at: int, inside: bool) -> bool:
    return at >= len(pattern) or pattern[at] == "/" or (inside and pattern[at] in ",}")


def _class(pattern: str, at: int) -> tuple[str, int]:
    negated = at < len(pattern) and pattern[at] in "^!"
    at += negated
    ranges: list[str] = []
    while at < len(pattern) and not (pattern[at] == "]" and ranges):
        low, at = _bound(pattern, at)
        high = low
        if pattern.startswith("-", at) and not pattern.startswith("-]", at):
            high, at = _bound(pattern, at + 1)
        if high < low:
            raise PatternError(f"{pattern[:100]!r}: a range is the wrong way round")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if at >= len(pattern):
        raise PatternError(f"{pattern[:100]!r}: a '[' isn't closed")
    return (f"[^/{''.join(ranges)}]" if negated else f"[{''.join(ranges)}]"), at + 1


def _bound(pattern: str, at: int) -> tuple[str, int]:
    if pattern.startswith("\\", at):
        at += 1
    if at >= len(pattern):
        raise PatternError(f"{pattern[:100]!r}: a '[' isn't closed")
    return pattern[at], at + 1


def _alternatives(pattern: str, at: int) -> tuple[str, int]:
    parts: list[str] = []
    while True:
        part, at = _sequence(pattern, at, inside=True)
        parts.append(part)
        if at >= len(pattern):
            raise PatternError(f"{pattern[:100]!r}: a '{{' isn't closed")
        at += 1
        if pattern[at - 1] == "}":
            return f"(?:{'|'.join(parts)})", at
