"""Hostile archives for tests, and a server that hands out bytes by name."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile

from tests.kit.loopback import Handler, Loopback

GIBIBYTE = 1 << 30


def archive(*members: tarfile.TarInfo, content: bytes = b"") -> bytes:
    """A .tar.gz of these members as they are, checked by nobody; a regular file has `content`."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for member in members:
            if member.isreg():
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return gzip.compress(data.getvalue())


def file(name: str) -> tarfile.TarInfo:
    """A regular file."""
    return tarfile.TarInfo(name)


def link(name: str, target: str, *, hard: bool = False) -> tarfile.TarInfo:
    """A link."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = tarfile.LNKTYPE if hard else tarfile.SYMTYPE, target
    return made


def bomb(size: int = 10 * GIBIBYTE) -> bytes:
    """A .tar.gz with one file of that many zeros, a thousandth of it in size."""
    header = tarfile.TarInfo("zeros")
    header.size = size
    chunk = 1 << 26
    zeros = gzip.compress(bytes(chunk))
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT)) + zeros * (size // chunk)


def digest(data: bytes) -> str:
    """As an artifact has it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class _Handler(Handler):
    owner: Files

    def do_GET(self) -> None:
        data = self.owner.held.get(self.path.lstrip("/"))
        self.reply(404 if data is None else 200, data or b"")


class Files(Loopback):
    """Serves `held` by name on the loopback interface; what isn't there is 404."""

    handler = _Handler

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, bytes] = {}

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"
