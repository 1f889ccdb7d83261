"""Unpacking: a hostile .tar.gz becomes a directory, all of it or none.

    gzip → bounded stream → headers (v7, USTAR, PAX, GNU) → regular files and directories below one new directory

Nothing is ever written outside that directory: names are checked as text, and no link is created that a later name
could follow. Sizes, counts, depth and the compression ratio are limited, and headers count too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from shared.artifact.tar import BLOCK, ArchiveError

MEBIBYTE = 1 << 20
_CHUNK = 1 << 17
_HEADER_MAX = 1 * MEBIBYTE


@dataclass(frozen=True)
class Limits:
    """What an archive may be. Each limit is the largest value that is accepted."""

    total: int = 2048 * MEBIBYTE
    """Bytes of the tar stream, headers and padding included."""
    file: int = 1024 * MEBIBYTE
    """Bytes of one file."""
    entries: int = 500_000
    """Entries of any type."""
    depth: int = 128
    """Names in one path."""
    ratio: int = 250
    """Bytes unpacked for each byte read, once more than `ratio_from` bytes are unpacked."""
    ratio_from: int = 32 * MEBIBYTE
    links: Literal["error", "skip"] = "error"
    """What symbolic and hard links are."""


@dataclass(frozen=True, slots=True)
class _Header:
    name: bytes
    kind: bytes
    size: int
    mode: int


def unpack(archive: IO[bytes], dest: Path, limits: Limits | None = None) -> None:
    """Unpacks a .tar.gz into the new directory `dest`, whose parent must exist. Blocks; call it off the event loop.

    Files get mode 0600 or, when the entry has an executable bit, 0700; directories 0700. Raises ArchiveError for what
    is broken, not allowed or too large; `dest` does not exist then.
    """
    limits = limits or Limits()
    growing = Path(tempfile.mkdtemp(prefix=f".{dest.name}.", dir=dest.parent))
    try:
        _extract(_Stream(_inflate(archive, limits)), os.fsencode(growing), limits)
        growing.rename(dest)
    except BaseException:
        shutil.rmtree(growing, ignore_errors=True)
        raise


def _extract(stream: _Stream, root: bytes, limits: Limits) -> None:
    made = {root}
    for count, header in enumerate(_headers(stream)):
        if count >= limits.entries:
            raise ArchiveError(f"the archive has more than {limits.entries} entries")
        shown = _shown(header.name)
        path = _inside(root, header.name, limits)
        if header.kind == b"5":
            _make_dir(path, made, shown)
        elif header.kind in (b"0", b"\0", b"7"):
            if header.size > limits.file:
                raise ArchiveError(f"'{shown}' has {header.size} bytes, more than the {limits.file} allowed for a file")
            if path == root:
                raise ArchiveError("a file in the archive has no name")
            _make_dir(path.rpartition(b"/")[0], made, shown)
            _write(stream, path, header, shown)
        elif header.kind in (b"1", b"2"):
            if limits.links == "error":
                raise ArchiveError(f"'{shown}' is a link: links are not allowed in an artifact")
        elif header.kind in (b"3", b"4", b"6"):
            raise ArchiveError(f"'{shown}' is a device or pipe: only files and directories are allowed")
        else:
            raise ArchiveError(f"'{shown}' has the unknown type {header.kind!r}")
        stream.skip_content()


def _inside(root: bytes, name: bytes, limits: Limits) -> bytes:
    if name.startswith(b"/") or b"\0" in name:
        raise ArchiveError(f"'{_shown(name)}' is no relative path")
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise ArchiveError(f"'{_shown(name)}' leads out of the archive")
    if len(parts) > limits.depth:
        raise ArchiveError(f"'{_shown(name)}' is deeper than {limits.depth} directories")
    return b"/".join([root, *parts])


def _make_dir(path: bytes, made: set[bytes], shown: str) -> None:
    if path in made:
        return
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)  # noqa: PTH103 (names are bytes: they need not be UTF-8)
    except (FileExistsError, NotADirectoryError) as error:
        raise ArchiveError(f"'{shown}' is below a file") from error
    except OSError as error:
        raise ArchiveError(f"can't create '{shown}': {error.strerror}") from error
    made.add(path)


def _write(stream: _Stream, path: bytes, header: _Header, shown: str) -> None:
    mode = 0o700 if header.mode & 0o111 else 0o600
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as out:
            for chunk in stream.content():
                out.write(chunk)
    except IsADirectoryError as error:
        raise ArchiveError(f"'{shown}' is both a file and a directory") from error
    except OSError as error:
        raise ArchiveError(f"can't write '{shown}': {error.strerror}") from error


def _inflate(archive: IO[bytes], limits: Limits) -> Iterator[bytes]:
    """The tar stream in chunks of bounded size. Several gzip members are one stream, as gunzip has it."""
    read = unpacked = 0
    member = zlib.decompressobj(zlib.MAX_WBITS | 16)
    begun = False
    waiting = b""
    while True:
        if not waiting:
            waiting = archive.read(_CHUNK)
            read += len(waiting)
            if not waiting:
                break
        begun = True
        try:
            chunk = member.decompress(waiting, _CHUNK)
        except zlib.error as error:
            raise ArchiveError(f"the archive is no gzip file or is damaged: {error}") from error
        waiting = member.unconsumed_tail
        unpacked += len(chunk)
        if unpacked > limits.total:
            raise ArchiveError(f"the archive unpacks to more than {limits.total} bytes")
        if unpacked > limits.ratio_from and unpacked > read * limits.ratio:
            raise ArchiveError(f"the archive unpacks to more than {limits.ratio} times its size: a compression bomb")
        if chunk:
            yield chunk
        if member.eof:
            waiting = member.unused_data
            if not waiting.strip(b"\0"):
                waiting = b""
            member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            begun = False
    if begun or not read:
        raise ArchiveError("the archive is cut off")


class _Stream:
    """Exact reads from the tar stream, and the content of the entry whose header was read last."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks = chunks
        self._held = memoryview(b"")
        self._left = 0
        self._padding = 0

    def exactly(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            part = self._some(size)
            parts.append(bytes(part))
            size -= len(part)
        return b"".join(parts)

    def _some(self, most: int) -> memoryview:
        while not self._held:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise ArchiveError("the archive is cut off")
            self._held = memoryview(chunk)
        part, self._held = self._held[:most], self._held[most:]
        return part

    def begin(self, size: int) -> None:
        self._left, self._padding = size, -size % BLOCK

    def content(self) -> Iterator[memoryview]:
        while self._left:
            part = self._some(self._left)
            self._left -= len(part)
            yield part

    def skip_content(self) -> None:
        for _ in self.content():
            pass
        while self._padding:
            self._padding -= len(self._some(self._padding))

    def drain(self) -> None:
        """Reads what follows the end mark, so that gzip's checksum is checked."""
        for _ in self._chunks:
            pass


def _headers(stream: _Stream) -> Iterator[_Header]:
    """The entries of a tar stream. The caller consumes each one's content before it asks for the next."""
    extended: dict[bytes, bytes] = {}
    shared: dict[bytes, bytes] = {}
    while True:
        block = stream.exactly(BLOCK)
        if not block.strip(b"\0"):
            stream.drain()
            return
        header = _parse(block)
        if header.kind in (b"x", b"g", b"L", b"K"):
            if header.size > _HEADER_MAX:
                raise ArchiveError(f"a header of the archive has {header.size} bytes, more than {_HEADER_MAX}")
            stream.begin(header.size)
            body = b"".join(bytes(part) for part in stream.content())
            stream.skip_content()
            if header.kind == b"L":
                extended[b"path"] = body.rstrip(b"\0")
            elif header.kind != b"K":
                (extended if header.kind == b"x" else shared).update(_records(body))
            continue
        values = {**shared, **extended}
        extended = {}
        if any(key.startswith(b"GNU.sparse.") for key in values) or header.kind == b"S":
            raise ArchiveError(f"'{_shown(header.name)}' is a sparse file: these are not supported")
        size = _number(values[b"size"]) if b"size" in values else header.size
        if header.kind not in (b"0", b"\0", b"7"):
            size = 0
        name = values.get(b"path", header.name)
        kind = b"5" if header.kind in (b"0", b"\0") and name.endswith(b"/") else header.kind
        stream.begin(size)
        yield _Header(name, kind, size, header.mode)


def _parse(block: bytes) -> _Header:
    recorded = _octal(block[148:156])
    if recorded != sum(block[:148]) + 256 + sum(block[156:]):
        raise ArchiveError("a header of the archive has a wrong checksum")
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].split(b"\0", 1)[0]):
        name = prefix + b"/" + name
    return _Header(name, block[156:157], _octal(block[124:136]), _octal(block[100:108]))


def _octal(field: bytes) -> int:
    if field[0] & 0x80:  # GNU: the other bits are a big-endian number
        if field[0] != 0x80:
            raise ArchiveError("a header of the archive has a negative or huge number")
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise ArchiveError("a header of the archive has a field that is no number")
    return int(digits or b"0", 8)


def _number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise ArchiveError("a header of the archive has a size that is no number")
    return int(text)


def _records(body: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    while body:
        length, space, _ = body[:20].partition(b" ")
        size = int(length) if length.isdigit() else 0
        key, equals, value = body[len(length) + 1 : size].partition(b"=")
        if not space or size <= len(length) + 1 or size > len(body) or not equals or not value.endswith(b"\n"):
            raise ArchiveError("an extended header of the archive is damaged")
        found[key] = value[:-1]
        body = body[size:]
    return found


def _shown(name: bytes) -> str:
    """A name for an error message: printable, and not too long."""
    return name[:300].decode("utf-8", "backslashreplace").encode("unicode_escape").decode()
