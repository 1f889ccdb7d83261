"""Placing: the files of a new artifact, as they are put into a directory of its own. Blocks.

What always holds: nothing is written outside the directory: paths are cleaned as text, and there is no link in it. A
source's files are linked into place and never opened for writing, for others read them, too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from shared.artifact.tar import ArchiveError
from shared.artifact.unpack import Limits, unpack
from shared.text import yaml
from shared.text.values import laid_over

_MAX_FILES, _MAX_DEPTH = 200_000, 64
_MAX_YAML = 4 << 20
_BLOCK = 1 << 18


class CopyError(Exception):
    """A step can't be made of what is there; says which and why."""


class Tree:
    """The directory of a new artifact."""

    def __init__(self, root: Path) -> None:
        """Makes the directory, whose parent must exist."""
        root.mkdir(mode=0o700)
        self.root, self._files = root, 0
        self._made: set[str] = {""}

    def directory(self, path: str) -> None:
        """Makes a directory and those above it, where they are missing."""
        if path in self._made:
            return
        if path.count("/") >= _MAX_DEPTH:
            raise CopyError(f"'{path[:200]}' is deeper than {_MAX_DEPTH} directories")
        self.directory(path.rpartition("/")[0])
        try:
            (self.root / path).mkdir(exist_ok=True, mode=0o700)
        except FileExistsError as error:
            raise CopyError(f"'{path}' is a file already") from error
        self._made.add(path)

    def is_directory(self, path: str) -> bool:
        """Is there a directory at the path?"""
        return path in self._made

    def file(self, source: Path, path: str, *, merge: bool = False) -> None:
        """Puts a file at a path, in place of one that is there, or with `merge` as YAML over it."""
        self._files += 1
        if self._files > _MAX_FILES:
            raise CopyError(f"it has more than {_MAX_FILES} files")
        if path in self._made:
            raise CopyError(f"'{path}' is a directory already")
        self.directory(path.rpartition("/")[0])
        place = self.root / path
        if merge and place.is_file():
            content = yaml.dump(laid_over(_values(place), _values(source)))
            place.unlink()  # it may be the source's own file
            place.write_text(content, encoding="utf-8")
            return
        place.unlink(missing_ok=True)
        try:
            os.link(source, place)
        except OSError:  # another file system, or one without links
            shutil.copy2(source, place)

    def unpacked(self, archive: Path, path: str) -> None:
        """Puts a tarball's files below a path."""
        with tempfile.TemporaryDirectory(prefix="extract-", dir=self.root.parent) as folder:
            tree = Path(folder, "tree")
            try:
                with archive.open("rb") as opened:
                    unpack(opened, tree, Limits())
            except ArchiveError as error:
                raise CopyError(f"failed to extract tarball '{archive.name}': {error}") from error
            for below, names in walk(tree):
                self.directory(joined(path, below))
                for name in names:
                    self.file(tree / below / name, joined(path, below, name))


def walk(root: Path, enters: Callable[[str], bool] = lambda _: True) -> Iterator[tuple[str, list[str]]]:
    """Each directory's path below `root`, with the names of its files, both in order. Those that `enters` refuses are
    left out with all below them."""
    for folder, folders, names in os.walk(root):
        below = "" if folder == os.fspath(root) else Path(folder).relative_to(root).as_posix()
        folders[:] = sorted(name for name in folders if enters(joined(below, name)))
        yield below, sorted(names)


def directories(root: Path) -> list[str]:
    """All directories below `root`, with `/`."""
    return [below for below, _ in walk(root) if below]


def digest(root: Path) -> str:
    """A digest of all names, executable bits and contents below `root`."""
    made = hashlib.sha256()
    for below, names in walk(root):
        for name in names:
            file = root / below / name
            content = hashlib.sha256()
            with file.open("rb") as opened:
                while block := opened.read(_BLOCK):
                    content.update(block)
            path = os.fsencode(joined(below, name))
            executable = file.stat().st_mode & 0o111 != 0
            made.update(b"%d %d %b %b\n" % (len(path), executable, path, content.digest()))
    return made.hexdigest()


def clean(path: str) -> str:
    """The path without `.` and empty names. CopyError for `..`."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise CopyError(f"the path '{path}' leads out of the tree")
    return "/".join(parts)


def joined(*parts: str) -> str:
    """The path of these, without empty ones."""
    return "/".join(part for part in parts if part)


def _values(file: Path) -> dict[str, Any]:
    """The documents of a YAML file, merged."""
    if file.stat().st_size > _MAX_YAML:
        raise CopyError(f"'{file.name}' has more than {_MAX_YAML} bytes to merge")
    merged: dict[str, Any] = {}
    try:
        for document in yaml.load_all(file.read_bytes(), source=file.name):
            if document is not None and not isinstance(document, dict):
                raise CopyError(f"'{file.name}' can't be merged: it is no map")
            merged = laid_over(merged, document or {})
    except yaml.YAMLError as error:
        raise CopyError(f"'{file.name}' can't be merged: {error}") from error
    return merged
