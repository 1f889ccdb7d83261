"""Regular expressions that users write: RE2, so that none of them can run long.

Most selectors are plain names. They need no expression, and the RE2 library is loaded only for those that do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from .errors import BuildError

Test = Callable[[str], bool]

_PLAIN = re.compile(r"[A-Za-z0-9_ /:@-]+\Z")
_PLAIN_OR_DOT = re.compile(r"[A-Za-z0-9_./:-]+\Z")


def is_plain(pattern: str) -> bool:
    """Does the pattern match itself only?"""
    return _PLAIN.match(pattern) is not None


def searcher(pattern: str) -> Test:
    """Does the pattern match somewhere in a text? BuildError when it is no RE2 expression."""
    from shared.text import regex

    try:
        compiled = regex.compile(pattern)
    except regex.PatternError as error:
        raise BuildError(f"{pattern!r} is not a regular expression: {error}") from error
    return lambda text: compiled.search(text) is not None


@lru_cache(maxsize=1024)
def found_in(pattern: str) -> Test:
    """Does the pattern match somewhere in a text?"""
    return (lambda text: pattern in text) if is_plain(pattern) else searcher(pattern)


@lru_cache(maxsize=1024)
def matcher(pattern: str) -> Test:
    """Does the pattern match the whole text? "" matches every one."""
    if not pattern:
        return lambda _: True
    if is_plain(pattern):
        return pattern.__eq__
    return searcher("^(?:" + pattern + ")$")


_TAG_AND_DIGEST = r"(:[a-zA-Z0-9_.{}-]*)?(@[a-zA-Z0-9]+([.+_-][a-zA-Z0-9]+)*:[a-zA-Z0-9_.{}-]*)?"


@lru_cache(maxsize=512)
def image(name: str) -> Test:
    """Is a text a reference to the image of this name, with any tag and digest?"""
    if _PLAIN_OR_DOT.match(name):
        compiled = re.compile(name + _TAG_AND_DIGEST + r"\Z")
        return lambda text: compiled.match(text) is not None
    try:
        return searcher("^" + name + _TAG_AND_DIGEST + "$")
    except BuildError:
        return lambda _: False
