"""What is known of the files of artifacts, shared by all Kustomizations that build from them.

Looking whether a commit changes anything for a Kustomization means reading the files that it is made of, and in a
repository of many Kustomizations some are those of all. Each file of an artifact is read for that purpose once.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from shared.kustomize import DiskTree, Survey

MOST_ANSWERS = 200_000
"""Answers that are kept of all artifacts together, of about 200 bytes each; the newest artifact's are always kept."""


class Surveys:
    """The surveys of the artifacts that were used last."""

    def __init__(self, most: int = MOST_ANSWERS) -> None:
        self._most = most
        self._surveys: OrderedDict[str, Survey] = OrderedDict()

    def of(self, digest: str, root: Path) -> Survey:
        """The survey of the artifact with this digest, whose files are at `root` as long as the caller holds it."""
        survey = self._surveys.get(digest)
        if survey is None:
            survey = self._surveys[digest] = Survey(DiskTree(root))
        self._surveys.move_to_end(digest)
        kept = sum(map(len, self._surveys.values()))
        while kept > self._most and len(self._surveys) > 1:
            _, oldest = self._surveys.popitem(last=False)
            kept -= len(oldest)
        return survey
