"""The public instance: its trusted root is what its TUF repository signs, else the last good one."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from source_controller.signatures.public_sigstore import PublicSigstore
from tests.kit.sigstore import Sigstore


class Repository:
    """A TUF repository with one target, served while it is entered."""

    def __init__(self, folder):
        self.folder, self.signer, self.version = folder, CryptoSigner.generate_ecdsa(), 0
        (folder / "targets").mkdir(parents=True)
        root = Root(expires=self.later(30))
        for role in ("root", "timestamp", "snapshot", "targets"):
            root.add_key(self.signer.public_key, role)
        self.root = self.write("1.root.json", root)

    def __enter__(self):
        handler = partial(
            type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None}), directory=str(self.folder)
        )
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    @staticmethod
    def later(days):
        return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)

    def write(self, name, signed):
        metadata = Metadata(signed)
        metadata.sign(self.signer)
        metadata.to_file(str(self.folder / name))
        return (self.folder / name).read_bytes()

    def publish(self, content, days=1):
        """Signs a trusted root as the newest."""
        self.version += 1
        target = TargetFile.from_data("trusted_root.json", content, ["sha256"])
        (self.folder / "targets" / f"{target.hashes['sha256']}.trusted_root.json").write_bytes(content)
        version = {"version": self.version, "expires": self.later(days)}
        self.write(f"{self.version}.targets.json", Targets(**version, targets={"trusted_root.json": target}))
        self.write(f"{self.version}.snapshot.json", Snapshot(**version, meta={"targets.json": MetaFile(self.version)}))
        self.write("timestamp.json", Timestamp(**version, snapshot_meta=MetaFile(self.version)))


@pytest.fixture
def repository(tmp_path):
    with Repository(tmp_path / "tuf") as made:
        yield made


def keys(root):
    return [log.public_key.raw_bytes for log in root._inner.tlogs]


async def test_the_newest_root_of_the_repository_serves(repository, tmp_path):
    one, other = Sigstore(), Sigstore()
    repository.publish(one.trusted_root)
    public = PublicSigstore(tmp_path / "cache", repository.url, repository.root)
    assert keys(await public.root()) == [one.rekor.public]
    repository.publish(other.trusted_root)
    assert keys(await public.root()) == [one.rekor.public], "it is asked once a day"
    public._due = 0
    assert keys(await public.root()) == [other.rekor.public]


async def test_what_the_repository_did_not_sign_is_not_believed(repository, tmp_path, caplog):
    good, forged = Sigstore(), Sigstore()
    repository.publish(good.trusted_root)
    public = PublicSigstore(tmp_path / "cache", repository.url, repository.root)
    await public.root()
    repository.signer = CryptoSigner.generate_ecdsa()
    repository.publish(forged.trusted_root)
    public._due = 0
    assert keys(await public.root()) == [good.rekor.public]
    assert "can't be fetched" in caplog.text


async def test_what_has_expired_is_not_believed(repository, tmp_path):
    repository.publish(Sigstore().trusted_root, days=-1)
    public = PublicSigstore(tmp_path / "cache", repository.url, repository.root)
    assert await shipped(public)


async def test_without_the_repository_the_root_that_was_shipped_serves(tmp_path):
    assert await shipped(PublicSigstore(tmp_path / "cache", "http://127.0.0.1:1"))
    (tmp_path / "file").write_text("")
    assert await shipped(PublicSigstore(tmp_path / "file", "http://127.0.0.1:1")), "where nothing can be kept, too"


async def shipped(public):
    return next(log.base_url for log in (await public.root())._inner.tlogs) == "https://rekor.sigstore.dev"
