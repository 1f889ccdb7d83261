"""Which texts of a `resources:` list are URLs, and the port through which their content comes.

A build fetches nothing itself: the caller provides a Remote, and without one every URL is refused.
"""

from __future__ import annotations

import posixpath
import re
from typing import NamedTuple, Protocol
from urllib.parse import parse_qs

from .tree import Tree

SCHEMES = ("ssh://", "https://", "http://", "file://")


class Repository(NamedTuple):
    """A Git URL taken apart: what to clone, which ref of it, and the directory in it to build."""

    raw: str
    clone: str
    path: str
    ref: str = ""
    submodules: bool = True


class Remote(Protocol):
    """What a caller provides so that remote bases and files work."""

    def clone(self, repository: Repository) -> Tree:
        """The tree of the repository at its ref. Raises BuildError."""

    def download(self, url: str) -> bytes:
        """The content behind an HTTP URL. Raises BuildError."""


def is_url(path: str) -> bool:
    return path.lower().startswith(("http://", "https://"))


def _query(text: str) -> tuple[str, bool]:
    try:
        values = parse_qs(text)
    except ValueError:
        return "", True
    ref = values.get("ref", [""])[0] or values.get("version", [""])[0]
    wanted = values.get("submodules", ["true"])[0]
    return ref, wanted.lower() not in ("false", "f", "0")


def _split_path(rest: str, *, whole: bool) -> tuple[str, str] | None:
    """(repository, directory in it): by `_git/`, `//`, `.git`, or after the first two segments."""
    if "_git/" in rest:
        head, tail = rest.split("_git/", 1)
        name, _, inside = tail.partition("/")
        return f"{head}_git/{name}", inside
    if "//" in rest:
        head, inside = rest.split("//", 1)
        return head, inside
    if ".git" in rest:
        at = rest.index(".git") + len(".git")
        return rest[:at], rest[at:]
    if whole:
        return rest, ""
    segments = rest.split("/")
    if len(segments) < 2:
        return None
    return "/".join(segments[:2]), "/".join(segments[2:])


def repository(url: str) -> Repository | None:
    """Take a Git URL apart; None when the text is none, and so a path."""
    if url.startswith("/"):
        return None
    rest, _, query = url.partition("?")
    if rest[:5].lower() == "git::":
        rest = rest[5:]
    scheme = next((s for s in SCHEMES if rest[: len(s)].lower() == s), "")
    rest = rest[len(scheme) :]
    match = re.match(r"[a-zA-Z][a-zA-Z0-9-]*@", rest)
    user = match.group(0) if match else ""
    rest = rest[len(user) :]
    github = rest[:11].lower() in ("github.com/", "github.com:")
    scp = not scheme and (bool(user) or github)
    if not scheme and not scp:
        return None
    if scheme == "file://":
        host, rest = "", user + rest
        user = ""
    else:
        at = rest.find("/")
        colon = rest.find(":") if scp else -1
        if scp and (at == -1 or 0 < colon < at):
            at = colon
        host, rest = (rest[: at + 1], rest[at + 1 :]) if at >= 0 else (rest, "")
        if github:
            if scheme == "ssh://" or user:
                scheme, host = "", "github.com:"
            else:
                scheme, host = "https://", "github.com/"
        if not host:
            return None
    split = _split_path(rest, whole=scheme == "file://")
    if split is None or not split[0]:
        return None
    name, inside = split
    inside = inside.lstrip("/")
    if posixpath.normpath(inside or ".").split("/")[0] == "..":
        return None
    ref, submodules = _query(query)
    return Repository(url, scheme + user + host + name, inside, ref, submodules)
