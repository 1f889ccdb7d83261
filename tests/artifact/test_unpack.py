"""A hostile tarball becomes a directory or an error, never something in between or beside."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.artifact.tar import ArchiveError, pack
from shared.artifact.unpack import Limits, unpack


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def tgz(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=format) as archive:
        for info, data in members:
            info.size = len(data) if info.isfile() else 0
            archive.addfile(info, io.BytesIO(data))
    out.seek(0)
    return out


def info(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.mode, made.linkname = kind, mode, link
    return made


def files(root) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def refused(tmp_path, archive, match, limits=None):
    before = set(tmp_path.iterdir())
    with pytest.raises(ArchiveError, match=match):
        unpack(archive, tmp_path / "out", limits)
    assert set(tmp_path.iterdir()) == before


def test_what_was_packed_comes_out_again(tmp_path):
    source = tmp_path / "in"
    wanted = {"a.yaml": b"a", "ü/b": b"\0" * 1000, "d" * 90 + "/" + "e" * 90: b"long", "deep/er/c": b""}
    for name, data in wanted.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    (source / "a.yaml").chmod(0o755)
    (source / "empty").mkdir()
    out = io.BytesIO()
    pack(source, out)
    out.seek(0)
    unpack(out, tmp_path / "out")
    assert files(tmp_path / "out") == wanted
    assert (tmp_path / "out/empty").is_dir()
    assert (tmp_path / "out/a.yaml").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "out/deep/er/c").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_of_other_writers_are_read(tmp_path, format):
    long = "p" * 100 + "/" + "y" * 90 if format == tarfile.USTAR_FORMAT else "p" * 120 + "/" + "y" * 200
    archive = tgz((info("dir/", tarfile.DIRTYPE), b""), (info("./dir/a"), b"1"), (info(long), b"2"), format=format)
    unpack(archive, tmp_path / "out")
    assert files(tmp_path / "out") == {"dir/a": b"1", long: b"2"}


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "a/.."])
def test_paths_out_of_the_tree_are_refused(tmp_path, name):
    refused(tmp_path, tgz((info("ok"), b"1"), (info(name), b"x")), "leads out|no relative path")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_are_refused(tmp_path, kind):
    refused(tmp_path, tgz((info("l", kind, link="/etc"), b""), (info("l/passwd"), b"x")), "is a link")


def test_links_can_be_skipped_and_are_never_followed(tmp_path):
    archive = tgz((info("l", tarfile.SYMTYPE, link=str(tmp_path)), b""), (info("l/file"), b"x"))
    unpack(archive, tmp_path / "out", Limits(links="skip"))
    assert files(tmp_path / "out") == {"l/file": b"x"}
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(tmp_path, kind):
    refused(tmp_path, tgz((info("d", kind), b"")), "device or pipe")


def test_a_file_is_no_directory(tmp_path):
    refused(tmp_path, tgz((info("a"), b"1"), (info("a/b"), b"2")), "below a file")
    refused(tmp_path, tgz((info("a/b"), b"1"), (info("a"), b"2")), "both a file and a directory")
    refused(tmp_path, tgz((info("."), b"1")), "no name")


class Zeros(io.RawIOBase):
    """A .tar.gz of one file of zeros, made as it is read."""

    def __init__(self, size: int):
        self._deflate = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        self._left = size
        header = tarfile.TarInfo("zeros")
        header.size = size
        self._waiting = self._deflate.compress(header.tobuf(tarfile.GNU_FORMAT))

    def read(self, size: int = -1) -> bytes:
        while len(self._waiting) < size and self._left:
            self._waiting += self._deflate.compress(bytes(1 << 20))
            self._left -= 1 << 20
        out, self._waiting = self._waiting[:size], self._waiting[size:]
        return out


def test_ten_gigabytes_of_zeros_are_refused_early(tmp_path):
    refused(tmp_path, Zeros(10 << 30), "bytes allowed|more than the")
    refused(tmp_path, Zeros(10 << 30), "compression bomb", Limits(file=1 << 40))
    refused(tmp_path, Zeros(10 << 30), "unpacks to more than 1000000 bytes", Limits(file=1 << 40, total=1_000_000))


def test_counts_and_depths_are_limited(tmp_path):
    many = [(info(f"f{number}"), b"") for number in range(11)]
    refused(tmp_path, tgz(*many), "more than 10 entries", Limits(entries=10))
    refused(tmp_path, tgz((info("d/" * 20 + "f"), b"")), "deeper than 10", Limits(depth=10))


def test_huge_headers_are_refused(tmp_path):
    out = io.BytesIO()
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 33
    out.write(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))
    out.seek(0)
    refused(tmp_path, out, "a header of the archive has")


def test_sparse_files_are_refused(tmp_path):
    made = info("s")
    made.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.realsize": "99999999999"}
    refused(tmp_path, tgz((made, b"x")), "sparse")


def test_what_is_no_archive_is_refused(tmp_path):
    good = tgz((info("a"), b"1" * 5000)).getvalue()
    for bad in (b"", b"hello", good[: len(good) // 2], good[:-4], gzip.compress(b"x" * 512), gzip.compress(b"")):
        refused(tmp_path, io.BytesIO(bad), "no gzip|cut off|no number|damaged")
    flipped = bytearray(good)
    flipped[-6] ^= 1
    refused(tmp_path, io.BytesIO(bytes(flipped)), "damaged")


def test_a_failure_leaves_an_existing_neighbour_alone(tmp_path):
    (tmp_path / "out2").mkdir()
    refused(tmp_path, io.BytesIO(b"hello"), "gzip")
    assert (tmp_path / "out2").is_dir()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_archives_never_write_outside(tmp_path_factory, data):
    tmp_path = tmp_path_factory.mktemp("fuzz")
    raw = bytearray(gzip.decompress(tgz((info("dir/a"), b"1" * 600), (info("b" * 150), b"2")).getvalue()))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        unpack(io.BytesIO(gzip.compress(bytes(raw))), tmp_path / "out")
    except ArchiveError:
        assert names(tmp_path) == []
    else:
        assert names(tmp_path) == ["out"]
