"""What goes wrong with a YAML document, and where: `YAMLError` and the limits that hostile input meets."""

from __future__ import annotations

from typing import NamedTuple


class YAMLError(ValueError):
    """A document that cannot be read, or a value that has no YAML form.

    `str()` is "source:line: problem", without the parts that are not known. The message never quotes a value longer
    than a few characters, so a Secret's data stays out of it.
    """

    def __init__(self, problem: str, *, source: str = "", line: int = 0) -> None:
        self.problem = problem
        self.source = source
        self.line = line
        """Counted from 1; 0 when the problem has no place."""
        super().__init__(problem)

    def __str__(self) -> str:
        if self.source and self.line:
            return f"{self.source}:{self.line}: {self.problem}"
        if self.line:
            return f"line {self.line}: {self.problem}"
        if self.source:
            return f"{self.source}: {self.problem}"
        return self.problem


class Limits(NamedTuple):
    """How much a text may ask for. What exceeds one is refused with a YAMLError, whatever else it says."""

    depth: int = 250
    """Nested collections. JSON encoders and recursive code downstream stop soon above it."""
    size: int = 32 * 1024 * 1024
    """Bytes of UTF-8 text, all documents together."""
    documents: int = 100_000
    """Documents in one text."""


DEFAULT_LIMITS = Limits()


def excessive(expanded: int, total: int) -> bool:
    """Is too much of a document made by expanding aliases?

    expanded: nodes that stand in the result because an alias repeats them; total: all nodes so far. Small documents
    may be nearly all aliases; the share falls from 99 % at 400,000 nodes to 10 % at 4,000,000, so that a few lines
    never become gigabytes while a big generated file with anchors still loads.
    """
    if expanded <= 100 or total <= 1000:
        return False
    if total <= 400_000:
        share = 0.99
    elif total >= 4_000_000:
        share = 0.10
    else:
        share = 0.99 - 0.89 * (total - 400_000) / 3_600_000
    return expanded > share * total
