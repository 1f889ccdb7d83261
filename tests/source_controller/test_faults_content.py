"""Hostile and strange content: bombs, links that lead out, names of any bytes, pointers, very many files."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
import time

import pytest

from shared.artifact.unpack import unpack
from tests.kit.charts import ChartRepository
from tests.kit.gitserver import GitServer
from tests.kit.registry import FLUX_CONTENT, Registry, tar_gz
from tests.kit.s3 import S3
from tests.source_controller.conftest import condition

STRANGE = [b"caf\xe9.yaml", b"line\nbreak.yaml", "naïve – ü.yaml".encode(), b"-rf", b"quote'\".yaml"]
FILES = 100_000


@pytest.fixture
def registry():
    with Registry() as made:
        yield made


@pytest.fixture
def charts():
    with ChartRepository() as made:
        yield made


def image(registry):
    return {"url": registry.url("app"), "ref": {"tag": "v1"}, "insecure": True}


def chart():
    return {"chart": "demo", "version": "*", "sourceRef": {"kind": "HelmRepository", "name": "charts"}}


def bomb(megabytes=400):
    """A small tarball of a large file of zeros."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed:
        header = tarfile.TarInfo("demo/zeros")
        header.size = megabytes << 20
        packed.write(header.tobuf())
        for _ in range(megabytes):
            packed.write(bytes(1 << 20))
        packed.write(bytes(1024))
    return out.getvalue()


def names(world, obj):
    """The names of the files in an artifact, as bytes; every consumer can unpack it."""
    with world.stored(obj).open("rb") as archive:
        unpack(archive, world.folder / "unpacked")
    root = world.folder / "unpacked"
    return {os.fsencode(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or not path.is_dir()}


async def test_a_bomb_in_an_image_is_refused_before_it_goes_off(controller, registry):
    packed = bomb()
    assert len(packed) < 1 << 20
    registry.push("app", "v1", [(FLUX_CONTENT, packed)])
    began = time.process_time()
    await controller.put("s", image(registry), "OCIRepository")
    failed = await controller.failed("s", "OCIArtifactLayerOperationFailed", "OCIRepository")
    assert "a compression bomb" in condition(failed, "Ready", "message")
    assert time.process_time() - began < 20
    registry.push_files("app", "v1", {"a": "1"})
    await controller.ask("s", "OCIRepository")
    await controller.ready("s", kind="OCIRepository")


async def test_a_bomb_in_place_of_a_chart_is_refused(controller, charts):
    charts.add("demo", "1.0.0")
    charts.packages["demo-1.0.0.tgz"] = bomb()
    del charts.entries["demo"][0]["digest"]
    await controller.put("charts", {"url": charts.url}, "HelmRepository")
    await controller.ready("charts", kind="HelmRepository")
    await controller.put("s", chart(), "HelmChart")
    failed = await controller.until("s", lambda obj: condition(obj, "Ready") == "False", "HelmChart")
    assert "artifact" not in failed["status"]
    assert condition(failed, "Ready", "reason") != "ReconciliationFailed"


async def test_links_out_of_an_image_lead_nowhere(controller, registry, tmp_path):
    (tmp_path / "secret").write_text("s3cret")
    links = {"file": str(tmp_path / "secret"), "folder": str(tmp_path), "up": "../../../../../../etc"}
    registry.push("app", "v1", [(FLUX_CONTENT, tar_gz({"a": "1", "folder/x": "2"}, links))])
    await controller.put("s", image(registry), "OCIRepository")
    obj = await controller.until("s", lambda obj: condition(obj, "Ready") in ("True", "False"), "OCIRepository")
    if condition(obj, "Ready") == "True":
        assert names(controller, obj) == {b"a", b"folder/x"}
    assert not (tmp_path / "x").exists()


async def test_links_out_of_a_repository_lead_nowhere(controller, repo, tmp_path):
    (tmp_path / "secret").write_text("s3cret")
    (repo.work / "file").symlink_to(tmp_path / "secret")
    (repo.work / "folder").symlink_to(tmp_path)
    (repo.work / ".sourceignore").symlink_to(tmp_path / "secret")
    head = repo.commit({"a": "1"})
    await controller.put("s", {"url": repo.url})
    assert names(controller, await controller.ready("s", head)) == {b"a"}


async def test_names_of_any_bytes_pass_through_a_repository(controller, repo):
    for name in STRANGE:
        (repo.work / os.fsdecode(name)).write_text("a: 1")
    head = repo.commit({"a": "1"})
    await controller.put("s", {"url": repo.url})
    assert names(controller, await controller.ready("s", head)) == {b"a", *STRANGE}


async def test_names_of_any_bytes_pass_through_an_image(controller, registry):
    registry.push_files("app", "v1", {os.fsdecode(name): "a: 1" for name in STRANGE})
    await controller.put("s", image(registry), "OCIRepository")
    assert names(controller, await controller.ready("s", kind="OCIRepository")) == set(STRANGE)


async def test_names_of_any_text_pass_through_a_bucket(controller):
    with S3() as store:
        keys = [name.decode() for name in STRANGE if name.isascii() or b"\xe9" not in name]
        store.buckets["app"] = dict.fromkeys(keys, b"a: 1")
        await controller.put("s", {"bucketName": "app", "endpoint": store.endpoint, "insecure": True}, "Bucket")
        obj = await controller.ready("s", kind="Bucket")
    assert names(controller, obj) == {key.encode() for key in keys}


async def test_a_pointer_to_a_large_file_stays_one_and_nobody_is_asked_for_the_file(controller, git, repo):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    head = repo.commit(
        {
            ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
            ".lfsconfig": f"[lfs]\n\turl = {git.url}/lfs\n",
            "large.bin": pointer,
        }
    )
    await controller.put("s", {"url": repo.url})
    obj = await controller.ready("s", head)
    assert b"large.bin" in names(controller, obj)
    assert (controller.folder / "unpacked" / "large.bin").read_text() == pointer
    assert not any("lfs" in path for path, _ in git.requests)


def imported(repo, count):
    """Commits so many small files at once."""
    lines = [b"commit refs/heads/main\ncommitter Ada <ada@example.com> 1 +0000\ndata 4\nmany\n"]
    for number in range(count):
        data = b"n: %d\n" % number
        path = b"d%03d/e%02d/f%06d.yaml" % (number // 1000, number // 50 % 20, number)
        lines.append(b"M 100644 inline %b\ndata %d\n%b\n" % (path, len(data), data))
    command = ["git", "-C", str(repo.bare), "fast-import", "--quiet"]
    subprocess.run(command, input=b"".join(lines), check=True, capture_output=True)


@pytest.mark.timeout(300)
async def test_a_repository_of_a_hundred_thousand_files_becomes_an_artifact_in_time(controller, git: GitServer):
    repo = git.create("large")
    imported(repo, FILES)
    began = time.process_time()
    await controller.put("s", {"url": repo.url, "timeout": "5m"})
    obj = await controller.until("s", lambda obj: condition(obj, "Ready") == "True", within=240)
    assert time.process_time() - began < 60, "CPU of the controller, without git's"
    with tarfile.open(controller.stored(obj)) as archive:
        assert sum(entry.isfile() for entry in archive) == FILES
