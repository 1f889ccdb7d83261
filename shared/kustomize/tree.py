"""Where files come from: the port to a file tree, and the two trees that implement it.

Paths are absolute inside the tree: "/" is its root, parts are separated by "/", `..` never leads above the root.
A tree never hands out anything from outside its root, whatever symbolic links say.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from .errors import NotFound, Refused

MAX_FILE = 64 * 1024 * 1024
"""The largest file that is read, in bytes."""


class Tree(Protocol):
    """What the engine asks of a file tree. Every method takes paths as described above."""

    def resolve(self, path: str) -> str:
        """The path without symbolic links. NotFound when nothing is there, Refused when it leads outside."""

    def is_dir(self, path: str) -> bool:
        """Does the (resolved) path name a directory? False when nothing is there."""

    def read(self, path: str) -> bytes:
        """The content of the file. NotFound or Refused."""

    def list(self, path: str) -> list[str]:
        """The names in a directory, sorted."""


def join(directory: str, path: str) -> str:
    """`path` seen from `directory`, normalised. Refused when it leads above the root of the tree."""
    whole = path if path.startswith("/") else directory + "/" + path
    depth = 0
    for part in whole.split("/"):
        if part == "..":
            depth -= 1
            if depth < 0:
                raise Refused(f"the path {path!r} leads outside the source: use a path inside of it")
        elif part not in ("", "."):
            depth += 1
    normal = posixpath.normpath(whole)
    return "/" + normal.lstrip("/")


def is_below(path: str, root: str) -> bool:
    """Is `path` the directory `root` or in it?"""
    return root == "/" or path == root or path.startswith(root + "/")


class DiskTree:
    """A directory on disk. Links are followed as long as they stay inside."""

    def __init__(self, root: Path | str, *, max_file: int = MAX_FILE) -> None:
        self.root = os.path.realpath(root)
        self.max_file = max_file
        self._real: dict[str, str] = {self.root: self.root}
        """Directories that were found, of this machine, and where they really are."""

    def _host(self, path: str) -> str:
        return self.root.rstrip("/") + path if path != "/" else self.root

    def inner(self, host: str) -> str | None:
        """The path inside the tree of an absolute path of this machine; None when it is elsewhere."""
        if host == self.root:
            return "/"
        prefix = self.root.rstrip("/") + "/"
        return "/" + host[len(prefix) :] if host.startswith(prefix) else None

    def resolve(self, path: str) -> str:
        try:
            real = self._where(self._host(path))
        except (OSError, ValueError) as error:
            inside = self.inner(path)
            if inside is not None and inside != path:
                return self.resolve(inside)
            raise NotFound(f"no such file or directory: {path.lstrip('/') or '.'}") from error
        found = self.inner(real)
        if found is None:
            raise Refused(f"{path.lstrip('/')} is a link that leads outside the source: replace it by a file")
        return found

    def _where(self, host: str) -> str:
        """Where a path of this machine really is. OSError when nothing is there. The directory is looked up once, for
        all that is in it; a build asks for many names in few of them."""
        if host == self.root:
            return host
        directory, name = os.path.split(host)
        if (real := self._real.get(directory)) is None:
            real = self._real[directory] = os.path.realpath(directory, strict=True)
        found = os.path.join(real, name)  # noqa: PTH118 (a fraction of the cost)
        return os.path.realpath(found, strict=True) if stat.S_ISLNK(os.lstat(found).st_mode) else found

    def is_dir(self, path: str) -> bool:
        return os.path.isdir(self._host(path))  # noqa: PTH112 (a third of the cost)

    def read(self, path: str) -> bytes:
        real = self.resolve(path)
        try:
            fd = os.open(self._host(real), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            raise NotFound(f"cannot read {path.lstrip('/')}: {getattr(error, 'strerror', None) or error}") from error
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise NotFound(f"{path.lstrip('/') or '.'} is not a file")
            if status.st_size > self.max_file:
                raise Refused(f"{path.lstrip('/')} is larger than {self.max_file} bytes")
            with open(fd, "rb", closefd=False) as file:
                return file.read(self.max_file)
        finally:
            os.close(fd)

    def list(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(self._host(self.resolve(path))))  # noqa: PTH208 (names are wanted)
        except OSError as error:
            raise NotFound(f"cannot list {path.lstrip('/') or '.'}: {error.strerror}") from error


class MemoryTree:
    """Files in a mapping of path ("app/kustomization.yaml") to content; directories are what the paths imply."""

    def __init__(self, files: Mapping[str, bytes | str]) -> None:
        self.files: dict[str, bytes] = {}
        self.directories: dict[str, set[str]] = {"/": set()}
        for name, content in files.items():
            path = join("/", name)
            self.files[path] = content.encode() if isinstance(content, str) else content
            while path != "/":
                parent, _, base = path.rpartition("/")
                parent = parent or "/"
                self.directories.setdefault(parent, set()).add(base)
                path = parent

    def resolve(self, path: str) -> str:
        if path not in self.files and path not in self.directories:
            raise NotFound(f"no such file or directory: {path.lstrip('/') or '.'}")
        return path

    def is_dir(self, path: str) -> bool:
        return path in self.directories

    def read(self, path: str) -> bytes:
        if path in self.directories:
            raise NotFound(f"{path.lstrip('/') or '.'} is not a file")
        if path not in self.files:
            raise NotFound(f"no such file or directory: {path.lstrip('/')}")
        return self.files[path]

    def list(self, path: str) -> list[str]:
        if path not in self.directories:
            raise NotFound(f"no such directory: {path.lstrip('/')}")
        return sorted(self.directories[path])
