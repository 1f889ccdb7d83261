"""Remote bases and files of builds: what a kustomization names by a URL, brought by Git or HTTP.

    URL → the commit's files in a directory of their own, or the bytes behind an HTTP URL

It is the kustomize engine's port to elsewhere. What always holds: nothing is brought twice in one build, everything is
bounded in time and size, no credentials of this machine are used, and all directories are gone when the build ends.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import re
import socket
import tempfile
import time
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

    def __init__(self, *, seconds: float = SECONDS, within: float = math.inf) -> None:
        """`seconds` are for one repository or file, `within` for all of the build."""
        self._seconds, self._deadline = seconds, time.monotonic() + within
        self.is_used = False
        """Whether the build named anything by a URL."""
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
        self.is_used = True
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
        await asyncio.to_thread(require_public, at.host)
        credentials = Credentials(username=at.username or ("git" if at.scheme == "ssh" else ""), password=at.password)
        async with session(at, credentials, seconds=self._left()) as remote:
            head = await _resolved(remote, repository.ref)
            commit = await remote.fetch(head, submodules=repository.submodules)
            await remote.checkout(commit, dest, submodules=repository.submodules)

    def _left(self) -> float:
        """Seconds that the next may take."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise GitError("there is no time left for what the build fetches from elsewhere")
        return min(self._seconds, left)

    def download(self, url: str) -> bytes:
        """The content behind an HTTP URL. NotFound when the server has none."""
        self.is_used = True
        opener = urllib.request.build_opener(_Redirects)
        try:
            require_public(urlsplit(url).hostname or "")
            ends = time.monotonic() + self._left()
            with opener.open(url, timeout=self._left()) as answer:
                content = _read(answer, ends)
        except (OSError, HTTPException, ValueError, GitError) as error:
            raise NotFound(f"cannot download {_shown(url)}: {error}") from error
        if len(content) > LARGEST:
            raise BuildError(f"{_shown(url)} is larger than {LARGEST} bytes")
        return content


def _read(answer: Any, ends: float) -> bytes:
    """What a server answers, one byte more than LARGEST at most; also one that sends a little now and then must end."""
    content = bytearray()
    while len(content) <= LARGEST and (block := answer.read1(min(1 << 16, LARGEST + 1 - len(content)))):
        content += block
        if time.monotonic() > ends:
            raise TimeoutError("it takes too long")
    return bytes(content)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections to HTTP URLs only, and none that gives up encryption."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        scheme = urlsplit(newurl).scheme
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            raise ValueError(f"redirected to {scheme or 'no'} URL, which is not followed")
        require_public(urlsplit(newurl).hostname or "")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def require_public(host: str) -> None:
    """GitError for a host that only serves its own machine, such as the metadata service of a cloud. Blocks."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return  # whoever connects says why it can't be found
    if any(ipaddress.ip_address(str(where[0]).partition("%")[0]).is_link_local for _, _, _, _, where in found):
        raise GitError(f"{host} has a link-local address, which nothing is fetched from")


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
