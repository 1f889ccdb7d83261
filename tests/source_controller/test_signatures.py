"""Only what a trusted key signed counts, and only for what it signed."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from source_controller.signatures import git as signatures
from source_controller.signatures.errors import SignatureError
from tests.kit.gitserver import GitServer, SshKey
from tests.source_controller.conftest import condition


class PgpKey:
    def __init__(self, folder, name="ada", expire="never"):
        self.home = folder / f"gpg-{name}"
        self.home.mkdir(mode=0o700)
        self.gpg("--quick-generate-key", "--passphrase", "", f"{name}@example.com", "ed25519", "sign", expire)
        listed = self.gpg("--list-keys", "--with-colons")
        self.fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        self.program = folder / f"program-{name}"
        self.program.write_text(f'#!/bin/sh\nexec gpg --homedir "{self.home}" "$@"\n')
        self.program.chmod(0o755)

    def gpg(self, *arguments):
        command = ["gpg", "--homedir", str(self.home), "--batch", "--pinentry-mode", "loopback", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    @property
    def public(self):
        return self.gpg("--armor", "--export", self.fingerprint)

    def use_in(self, repo):
        repo.git("config", "gpg.format", "openpgp")
        repo.git("config", "gpg.program", str(self.program))
        return self.fingerprint


def use(key, repo):
    repo.git("config", "gpg.format", "ssh")
    return str(key.path)


@pytest.fixture
def repo(tmp_path):
    with GitServer(tmp_path / "git") as server:
        yield server.create("app")


@pytest.fixture(scope="module")
def ada(tmp_path_factory):
    return PgpKey(tmp_path_factory.mktemp("ada"))


def raw(repo, what="HEAD", kind="commit"):
    return repo.git("cat-file", kind, what).encode()


async def checked(raw_commit, *public):
    keys = signatures.keys(each.encode() for each in public)
    return await signatures.verify(*signatures.of_commit(raw_commit), keys)


async def test_the_key_that_signed_is_named(repo, ada, tmp_path):
    repo.commit({"a": "1"}, sign=ada.use_in(repo))
    assert await checked(raw(repo), ada.public) == ada.fingerprint[-16:]
    key = SshKey(tmp_path, "ssh")
    repo.commit({"a": "2"}, sign=use(key, repo))
    assert (await checked(raw(repo), "# a comment\n" + key.public)).startswith("SHA256:")


async def test_a_signature_counts_only_for_what_was_signed(repo, ada, tmp_path):
    repo.commit({"a": "1"}, "Pay Ada", sign=ada.use_in(repo))
    with pytest.raises(SignatureError, match="bad"):
        await checked(raw(repo).replace(b"Pay Ada", b"Pay Eve"), ada.public)
    key = SshKey(tmp_path, "ssh")
    repo.commit({"a": "2"}, "Pay Ada", sign=use(key, repo))
    with pytest.raises(SignatureError, match="not signed by a key that is trusted"):
        await checked(raw(repo).replace(b"Pay Ada", b"Pay Eve"), key.public)


async def test_another_key_does_not_count(repo, ada, tmp_path):
    eve, key, other = PgpKey(tmp_path, "eve"), SshKey(tmp_path, "one"), SshKey(tmp_path, "two")
    repo.commit({"a": "1"}, sign=eve.use_in(repo))
    with pytest.raises(SignatureError, match=f"its key is '{eve.fingerprint[-16:]}'"):
        await checked(raw(repo), ada.public)
    repo.commit({"a": "2"}, sign=use(key, repo))
    with pytest.raises(SignatureError, match="not signed by a key that is trusted"):
        await checked(raw(repo), other.public)
    with pytest.raises(SignatureError, match="the secret has no such key"):
        await checked(raw(repo), ada.public)


async def test_an_expired_or_revoked_key_does_not_count(repo, tmp_path):
    late = PgpKey(tmp_path, "late", expire="seconds=2")
    repo.commit({"a": "1"}, sign=late.use_in(repo))
    await asyncio.sleep(3)  # gpg knows no other clock
    with pytest.raises(SignatureError, match="key has expired"):
        await checked(raw(repo), late.public)
    revoked = PgpKey(tmp_path, "revoked")
    repo.commit({"a": "2"}, sign=revoked.use_in(repo))
    certificate = revoked.home / "openpgp-revocs.d" / f"{revoked.fingerprint}.rev"
    certificate.write_text(certificate.read_text().replace("\n:-----BEGIN", "\n-----BEGIN"))
    revoked.gpg("--import", str(certificate))
    with pytest.raises(SignatureError, match="revoked"):
        await checked(raw(repo), revoked.public)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: b"tree x\n\nno signature", "it is not signed"),
        (lambda text: text.replace(b"author", b"gpgsig x\nauthor", 1), "more than one signature"),
        (lambda text: b"tree x\ngpgsig nonsense\n\nmessage", "neither OpenPGP nor SSH"),
    ],
)
async def test_what_is_no_signature_says_so(repo, ada, change, problem):
    repo.commit({"a": "1"}, sign=ada.use_in(repo))
    with pytest.raises(SignatureError, match=problem):
        await checked(change(raw(repo)), ada.public)


def test_a_secret_without_keys_says_so():
    with pytest.raises(SignatureError, match="holds no armored OpenPGP key and no SSH public key"):
        signatures.keys([b"a password", b""])


async def test_a_signed_tag_does_not_count_under_another_name(controller, git, ada):
    repo = git.create("tags")
    repo.commit({"a": "1"})
    repo.tag("v1.0.0", sign=ada.use_in(repo))
    repo.git("push", "-q", "origin", "refs/tags/v1.0.0:refs/tags/v2.0.0")
    await controller.secret("keys", {"ada.asc": ada.public})
    verify = {"mode": "Tag", "secretRef": {"name": "keys"}}
    await controller.put("old", {"url": repo.url, "ref": {"tag": "v1.0.0"}, "verify": verify})
    await controller.ready("old")
    await controller.put("s", {"url": repo.url, "ref": {"semver": ">=1.0.0"}, "verify": verify})
    source = await controller.failed("s", "InvalidTagSignature")
    assert "what was signed is the tag 'v1.0.0'" in condition(source, "Ready", "message")
    assert "artifact" not in source["status"]


async def test_an_unsigned_commit_leaves_the_verified_artifact(controller, git, ada):
    repo = git.create("signed")
    good = repo.commit({"a": "1"}, sign=ada.use_in(repo))
    await controller.secret("keys", {"ada.asc": ada.public})
    await controller.put("s", {"url": repo.url, "verify": {"secretRef": {"name": "keys"}}})
    await controller.ready("s", good)
    repo.commit({"a": "2"})
    await controller.ask("s")
    source = await controller.failed("s", "InvalidCommitSignature")
    assert source["status"]["artifact"]["revision"] == f"main@sha1:{good}"
    assert condition(source, "SourceVerified") == "False"
    assert condition(source, "ArtifactOutdated") == "True"


@pytest.mark.parametrize(
    ("data", "mode", "reason", "text"),
    [
        (None, "HEAD", "VerificationError", "public keys secret error"),
        ({"x": "y"}, "HEAD", "VerificationError", "holds no armored OpenPGP key"),
        ("ada", "Tag", "InvalidVerificationMode", "if a tag reference is not specified"),
        ("ada", "TagAndHEAD", "InvalidVerificationMode", "if a tag reference is not specified"),
    ],
)
async def test_a_verification_that_cannot_work_says_why(controller, git, ada, data, mode, reason, text):
    repo = git.create("app")
    repo.commit({"a": "1"}, sign=ada.use_in(repo))
    if data:
        await controller.secret("keys", {"ada.asc": ada.public} if data == "ada" else data)
    await controller.put("s", {"url": repo.url, "verify": {"mode": mode, "secretRef": {"name": "keys"}}})
    source = await controller.failed("s", reason)
    assert text in condition(source, "Ready", "message")
    assert condition(source, "Stalled") == ("True" if mode != "HEAD" else None)
