"""A schema's `pattern`: an RE2 expression that has to match somewhere in the text."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from shared.text import regex

Pattern = Callable[[str], bool]


@lru_cache(maxsize=4096)
def _compile(pattern: str) -> tuple[Pattern | None, str]:
    try:
        found = regex.compile(pattern)
    except regex.PatternError as error:
        return None, str(error)
    return lambda text: found.search(text) is not None, ""


def compiled(pattern: str) -> Pattern:
    """A function that says whether a text matches. A pattern that is none matches nothing, as in a real server."""
    return _compile(pattern)[0] or (lambda text: False)


def problem(pattern: str) -> str:
    """Why a text is no RE2 expression; "" when it is one."""
    return _compile(pattern)[1]
