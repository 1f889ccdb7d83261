"""Regular expressions that users write, in RE2's syntax: none of them can run long. Only here: google-re2.

What always holds: a pattern is at most `LENGTH` characters long and its automaton at most `MEMORY` bytes large; the
time of a match is linear in the text. RE2 has no backreferences and no lookaround, and `\\z` for the end of the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol, cast

import re2

LENGTH = 4096
"""The longest pattern, in characters."""
MEMORY = 8 * 1024 * 1024
"""The most that one pattern's automaton may take, in bytes."""


class PatternError(ValueError):
    """A text that is no RE2 expression, or too large a one; the message says which and why."""


class Match(Protocol):
    """Where a pattern matched. Groups that took no part are None."""

    def group(self, group: int | str = 0, /) -> str | None: ...
    def groups(self) -> tuple[str | None, ...]: ...
    def groupdict(self) -> dict[str, str | None]: ...
    def span(self, group: int | str = 0, /) -> tuple[int, int]: ...


class Pattern(Protocol):
    """A compiled pattern; immutable, may be used from any thread."""

    def search(self, text: str, /) -> Match | None: ...
    def match(self, text: str, /) -> Match | None: ...
    def fullmatch(self, text: str, /) -> Match | None: ...
    def finditer(self, text: str, /) -> Iterator[Match]: ...
    def sub(self, repl: str, text: str, count: int = 0, /) -> str: ...
    def split(self, text: str, maxsplit: int = 0, /) -> list[str]: ...
    @property
    def groups(self) -> int: ...
    @property
    def groupindex(self) -> dict[str, int]: ...


def compile(pattern: str) -> Pattern:
    """The compiled pattern; equal ones are compiled once. PatternError when it is none, or too large."""
    if len(pattern) > LENGTH:
        raise PatternError(f"the pattern has {len(pattern)} characters, at most {LENGTH} are taken")
    return _compile(pattern)


@lru_cache(maxsize=256)
def _compile(pattern: str) -> Pattern:
    options = re2.Options()
    options.max_mem = MEMORY
    options.log_errors = False
    try:
        return cast(Pattern, re2.compile(pattern, options))
    except re2.error as error:
        why = error.args[0] if error.args else "it can't be read"
        if isinstance(why, bytes):
            why = why.decode(errors="replace")
        raise PatternError(f"{pattern[:100]!r}: {why}") from error
    except UnicodeEncodeError as error:
        raise PatternError("the pattern holds half of a character pair, which no text can") from error
