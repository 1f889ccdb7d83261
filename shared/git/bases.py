"""Remote bases and files of builds: what a kustomization names by a URL, brought by Git or HTTP.

    URL → the commit's files in a directory of their own, or the bytes behind an HTTP URL

It is the kustomize engine's port to elsewhere. What always holds: nothing is brought twice in one build, everything is
bounded in time and size, no credentials of this machine are used, and all directories are gone when the build ends.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
import urllib.request
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from shared.git.credentials import Credentials, address
from shared.git.errors import GitError, RefNotFound
from shared.git.refs import Head, Reference
from shared.git.remote import Session, session
from shared.kustomize import BuildError, DiskTree, NotFound, Repository

SECONDS = 27.0
"""For one repository or file; kustomize's own limit."""
LARGEST = 32 * 1024 * 1024
"""Bytes of one file."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_SCP = re.compile(r"(?:(?P<user>[A-Za-z0-9][\w.-]*)@)?(?P<host>[A-Za-z0-9][\w.-]*):(?P<path>[^/].*)\Z", re.ASCII)


class Bases:
    """Brings repositories and files for one build; use it in a `with` block, from a thread without an event loop."""

    def __init__(self, *, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._clones: dict[tuple[str, str, bool], DiskTree] = {}

    def __enter__(self) -> Bases:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def clone(self, repository: Repository) -> DiskTree:
        """The files of a repository at its ref: a tag, a branch or a commit, the default branch when it names none."""
        key = (repository.clone, repository.ref, repository.submodules)
        if key not in self._clones:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="bases-")
            dest = Path(self._folder.name) / str(len(self._clones))
            try:
                asyncio.run(self._checkout(repository, dest))
            except GitError as error:
                raise BuildError(f"cannot fetch {_shown(repository.clone)}: {error}") from error
            self._clones[key] = DiskTree(dest)
        return self._clones[key]

    async def _checkout(self, repository: Repository, dest: Path) -> None:
        at = address(_url(repository.clone))
        credentials = Credentials(username=at.username or ("git" if at.scheme == "ssh" else ""), password=at.password)
        async with session(at, credentials, seconds=self._seconds) as remote:
            head = await _resolved(remote, repository.ref)
            await remote.checkout(head, dest, submodules=repository.submodules)

    def download(self, url: str) -> bytes:
        """The content behind an HTTP URL. NotFound when the server has none."""
        opener = urllib.request.build_opener(_Redirects)
        try:
            with opener.open(url, timeout=self._seconds) as answer:
                content: bytes = answer.read(LARGEST + 1)
        except (OSError, HTTPException, ValueError) as error:
            raise NotFound(f"cannot download {_shown(url)}: {error}") from error
        if len(content) > LARGEST:
            raise BuildError(f"{_shown(url)} is larger than {LARGEST} bytes")
        return content


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to HTTP URLs only, and none that gives up encryption."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            raise ValueError(f"redirected to {scheme or 'no'} URL, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


async def _resolved(remote: Session, ref: str) -> Head:
    if not ref:
        return await remote.resolve(Reference(name="HEAD"))
    if _COMMIT.match(ref):
        return await remote.resolve(Reference(commit=ref))
    if ref.startswith("refs/"):
        return await remote.resolve(Reference(name=ref))
    try:
        return await remote.resolve(Reference(tag=ref))
    except RefNotFound:
        return await remote.resolve(Reference(branch=ref))


def _url(clone: str) -> str:
    """A URL also of what scp would write: git@host:path."""
    match = _SCP.match(clone) if "://" not in clone else None
    if match is None:
        return clone
    return f"ssh://{match['user'] or 'git'}@{match['host']}/{match['path']}"


def _shown(url: str) -> str:
    """A URL without user information and query, which may hold secrets."""
    return re.sub(r"//[^/@]*@", "//", url.partition("?")[0])
