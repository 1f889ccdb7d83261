"""Work that is small enough for the event loop: to hand it to a thread and back would cost as much again.

How much work a few files mean isn't known beforehand, for kustomizations multiply. So it is begun on the loop, with
files that tell when too many bytes were read or too much time went by; then it is begun anew in a thread.
"""

from __future__ import annotations

import time

from shared import kustomize

BYTES = 32 * 1024
"""Of files; some ten objects of an application are a third of it."""
SECONDS = 0.02
"""What others may have to wait for it; a build of `BYTES` takes half of that."""


class TooMuch(Exception):
    """The work is too much for the event loop."""


class Light:
    """Files for a build on the event loop, and all that it is given besides: asked for too much, it raises TooMuch."""

    def __init__(self, tree: kustomize.Tree) -> None:
        self._tree, self._left, self._ends = tree, BYTES, time.monotonic() + SECONDS

    def check(self) -> None:
        """TooMuch when it takes too long."""
        if time.monotonic() > self._ends:
            raise TooMuch

    def resolve(self, path: str) -> str:
        return self._tree.resolve(path)

    def is_dir(self, path: str) -> bool:
        return self._tree.is_dir(path)

    def list(self, path: str) -> list[str]:
        self.check()
        return self._tree.list(path)

    def read(self, path: str) -> bytes:
        self.check()
        content = self._tree.read(path)
        self._left -= len(content)
        if self._left < 0:
            raise TooMuch
        return content

    def clone(self, repository: kustomize.Repository) -> kustomize.Tree:
        """What is elsewhere is never light."""
        raise TooMuch

    def download(self, url: str) -> bytes:
        """What is elsewhere is never light."""
        raise TooMuch
