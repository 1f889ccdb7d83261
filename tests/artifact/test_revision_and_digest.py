"""Revisions and digests are read and written as the wire has them."""

from __future__ import annotations

import pytest

from shared.artifact import digest, revision
from shared.artifact.revision import Revision

SHA = "5394cb7f48332b2de7c17dd8b8384bbc84b7e738"


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        (f"main@sha1:{SHA}", "main", f"sha1:{SHA}"),
        (f"feature/x@y@sha1:{SHA}", "feature/x@y", f"sha1:{SHA}"),
        (f"refs/tags/1.2.0^{{}}@sha1:{SHA}", "refs/tags/1.2.0^{}", f"sha1:{SHA}"),
        (f"sha1:{SHA}", "", f"sha1:{SHA}"),
        ("6.5.0", "6.5.0", ""),
        ("", "", ""),
    ],
)
def test_a_revision_has_a_name_and_a_digest(text, name, value):
    parsed = Revision.parse(text)
    assert (parsed.name, parsed.digest, str(parsed)) == (name, value, text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        (SHA, f"sha1:{SHA}"),
        (f"HEAD/{SHA}", f"sha1:{SHA}"),
        (f"feature/branch/{SHA}", f"feature/branch@sha1:{SHA}"),
        (f"main/{SHA}", f"main@sha1:{SHA}"),
        (f"main@sha1:{SHA}", f"main@sha1:{SHA}"),
        (f"sha1:{SHA}", f"sha1:{SHA}"),
    ],
)
def test_revisions_of_older_controllers_are_understood(old, new):
    assert revision.modern(old) == new


def test_a_commit_names_its_hash():
    assert revision.of_commit("main", SHA) == f"main@sha1:{SHA}"
    assert revision.of_commit("", "a" * 64) == "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("algorithm", "begin"),
    [
        ("sha1", "a9993e36"),
        ("sha256", "ba7816bf"),
        ("sha384", "cb00753f"),
        ("sha512", "ddaf35a1"),
        ("blake3", "6437b3ac"),
    ],
)
def test_digests_name_their_algorithm(tmp_path, algorithm, begin):
    (tmp_path / "f").write_bytes(b"abc")
    value = digest.of_bytes(b"abc", algorithm)
    assert value.startswith(f"{algorithm}:{begin}")
    assert value == digest.of_file(tmp_path / "f", algorithm)
    assert digest.parse(value)[0] == algorithm


@pytest.mark.parametrize("text", ["", "abc", "sha256:", "sha256:xyz", "md5:abc", "sha256:../x"])
def test_what_is_no_digest_is_refused(text):
    with pytest.raises(digest.DigestError):
        digest.parse(text)
