"""Shell patterns as Go's path.Match reads them: `*` any text, `?` any character, `[a-z]`, `[^a-z]`, `\\x`.

All ways through a pattern are followed at once, one bit for each place in it, so that stars cost no more than letters
do: the time is linear in the text, whatever the pattern.
"""

from __future__ import annotations

from collections.abc import Callable

_STAR = None
Element = Callable[[str], bool] | None
"""One part of a pattern: what says whether a character fits, or None for a star."""


def matches(text: str, elements: list[Element] | None) -> bool:
    """Does the pattern match all of the text? A malformed one (None) matches nothing."""
    if elements is None:
        return False
    if not text:
        return all(element is _STAR for element in elements)
    return matching_start(text, elements, longest=True) == len(text)


def matching_start(text: str, elements: list[Element] | None, *, longest: bool) -> int:
    """How many characters of the text's beginning the pattern matches; 0 when it matches none, or is malformed."""
    if elements is None:
        return 0
    done = 1 << len(elements)
    stars = sum(1 << place for place, element in enumerate(elements) if element is _STAR)
    steps: dict[str, int] = {}

    def past_stars(places: int) -> int:
        while True:
            more = places | (places & stars) << 1
            if more == places:
                return places
            places = more

    places = past_stars(1)
    found = 0
    for count, char in enumerate(text, 1):
        step = steps.get(char)
        if step is None:
            step = steps[char] = sum(
                1 << place for place, element in enumerate(elements) if element is not _STAR and element(char)
            )
        places = past_stars((places & step) << 1 | places & stars)
        if not places:
            break
        if places & done:
            found = count
            if not longest:
                break
    return found


def parse(pattern: str) -> list[Element] | None:
    """The pattern's parts, neighbouring stars as one; None when it is malformed."""
    elements: list[Element] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if not elements or elements[-1] is not _STAR:
                elements.append(_STAR)
        elif char == "?":
            elements.append(lambda _: True)
        elif char == "[":
            ranges = _ranges(pattern, at)
            if ranges is None:
                return None
            element, at = ranges
            elements.append(element)
        else:
            if char == "\\":
                if at == len(pattern):
                    return None
                char = pattern[at]
                at += 1
            elements.append(char.__eq__)
    return elements


def _ranges(pattern: str, at: int) -> tuple[Element, int] | None:
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[tuple[str, str]] = []

    def bound(at: int) -> tuple[str, int] | None:
        if at < len(pattern) and pattern[at] == "\\":
            at += 1
        elif at < len(pattern) and pattern[at] in "-]":
            return None
        # The bracket that closes must still follow.
        return (pattern[at], at + 1) if at + 1 < len(pattern) else None

    while not (ranges and pattern.startswith("]", at)):
        low = bound(at)
        if low is None:
            return None
        high: tuple[str, int] | None = low
        if pattern[low[1]] == "-":
            high = bound(low[1] + 1)
            if high is None:
                return None
        assert high is not None
        ranges.append((low[0], high[0]))
        at = high[1]
    return (lambda char: any(low <= char <= high for low, high in ranges) != negated), at + 1
