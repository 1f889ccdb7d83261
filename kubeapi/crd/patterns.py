"""A schema's `pattern`: an RE2 expression that has to match somewhere in the text."""

from __future__ import annotations

from collections.abc import Callable

from shared.text import regex

Pattern = Callable[[str], bool]


def compiled(pattern: str) -> Pattern:
    """A function that says whether a text matches. A pattern that is none matches nothing, as in a real server."""
    try:
        search = regex.compile(pattern).search
    except regex.PatternError:
        return lambda text: False
    return lambda text: search(text) is not None


def problem(pattern: str) -> str:
    """Why a text is no RE2 expression; "" when it is one."""
    try:
        regex.compile(pattern)
    except regex.PatternError as error:
        return str(error)
    return ""
