"""References: which repository of which registry, and which of its manifests. Pure.

oci://host[:port]/path → Repository ; path[:tag][@digest] → Image
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.oci.errors import InvalidReference

SCHEME = "oci://"
DOCKER_HUB = "index.docker.io"
_HUB_NAMES = {"docker.io", "index.docker.io", "registry-1.docker.io"}
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_PATH = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.A)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


@dataclass(frozen=True)
class Repository:
    """A repository in a registry."""

    host: str
    """With its port, as written."""
    path: str

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    @property
    def endpoint(self) -> str:
        """The host to talk to."""
        return "registry-1.docker.io" if self.host in _HUB_NAMES else self.host

    def at(self, tag_or_digest: str) -> str:
        """The full reference of a tag or digest."""
        return f"{self}@{tag_or_digest}" if DIGEST.fullmatch(tag_or_digest) else f"{self}:{tag_or_digest}"


@dataclass(frozen=True)
class Image:
    """A repository with perhaps a tag and a digest."""

    repository: Repository
    tag: str = ""
    digest: str = ""


def repository(url: str) -> Repository:
    """The repository that an `oci://` URL names. InvalidReference also for one with a tag or digest."""
    if not url.startswith(SCHEME):
        raise InvalidReference(f"it must begin with {SCHEME}")
    found = image(url.removeprefix(SCHEME))
    if found.tag or found.digest:
        what = "digest" if found.digest else "tag"
        raise InvalidReference(f"it must not contain a {what}: use spec.ref.{what} for that")
    if "/" not in url.removeprefix(SCHEME):
        raise InvalidReference("it has no repository after the host")
    return found.repository


def image(text: str) -> Image:
    """The parts of an image's name as container tools write it; without a host it is on Docker Hub."""
    name, at, digest = text.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise InvalidReference(f"'{digest[:100]}' is no digest such as sha256:<hex>")
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        host, path = head, rest
    else:
        host, path = DOCKER_HUB, name
    tag = ""
    if ":" in path.rsplit("/", 1)[-1]:
        path, _, tag = path.rpartition(":")
        if not _TAG.fullmatch(tag):
            raise InvalidReference(f"'{tag[:150]}' is no valid tag")
    if host in _HUB_NAMES and path and "/" not in path:
        path = f"library/{path}"
    if not _HOST.fullmatch(host):
        raise InvalidReference(f"'{host[:100]}' is no valid host")
    if not _PATH.fullmatch(path) or len(path) > 255:
        raise InvalidReference(f"'{path[:100]}' is no valid repository: lower case letters, digits, '.', '_', '-', '/'")
    return Image(Repository(host, path), tag, digest)


def require_tag(text: str) -> str:
    """The text, if it can be a tag; InvalidReference if not."""
    if not _TAG.fullmatch(text):
        raise InvalidReference(f"'{text[:150]}' is no valid tag")
    return text


def require_digest(text: str) -> str:
    """The text, if it can be a digest; InvalidReference if not."""
    if not DIGEST.fullmatch(text):
        raise InvalidReference(f"'{text[:150]}' is no digest such as sha256:<hex>")
    return text
