"""Revisions: what an artifact is of, such as `main@sha1:5394cb7f…`, `sha1:5394cb7f…` or `v1@sha256:9f86d081…`.

Text passes through in both directions and `str(Revision.parse(text)) == text` holds for every text of today's form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DIGEST = re.compile(r"(?:(?P<name>.*)@)?(?P<algorithm>[a-z0-9]+(?:[.+_-][a-z0-9]+)*):(?P<hex>[A-Za-z0-9=_-]+)", re.S)
_LEGACY = re.compile(r"(?:(?P<name>.+)/)?(?P<hex>[0-9a-f]{40}|[0-9a-f]{64})", re.S)


@dataclass(frozen=True)
class Revision:
    """A name (branch, tag, full reference or empty) and the digest of what it named at the time."""

    name: str
    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Revision:
        """The parts of `text`. A text without a digest (a chart's version) is all name."""
        if found := _DIGEST.fullmatch(text):
            return cls(found["name"] or "", found["algorithm"], found["hex"])
        return cls(text, "", "")

    @property
    def digest(self) -> str:
        """`<algorithm>:<hex>`; empty when there is none."""
        return f"{self.algorithm}:{self.hex}" if self.hex else ""

    def __str__(self) -> str:
        return "@".join(part for part in (self.name, self.digest) if part)


def of_commit(name: str, commit: str) -> str:
    """The revision of a Git commit (its hexadecimal id) that was found by `name`, a branch, a tag or nothing."""
    algorithm = "sha1" if len(commit) == 40 else "sha256"
    return str(Revision(name, algorithm, commit))


def modern(text: str) -> str:
    """Today's form of a revision that an older controller wrote as `<branch>/<commit>` or a bare commit."""
    if found := _LEGACY.fullmatch(text):
        name = found["name"] or ""
        return of_commit("" if name == "HEAD" else name, found["hex"])
    return text
