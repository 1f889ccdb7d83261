"""The status names what is stored and nothing else, whatever happened to the disk or the process."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.artifact.digest import of_file
from tests.source_controller.conftest import condition

ROOT = Path(__file__).parents[2]


def digest(file):
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


async def test_a_lost_artifact_is_built_again_after_a_restart(world, repo):
    repo.commit({"a": "1"})
    await world.start()
    await world.put("s", {"url": repo.url})
    before = await world.ready("s")
    await world.stop()
    world.stored(before).unlink()
    await world.start()
    after = await world.until("s", lambda obj: world.stored(obj).exists() if "artifact" in obj["status"] else False)
    assert after["status"]["artifact"]["digest"] == before["status"]["artifact"]["digest"]
    await world.ready("s")


async def test_a_lost_artifact_that_cannot_be_built_leaves_the_object_unready(world, git, repo):
    repo.commit({"a": "1"})
    await world.start()
    await world.put("s", {"url": repo.url})
    before = await world.ready("s")
    await world.stop()
    world.stored(before).unlink()
    git.answer = lambda path: (503, {})
    await world.start()
    source = await world.failed("s", "GitOperationFailed")
    assert "artifact" not in source["status"]
    assert condition(source, "ArtifactInStorage") is None


async def test_damaged_bytes_are_never_advertised(world, repo):
    repo.commit({"a": "1"})
    await world.start()
    await world.put("s", {"url": repo.url})
    before = await world.ready("s")
    world.stored(before).write_bytes(b"something else")
    token = await world.ask("s")
    after = await world.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == token)
    assert condition(after, "Ready") == "True"
    assert digest(world.stored(after)) == after["status"]["artifact"]["digest"]
    assert after["status"]["artifact"]["digest"] == before["status"]["artifact"]["digest"]
    assert "ArtifactVerificationFailed" in [event["reason"] for event in await world.events("s")]


async def test_a_moved_file_server_is_advertised_after_the_restart(world, repo):
    repo.commit({"a": "1"})
    await world.start()
    await world.put("s", {"url": repo.url})
    await world.ready("s")
    await world.stop()
    await world.start("--storage-adv-addr=source-controller.example.com")
    await world.until(
        "s", lambda obj: obj["status"]["artifact"]["url"].startswith("http://source-controller.example.com/")
    )


async def test_a_full_disk_is_told_and_leaves_nothing_behind(world, repo, monkeypatch):
    repo.commit({"a": "1"})
    await world.start()
    folder = world.storage / "gitrepository" / "default"
    folder.mkdir(parents=True)
    (folder / "s").write_text("in the way")
    await world.put("s", {"url": repo.url})
    source = await world.failed("s", "ArchiveOperationFailed")
    assert condition(source, "StorageOperationFailed") == "True"
    assert condition(source, "Ready", "message").startswith("unable to archive artifact to storage: can't create")
    (folder / "s").unlink()
    await world.ready("s")


async def test_a_process_killed_while_it_publishes_leaves_nothing_half_done(world, repo):
    head = repo.commit({f"{number}.bin": os.urandom(2_000_000) for number in range(12)})
    await world.put("s", {"url": repo.url})
    env = {**os.environ, "KUBECONFIG": str(world.kubeconfig), "PYTHONPATH": str(ROOT)}
    log = (world.folder / "log").open("wb")
    process = subprocess.Popen([sys.executable, "-m", "source_controller", *world.flags], env=env, stderr=log)
    try:
        for _ in range(1500):
            if any(part.stat().st_size for part in world.storage.glob("gitrepository/*/*/.part-*")):
                break
            assert process.poll() is None, (world.folder / "log").read_text()
            await asyncio.sleep(0.02)
        else:
            raise AssertionError("it never began to publish")
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        log.close()
    assert list(world.storage.glob("gitrepository/*/*/.part-*")), "it was killed in the middle"
    assert "artifact" not in (await world.read("s")).get("status", {})
    await world.start()
    source = await world.ready("s", head)
    assert digest(world.stored(source)) == source["status"]["artifact"]["digest"]
    assert sorted(world.stored(source).parent.iterdir()) == [world.stored(source)]


async def test_a_status_write_that_fails_is_made_up_for(world, api, repo):
    head = repo.commit({"a": "1"})
    for nth in (1, 2, 3):
        api.faults.add(action="cut-after" if nth == 2 else "fail", resource="gitrepositories", verb="patch",
                       user="", nth=nth + 1)  # fmt: skip
    await world.start()
    await world.put("s", {"url": repo.url})
    source = await world.ready("s", head)
    assert digest(world.stored(source)) == source["status"]["artifact"]["digest"]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512", "blake3"])
async def test_digests_are_of_the_algorithm_that_the_flag_names(world, repo, algorithm):
    repo.commit({"a": "1"})
    await world.start(f"--artifact-digest-algo={algorithm}")
    await world.put("s", {"url": repo.url})
    artifact = (await world.ready("s"))["status"]["artifact"]
    assert artifact["digest"] == of_file(world.storage / artifact["path"], algorithm)
    await world.stop()
    await world.start("--artifact-digest-algo=sha256")  # another one later needs no new artifact
    token = await world.ask("s")
    after = await world.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == token)
    assert after["status"]["artifact"]["digest"] == artifact["digest"]


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        (["--artifact-retention-ttl=1h"], 3),  # two, and the one that was just superseded
        (["--artifact-retention-ttl=1h", "--artifact-retention-records=4"], 5),
        (["--artifact-retention-ttl=0s", "--artifact-retention-records=4"], 2),
    ],
)
async def test_artifacts_stay_as_the_flags_say(world, repo, flags, kept):
    await world.start(*flags)
    heads = []
    for number in range(7):
        heads.append(repo.commit({"a": str(number)}))
        if number == 0:
            await world.put("s", {"url": repo.url})
        else:
            await world.ask("s")
        await world.ready("s", heads[-1])
    found = {file.name for file in (world.storage / "gitrepository/default/s").iterdir()}
    assert found == {f"{head}.tar.gz" for head in heads[-kept:]}
    token = await world.ask("s")  # a pass without a new revision collects the rest
    await world.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == token)
    found = {file.name for file in (world.storage / "gitrepository/default/s").iterdir()}
    assert found == {f"{head}.tar.gz" for head in heads[-kept + 1 :]}
    assert "GarbageCollectionSucceeded" in [event["reason"] for event in await world.events("s")]
