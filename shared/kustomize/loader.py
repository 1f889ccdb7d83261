"""Reading for one directory of a build: paths are relative to it, and what may not be read is refused.

A Loader stands for a kustomization's directory. Its `read` follows the load restrictor, its `enter` gives the Loader of
another directory and detects cycles. All of a build's loaders share the record of the files that were read.
"""

from __future__ import annotations

import posixpath
from typing import Any

from .errors import BuildError, NotFound, Refused
from .kustomization import first_document
from .limits import MOST_STEPS, Allowance
from .remote import Remote, is_url, repository
from .tree import Tree, is_below, join

DEEPEST = 100
"""Kustomizations below each other."""


class Loader:
    """One directory of the tree."""

    def __init__(
        self,
        tree: Tree,
        root: str,
        *,
        restricted: bool,
        remote: Remote | None,
        files: dict[str, bytes],
        parent: Loader | None = None,
        prefix: str = "",
    ) -> None:
        self.tree = tree
        self.root = root
        self.restricted = restricted
        self.remote = remote
        self.files = files
        """What was read, by path from the root of the tree (of a clone: by URL and path)."""
        self.parent = parent
        self.prefix = prefix
        """The URL of the clone that `tree` is; empty for the tree of the build itself."""
        self.depth: int = parent.depth + 1 if parent else 0
        self.steps: Allowance = parent.steps if parent else Allowance(MOST_STEPS, "steps")
        """What all kustomizations of the build may do together."""

    def label(self, path: str) -> str:
        """How an error names a file of this directory."""
        if is_url(path):
            return path
        try:
            return self.prefix + join(self.root, path).lstrip("/")
        except BuildError:
            return path

    def read(self, path: str) -> bytes:
        """The content of a file. NotFound; Refused when the load restrictor forbids it."""
        if is_url(path):
            return self._download(path)
        if not path:
            raise NotFound("the path of a file is empty")
        whole = join(self.root, path)
        label = self.prefix + whole.lstrip("/")
        found = self.files.get(label)
        if found is not None and not self.restricted:
            return found
        real = self.tree.resolve(whole)
        if self.restricted:
            if self.tree.is_dir(real):
                raise NotFound(f"{path} is a directory, not a file")
            if not is_below(posixpath.dirname(real), self.root):
                raise Refused(
                    f"{path} is not in or below {self.root.lstrip('/') or 'the root'}: move the file there, "
                    "or use the load restrictor LoadRestrictionsNone"
                )
        content = self.files[label] = self.tree.read(real)
        return content

    def document(self, path: str) -> Any:
        """The first document of a configuration file. BuildError names the file from the root of the tree."""
        return first_document(self.read(path), self.label(path))

    def _download(self, url: str) -> bytes:
        if self.remote is None:
            raise Refused(f"{url} is remote, and remote files are disabled: copy it into the source")
        if url not in self.files:
            self.files[url] = self.remote.download(url)
        return self.files[url]

    def enter(self, path: str) -> Loader:
        """The loader of another directory, or of a cloned repository. Refused for cycles and what lies outside."""
        if not path:
            raise NotFound("the path of a directory is empty")
        if self.depth >= DEEPEST:
            raise Refused(f"more than {DEEPEST} kustomizations below each other")
        repo = repository(path)
        if repo is not None:
            return self._clone(path)
        if path.startswith("/"):
            raise Refused(f"{path} is absolute: use a path relative to the kustomization")
        for part in path.split("/"):
            if ".." in part and part != "..":
                raise Refused(f"{path!r} has '..' inside of a name: check the indentation of the list")
        real = self.tree.resolve(join(self.root, path))
        if not self.tree.is_dir(real):
            raise NotFound(f"{path} is a file, not a directory")
        above: Loader | None = self
        while above is not None and above.prefix == self.prefix:
            if is_below(above.root, real):
                raise Refused(f"{path} leads in a cycle: {real.lstrip('/') or '.'} contains {self.root.lstrip('/')}")
            above = above.parent
        return Loader(
            self.tree,
            real,
            restricted=self.restricted,
            remote=self.remote,
            files=self.files,
            parent=self,
            prefix=self.prefix,
        )

    def _clone(self, url: str) -> Loader:
        repo = repository(url)
        assert repo is not None
        if self.remote is None:
            raise Refused(f"{url} is remote, and remote bases are disabled: copy it into the source")
        above: Loader | None = self
        while above is not None:
            if above.prefix and above.prefix.startswith(repo.raw):
                raise Refused(f"{url} leads in a cycle: it was entered from {above.prefix}")
            above = above.parent
        tree = self.remote.clone(repo)
        real = tree.resolve(join("/", repo.path))
        if not tree.is_dir(real):
            raise NotFound(f"{url} names a file, not a directory")
        return Loader(
            tree,
            real,
            restricted=True,
            remote=self.remote,
            files=self.files,
            parent=self,
            prefix=f"{url}#/",
        )
