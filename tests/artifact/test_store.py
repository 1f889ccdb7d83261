"""Artifacts are published whole, stay what they are, and go when they are old."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from pathlib import Path

import pytest

from shared.artifact import store as stores
from shared.artifact.addresses import Owner, advertised
from shared.artifact.errors import StorageError
from shared.artifact.retention import Stored, garbage
from shared.artifact.store import Store

VECTORS = Path(__file__).parents[3] / "shared/contract/vectors.json"
OWNER = Owner("GitRepository", "ns", "app")
FILE = "abc.tar.gz"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
async def store(tmp_path):
    made = Store(tmp_path / "data", "source-controller.flux-system.svc.cluster.local.")
    await made.open()
    yield made
    made.close()


async def publish(store: Store, data: bytes, file: str = FILE, owner: Owner = OWNER):
    return await store.publish(owner, file, "main@sha1:abc", lambda out: out.write(data))


async def test_an_artifact_says_where_and_what_it_is(store):
    artifact = await store.publish(OWNER, FILE, "main@sha1:abc", lambda out: out.write(b"hello"), {"team": "blue"})
    assert artifact.path == "gitrepository/ns/app/abc.tar.gz"
    assert artifact.url == "http://source-controller.flux-system.svc.cluster.local./gitrepository/ns/app/abc.tar.gz"
    assert artifact.digest == "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert (artifact.size, artifact.revision, artifact.metadata) == (5, "main@sha1:abc", {"team": "blue"})
    assert (store.root / artifact.path).read_bytes() == b"hello"
    assert (store.root / artifact.path).stat().st_mode & 0o777 == 0o600
    assert await store.check(OWNER, artifact) == "stored"


async def test_other_content_of_the_same_revision_gets_an_address_of_its_own(store):
    old = await publish(store, b"old")
    new = await publish(store, b"new")
    assert (old.path, old.revision) == (new.path, new.revision)
    assert new.url == f"http://{store.address}/{new.digest}/{new.path}"
    assert store.file(OWNER, old).read_bytes() == b"old"
    assert store.file(OWNER, new).read_bytes() == b"new"
    assert await store.check(OWNER, old) == await store.check(OWNER, new) == "stored"
    back = await publish(store, b"old")
    assert (back.url, back.digest) == (old.url, old.digest)


async def test_publishing_the_same_content_again_changes_nothing(store):
    one = await publish(store, b"same")
    inode = (store.root / one.path).stat().st_ino
    two = await publish(store, b"same")
    assert (one.url, one.digest) == (two.url, two.digest)
    assert (store.root / one.path).stat().st_ino == inode
    assert names(store.root / OWNER.directory) == [FILE]


async def test_a_failed_write_publishes_nothing(store):
    def broken(out):
        out.write(b"half")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        await store.publish(OWNER, FILE, "r", broken)
    assert names(store.root / OWNER.directory) == []


async def test_a_full_disk_is_a_clear_error_and_loses_nothing(store):
    old = await publish(store, b"old")

    def full(out):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageError, match="No space left on device; free some space"):
        await store.publish(OWNER, "def.tar.gz", "r", full)
    assert await store.check(OWNER, old) == "stored"
    assert names(store.root / OWNER.directory) == [FILE]


async def test_a_really_full_disk_is_a_clear_error(store):
    with pytest.raises(StorageError, match="No space left on device"):
        await store.publish(OWNER, FILE, "r", lambda out: Path("/dev/full").write_bytes(b"x"))


async def test_a_damaged_file_is_found_and_removed(store):
    artifact = await publish(store, b"good")
    (store.root / artifact.path).write_bytes(b"evil")
    assert await store.check(OWNER, artifact) == "damaged"
    assert await store.check(OWNER, artifact) == "gone"
    assert (await publish(store, b"good")).url == artifact.url


async def test_damage_is_found_after_a_restart(store):
    artifact = await publish(store, b"good")
    times = (store.root / artifact.path).stat()
    (store.root / artifact.path).write_bytes(b"evil")
    os.utime(store.root / artifact.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    again = Store(store.root, store.address)
    assert await again.check(OWNER, artifact) == "damaged"


async def test_a_status_cannot_reach_outside_its_own_directory(store):
    other = Owner("GitRepository", "ns", "other")
    victim = await publish(store, b"secret", owner=other)
    (store.root / "top").write_bytes(b"top")
    assert await store.check(OWNER, victim) == "gone"
    for path in ("top", "../x", "gitrepository/ns/app/../other/abc.tar.gz", "/etc/passwd", "gitrepository/ns/app/.."):
        victim.path = path
        assert await store.check(OWNER, victim) == "gone"
        assert store.file(OWNER, victim) is None
        await store.collect(OWNER, victim)
    assert (store.root / other.directory / FILE).exists()
    with pytest.raises(StorageError):
        await publish(store, b"x", file="../x")


async def test_what_a_crash_leaves_is_swept_at_the_next_start(store):
    artifact = await publish(store, b"good")
    (store.root / OWNER.directory / ".part-1").write_bytes(b"half")
    again = Store(store.root, store.address)
    await again.open()
    assert names(store.root / OWNER.directory) == [FILE]
    assert await again.check(OWNER, artifact) == "stored"


async def test_old_artifacts_are_collected_but_never_the_current_one(store):
    made = [await publish(store, str(age).encode(), f"{age}.tar.gz") for age in (300, 200, 100)]
    for artifact, age in zip(made, (300, 200, 100), strict=True):
        os.utime(store.root / artifact.path, (time.time() - age,) * 2)
    current = made[1]
    assert sorted(await store.collect(OWNER, current)) == [made[2].path, made[0].path]
    assert names(store.root / OWNER.directory) == ["200.tar.gz"]


async def test_an_object_goes_with_all_its_artifacts(store):
    await publish(store, b"1")
    await publish(store, b"2")
    kept = await publish(store, b"3", owner=Owner("GitRepository", "ns", "app2"))
    await store.remove(OWNER)
    assert names(store.root / "gitrepository/ns") == ["app2"]
    assert await store.check(Owner("GitRepository", "ns", "app2"), kept) == "stored"
    await store.remove(OWNER)


async def test_a_link_follows_the_newest(store):
    url = ""
    for content in (b"1", b"2"):
        artifact = await publish(store, content, f"{content.decode()}.tar.gz")
        url = await store.link(OWNER, artifact, "latest.tar.gz")
    assert url == f"http://{store.address}/gitrepository/ns/app/latest.tar.gz"
    assert (store.root / OWNER.directory / "latest.tar.gz").read_bytes() == b"2"


async def test_a_new_address_is_advertised_for_what_is_stored(store):
    plain, pinned = await publish(store, b"1"), await publish(store, b"2")
    moved = Store(store.root, "https://elsewhere:8443")
    assert moved.readdressed(plain).url == f"https://elsewhere:8443/{plain.path}"
    assert moved.readdressed(pinned).url == f"https://elsewhere:8443/{pinned.digest}/{pinned.path}"
    assert await moved.check(OWNER, moved.readdressed(pinned)) == "stored"


async def test_many_objects_publish_at_once(store):
    owners = [Owner("GitRepository", "ns", f"o{number}") for number in range(50)]
    made = await asyncio.gather(*(publish(store, owner.name.encode(), owner=owner) for owner in owners))
    for owner, artifact in zip(owners, made, strict=True):
        assert store.file(owner, artifact).read_bytes() == owner.name.encode()


@pytest.mark.skipif(not VECTORS.exists(), reason="needs the contract beside the repository")
def test_collection_follows_the_contract():
    for case in json.loads(VECTORS.read_text())["garbageCollection"]["cases"]:
        stored = [Stored(str(age), age + 0.5) for age in case["ages"]]
        gone = garbage(stored, str(case["current"]), ttl=case["ttl"], records=case["records"])
        assert sorted(map(int, gone)) == sorted(case["removed"]), case


@pytest.mark.parametrize(
    ("ages", "ttl", "records", "gone"),
    [
        ((300, 100, 0), 60, 2, [300, 100]),
        ((50, 40, 30, 0), 60, 2, [50, 40]),
        ((30, 0), 60, 2, []),
        ((9, 0), 60, 1, [9]),
    ],
)
def test_the_old_go_first_and_then_the_many(ages, ttl, records, gone):
    stored = [Stored(str(age), age) for age in ages]
    assert garbage(stored, "0", ttl=ttl, records=records) == list(map(str, gone))


def test_the_advertised_address_is_derived_from_the_bind_address(monkeypatch):
    monkeypatch.setenv("HOSTNAME", "pod-1")
    assert advertised("adv:80", ":9090") == "adv:80"
    assert advertised("", ":9090") == "localhost:9090"
    assert advertised("", "0.0.0.0:9090") == "pod-1:9090"
    assert advertised("", "10.0.0.1:9090") == "10.0.0.1:9090"


def test_a_store_refuses_an_unknown_algorithm(tmp_path):
    with pytest.raises(ValueError, match="unknown digest algorithm 'md5'"):
        Store(tmp_path, "h", algorithm="md5")
    assert stores.PART.startswith(".")


OTHER = Owner("GitRepository", "ns", "other")


async def test_a_twin_is_the_same_file_under_its_owner_s_name(store):
    first = await publish(store, b"hello")
    twin = await store.twin(OTHER, FILE, "v1@sha1:abc", OWNER, first)
    assert (twin.path, twin.revision, twin.digest, twin.size) == (
        "gitrepository/ns/other/abc.tar.gz",
        "v1@sha1:abc",
        first.digest,
        5,
    )
    assert store.file(OTHER, twin).stat().st_ino == store.file(OWNER, first).stat().st_ino
    assert names(store.root / OTHER.directory) == [FILE]
    await store.remove(OWNER)
    assert await store.check(OTHER, twin) == "stored"


async def test_a_twin_changes_no_bytes_that_were_given_out(store):
    old = await publish(store, b"old", owner=OTHER)
    new = await store.twin(OTHER, FILE, "main@sha1:abc", OWNER, await publish(store, b"new"))
    assert store.file(OTHER, old).read_bytes() == b"old"
    assert store.file(OTHER, new).read_bytes() == b"new"


@pytest.mark.parametrize("harm", ["gone", "damaged", "no links", "no artifact of its owner"])
async def test_there_is_no_twin_of_what_can_t_be_had(store, harm, monkeypatch):
    first = await publish(store, b"hello")
    if harm == "gone":
        (store.root / first.path).unlink()
    if harm == "damaged":
        (store.root / first.path).write_bytes(b"HELLO")
    if harm == "no links":

        def refused(self, target):
            raise OSError(errno.EPERM, "not permitted")

        monkeypatch.setattr(Path, "hardlink_to", refused)
    owner = OTHER if harm == "no artifact of its owner" else OWNER
    assert await store.twin(OTHER, FILE, "main@sha1:abc", owner, first) is None
    assert not (store.root / OTHER.directory).exists() or names(store.root / OTHER.directory) == []
