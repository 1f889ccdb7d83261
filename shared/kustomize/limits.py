"""What a build may use up in all, whatever its files ask for.

Kustomizations, patches and variables multiply: a few lines can mean more objects or text than any machine holds. An
Allowance counts down what one build (or one patch) may still make; a build that goes on beyond it is refused.
"""

from __future__ import annotations

from typing import Any

from .errors import Exhausted

MOST_COPIED = 100_000
"""Values that the `copy` operations of one patch add."""
MOST_FILES = 20_000
"""Files of one chart."""
LARGEST_CHART = 100 * 1024 * 1024
"""Bytes of one chart."""
MOST_TEXT = 64 * 1024 * 1024
"""Characters that generators, variables and replacements each put into objects."""
MOST_STEPS = 200_000
"""Objects that kustomizations pass on, and EACH for every kustomization."""
EACH = 100


class Allowance:
    """How much is left of something. `what` says in a message what there was too much of."""

    def __init__(self, most: int, what: str) -> None:
        self.left = self.most = most
        self.what = what

    def take(self, amount: int) -> None:
        """Use some. Exhausted when not so much is left."""
        self.left -= amount
        if self.left < 0:
            raise Exhausted(f"this makes more than {self.most} {self.what}: the build is refused")


def no_check() -> None:
    """A build may take as long as it takes."""


def values_in(value: Any, most: int) -> int:
    """How many values there are, this one and all inside of it; beyond `most` it stops counting."""
    count, queue = 0, [value]
    while queue and count <= most:
        found = queue.pop()
        count += 1
        if isinstance(found, dict):
            queue.extend(found.values())
        elif isinstance(found, list):
            queue.extend(found)
    return count


def text_in(value: Any) -> int:
    """How many characters the texts in a value have."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + text_in(item) for key, item in value.items())
    return sum(text_in(item) for item in value) if isinstance(value, list) else 1
