"""Scratch: one folder below which all temporary files of a process lie, gone when it ends.

    start → remove what nobody holds any more → a folder of its own, locked → end

A process that is killed can't clean up, and in a pod its files outlive it: a restart of the container leaves the volume
at /tmp as it is. So whoever starts next under the same name removes what was left.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

_SUFFIX = ".tmp"
"""Ends the names of such folders, lest anything else be taken for one."""


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Keep the temporary files of this process, and of those that it starts, in a folder of their own until the block
    ends. What processes of the same `name` left when they were killed is removed in the background. OSError when
    there is no place for it."""
    there = Path(tempfile.gettempdir()).glob(f"{name}-*{_SUFFIX}")
    left = [held for path in there if (held := _left(path)) is not None]
    if left:
        threading.Thread(target=_remove, args=(left,), name="remove what was left", daemon=True).start()
    own = _own(name)
    before, before_of_children = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = str(own.path)
    try:
        yield own.path
    finally:
        tempfile.tempdir = before
        if before_of_children is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before_of_children
        own.remove()


class _Held:
    """A folder that this process has locked; the lock ends with the process, however that ends."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path, self._lock = path, lock

    @classmethod
    def take(cls, path: Path) -> _Held | None:
        """None when another process holds it, or has removed it meanwhile."""
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), path.lstat()):
                return cls(path, lock)
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)
        return None

    def remove(self) -> None:
        """Remove the folder, as far as that can be done."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _own(name: str) -> _Held:
    """A new folder. Until it is locked another process may take it for one that was left, and then there is a next."""
    while True:
        if (held := _Held.take(Path(tempfile.mkdtemp(_SUFFIX, f"{name}-")))) is not None:
            return held


def _left(path: Path) -> _Held | None:
    """A folder that was left by a process of this user, for whom alone such a folder is."""
    try:
        found = path.lstat()
        is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        return _Held.take(path) if is_own else None
    except OSError:
        return None


def _remove(left: Sequence[_Held]) -> None:
    for held in left:
        log.info("removing the temporary files of a process that was killed: %s", held.path)
        held.remove()
