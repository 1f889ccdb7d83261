"""Tarballs: a directory becomes a .tar.gz whose bytes depend only on names, contents and executable bits.

    files → sorted entries → USTAR (a PAX record where a name or size does not fit) → gzip

The tar stream equals, byte for byte, what Flux's source-controller writes: owner, times and device numbers are zero,
modes are one of three, symbolic links, devices and pipes are left out. Python's tarfile writes other bytes in the
fields that do not matter, hence the writer here. Reading is in unpack.py.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

Excludes = Callable[[str, bool], bool]
"""Says of a path relative to the root (`/` between names) and whether it is a directory: leave it out?"""

BLOCK = 512
_CHUNK = 1 << 18
_NAME, _PREFIX = 100, 155
_OCTAL_MAX = 8**11 - 1
_GZIP_HEADER = bytes.fromhex("1f8b08000000000000ff")


class ArchiveError(Exception):
    """A tarball can't be written or read; says which entry and why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular file or directory to be archived."""

    name: str
    """Relative path with `/`; `.` for the root."""
    mode: int
    size: int = 0
    file: str = ""
    """Where the content is; empty for a directory."""

    @property
    def is_dir(self) -> bool:
        return not self.file


def pack(root: Path, out: BinaryIO, excludes: Excludes | None = None, *, level: int = 6) -> None:
    """Writes the files below `root` to `out` as .tar.gz, less what `excludes` says. Blocks; call it off the event loop.

    Every directory is entered, also an excluded one: a file below it may be included again. Raises ArchiveError when a
    file can't be read or changes its size meanwhile, OSError when `out` can't be written.
    """
    compress(entries(root, excludes), out, level=level)


def entries(root: Path, excludes: Excludes | None = None) -> Iterator[Entry]:
    """The root and what is below it, depth first, sorted by the bytes of the names within each directory."""
    if not root.is_dir():
        raise ArchiveError(f"invalid target path: '{root.name}' is not a directory")
    yield Entry(".", 0o750)
    yield from _below(os.fspath(root), "", excludes)


def _below(folder: str, prefix: str, excludes: Excludes | None) -> Iterator[Entry]:
    try:
        with os.scandir(folder) as found:
            children = sorted(found, key=lambda child: os.fsencode(child.name))
    except OSError as error:
        raise ArchiveError(f"can't list '{prefix or '.'}': {error.strerror}") from error
    for child in children:
        name = prefix + child.name
        if child.is_dir(follow_symlinks=False):
            if excludes is None or not excludes(name, True):
                yield Entry(name, 0o750)
            yield from _below(child.path, name + "/", excludes)
        elif child.is_file(follow_symlinks=False) and (excludes is None or not excludes(name, False)):
            info = child.stat(follow_symlinks=False)
            yield Entry(name, 0o700 if info.st_mode & 0o111 else 0o600, info.st_size, child.path)


def compress(archived: Iterator[Entry], out: BinaryIO, *, level: int = 6) -> None:
    """Writes `archived` in its order as .tar.gz."""
    with_gzip = _Gzip(out, level)
    for entry in archived:
        for block in headers(entry):
            with_gzip.write(block)
        if not entry.is_dir:
            _copy(entry, with_gzip)
    with_gzip.write(bytes(2 * BLOCK))
    with_gzip.finish()


def _copy(entry: Entry, out: _Gzip) -> None:
    left = entry.size
    try:
        descriptor = os.open(entry.file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise ArchiveError(f"can't read '{entry.name}': {error.strerror}") from error
    with os.fdopen(descriptor, "rb", buffering=0) as source:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ArchiveError(f"'{entry.name}' is no regular file any more")
        while left and (chunk := source.read(min(left, _CHUNK))):
            out.write(chunk)
            left -= len(chunk)
        if left or source.read(1):
            raise ArchiveError(f"'{entry.name}' changed its size while it was archived")
    out.write(bytes(-entry.size % BLOCK))


class _Gzip:
    """One gzip member without name and time."""

    def __init__(self, out: BinaryIO, level: int):
        self._out = out
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._crc = 0
        self._size = 0
        out.write(_GZIP_HEADER)

    def write(self, data: bytes) -> None:
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        if packed := self._deflate.compress(data):
            self._out.write(packed)

    def finish(self) -> None:
        self._out.write(self._deflate.flush())
        self._out.write(self._crc.to_bytes(4, "little") + (self._size & 0xFFFFFFFF).to_bytes(4, "little"))


def headers(entry: Entry) -> Iterator[bytes]:
    """The header blocks of one entry: one of USTAR, or a PAX record, its padding and one more."""
    name = os.fsencode(entry.name)
    split = _split(name)
    records: list[tuple[bytes, bytes]] = []
    if split is None:
        records.append((b"path", name))
    if entry.size > _OCTAL_MAX:
        records.append((b"size", str(entry.size).encode()))
    kind = b"5" if entry.is_dir else b"0"
    if not records:
        prefix, base = split if split is not None else (b"", name)
        yield _header(base, kind, entry.mode, entry.size, prefix=prefix, devices=True)
        return
    body = b"".join(_record(key, value) for key, value in sorted(records))
    folder, slash, base = name.rpartition(b"/")
    pax = _ascii(folder + slash + b"PaxHeaders.0/" + base)[:_NAME].rstrip(b"/")
    yield _header(pax, b"x", 0, len(body), devices=False)
    yield body + bytes(-len(body) % BLOCK)
    size = entry.size if entry.size <= _OCTAL_MAX else 0
    yield _header(_ascii(name)[:_NAME], kind, entry.mode, size, devices=True)


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """Prefix and name of the USTAR header; None when the name does not fit there."""
    if not name.isascii():
        return None
    if len(name) <= _NAME:
        return b"", name
    at = name.rfind(b"/", 0, _PREFIX + 1)
    prefix, base = name[: max(at, 0)], name[at + 1 :]
    return (prefix, base) if prefix and base and len(base) <= _NAME else None


def _ascii(text: bytes) -> bytes:
    """Without bytes above 127, and without what a file name in another encoding would leave behind."""
    return bytes(byte for byte in text if byte < 0x80)


def _record(key: bytes, value: bytes) -> bytes:
    """`<length> <key>=<value>\\n`, where the length counts itself."""
    length = len(key) + len(value) + 3
    total = length + len(str(length))
    if length + len(str(total)) != total:
        total = length + len(str(total))
    return b"%d %s=%s\n" % (total, key, value)


def _header(name: bytes, kind: bytes, mode: int, size: int, *, prefix: bytes = b"", devices: bool) -> bytes:
    device = b"0000000\0" if devices else bytes(8)
    before = name.ljust(100, b"\0") + b"%07o\0" % mode + b"0000000\0" * 2 + b"%011o\0" % size + b"00000000000\0"
    after = kind + bytes(100) + b"ustar\x0000" + bytes(64) + device * 2 + prefix.ljust(155, b"\0") + bytes(12)
    checksum = sum(before) + sum(after) + 8 * ord(" ")
    return before + b"%06o\0 " % checksum + after
