"""A directory becomes the same bytes everywhere, and those that Flux writes."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from shared.artifact.tar import ArchiveError, Entry, compress, headers, pack

VECTORS = Path(__file__).parents[3] / "shared/contract/vectors.json"


def tree(root: Path, files: dict[str, str]) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        if text.startswith("#!"):
            (root / name).chmod(0o755)
    return root


def tarball(root: Path, excludes=None) -> bytes:
    out = io.BytesIO()
    pack(root, out, excludes)
    return out.getvalue()


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getmembers()


@pytest.mark.skipif(not VECTORS.exists(), reason="needs the contract beside the repository")
def test_the_tar_stream_is_byte_for_byte_that_of_the_contract(tmp_path):
    cases = json.loads(VECTORS.read_text())["archive"]["cases"]
    for number, case in enumerate(cases):
        kept = {name for name, *_ in case["tarEntries"]}
        root = tree(tmp_path / str(number), case["files"])
        for name, target in case.get("symlinks", {}).items():
            (root / name).symlink_to(target)
        data = tarball(root, lambda name, is_dir, kept=kept: name not in kept)
        assert data[:10].hex() == "1f8b08000000000000ff"
        assert hashlib.sha256(gzip.decompress(data)).hexdigest() == case["tarSha256"]


def test_an_empty_directory_gives_a_known_stream(tmp_path):
    data = gzip.decompress(tarball(tmp_path))
    assert hashlib.sha256(data).hexdigest() == "a6c3074b61cf17b6c20da13944bfac01ed05930dc9cef70890045d62cbfb78d5"


def test_only_names_contents_and_executable_bits_count(tmp_path):
    files = {"b/z.yaml": "z", "b.yaml": "b", "run.sh": "#!/bin/sh\n"}
    one = tree(tmp_path / "one", files)
    other = tree(tmp_path / "other", dict(reversed(files.items())))
    (other / "b.yaml").chmod(0o640)
    os.utime(other / "b.yaml", (1, 1))
    assert tarball(one) == tarball(other)
    (other / "b.yaml").chmod(0o755)
    assert tarball(one) != tarball(other)


def test_links_and_pipes_are_left_out(tmp_path):
    tree(tmp_path, {"a": "1"})
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "to-dir").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe")
    assert [member.name for member in members(tarball(tmp_path))] == [".", "a"]


def test_a_file_below_an_excluded_directory_can_be_kept(tmp_path):
    tree(tmp_path, {"docs/a.md": "a", "docs/keep/b.md": "b"})
    data = tarball(tmp_path, lambda name, is_dir: name != "docs/keep/b.md")
    assert [member.name for member in members(data)] == [".", "docs/keep/b.md"]


@pytest.mark.parametrize(
    "name",
    [
        "x" * 100,
        "x" * 101,
        "d" * 155 + "/" + "f" * 100,
        "d" * 156 + "/" + "f" * 100,
        "d/" * 60 + "f" * 90,
        "ünï/cödé.yaml",
        "line\nbreak",
        "blank ",
        "日本" * 60,
    ],
)
def test_names_of_any_length_and_alphabet_survive(name):
    stream = b"".join(headers(Entry(name, 0o600, 0, "x"))) + bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert archive.getnames() == [name]


def test_names_that_are_not_utf8_survive(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9.yaml")).write_text("a")
    with tarfile.open(fileobj=io.BytesIO(tarball(tmp_path)), encoding="utf-8", errors="surrogateescape") as archive:
        assert os.fsencode(archive.getnames()[1]) == b"caf\xe9.yaml"


def test_sizes_beyond_eight_gigabytes_get_a_record():
    with tarfile.open(fileobj=io.BytesIO(b"".join(headers(Entry("big", 0o600, 9 << 30, "x"))))) as archive:
        assert archive.next().size == 9 << 30


def test_a_file_is_no_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="is not a directory"):
        tarball(tmp_path / "file")


def test_a_file_that_shrinks_meanwhile_is_an_error(tmp_path):
    out = io.BytesIO()
    entry = Entry("a", 0o600, 5, str(tmp_path / "a"))
    (tmp_path / "a").write_text("1")
    with pytest.raises(ArchiveError, match="changed its size"):
        compress(iter([entry]), out)
