"""One path that many instantiate is built once, on the event loop when it is small, and each has its own objects."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from kustomize_controller import build, light, templates
from kustomize_controller.templates import Template, Templates
from shared.api.kustomize import KustomizationSpec
from shared.kustomize import DiskTree, Survey, Trace
from shared.loop.verdict import Failed
from tests.kustomize_controller.test_build import CONFIG_MAP, kustomization, tree

OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${NAME}"}}


class Files(DiskTree):
    """Notes which threads read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.threads: set[threading.Thread] = set()

    def read(self, path: str) -> bytes:
        self.threads.add(threading.current_thread())
        return super().read(path)

    @property
    def is_read_on_the_loop_only(self) -> bool:
        return self.threads == {threading.main_thread()}


def config_maps(count: int, *, padding: int = 0) -> str:
    return "---\n".join(CONFIG_MAP.format(name=f"c{number}", colour="x" * padding) for number in range(count))


async def template(files: DiskTree, **options: Any) -> Template:
    return await build.template(kustomization(), Survey(files), "/", **options)


def of(*objects: dict[str, Any], is_remote: bool = False) -> Template:
    return Template(list(objects), ["a.yaml:1"] * len(objects), footprint(), is_remote=is_remote)


def footprint() -> Any:
    return Trace(Survey(DiskTree("/"))).footprint()


async def test_a_small_build_needs_no_thread_and_a_large_one_keeps_nobody_waiting(tmp_path: Path) -> None:
    small, large = (
        Files(tree(tmp_path / name, {"a.yaml": config_maps(4, padding=size)}))
        for name, size in (("small", 1), ("large", light.BYTES))
    )
    assert len((await template(small)).manifests) == 4
    assert small.is_read_on_the_loop_only
    assert len((await template(large)).manifests) == 4
    assert large.threads - {threading.main_thread()}


async def test_few_files_that_mean_much_work_are_built_in_a_thread(tmp_path: Path) -> None:
    patch = "- {{patch: '- {{op: add, path: /data/k{}, value: v}}', target: {{kind: ConfigMap}}}}\n"
    patches = "".join(map(patch.format, range(200)))
    files = Files(
        tree(tmp_path, {"kustomization.yaml": f"resources: [a.yaml]\npatches:\n{patches}", "a.yaml": config_maps(150)})
    )
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < light.BYTES
    made = await template(files)
    assert {len(one["data"]) for one in made.manifests} == {201}
    assert files.threads - {threading.main_thread()}


async def test_a_build_on_the_loop_says_the_same_as_one_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Survey(
        DiskTree(tree(tmp_path, {"a.yaml": config_maps(3), "b/c.yaml": config_maps(1).replace("c0", "${D}")}))
    )
    ks = kustomization(targetNamespace="shop", namePrefix="eu-", commonMetadata={"labels": {"team": "a"}})

    async def built() -> Any:
        return await build.filled(ks, await build.template(ks, files, "/"), {"D": "d"}, strict=True)

    on_loop = await built()
    monkeypatch.setattr(light, "BYTES", -1)
    in_thread = await built()
    assert on_loop == in_thread
    assert [one["metadata"]["name"] for one in on_loop.manifests] == ["eu-c0", "eu-c1", "eu-c2", "eu-d"]


async def test_what_variables_make_too_large_for_the_loop_is_filled_in_all_the_same() -> None:
    value = "x" * (2 * light.BYTES)
    made = await build.filled(
        kustomization(), of({**OBJECT, "data": {"a": "${A}"}}), {"A": value, "NAME": "n"}, strict=True
    )
    assert made.manifests[0]["data"] == {"a": value}
    with pytest.raises(Failed, match="variable not set"):
        await build.filled(kustomization(), of(OBJECT), {"A": value}, strict=True)


async def test_those_who_build_alike_build_once_and_get_objects_of_their_own() -> None:
    kept, made = Templates(), 0

    async def make() -> Template:
        nonlocal made
        made += 1
        await asyncio.sleep(0)
        return of(OBJECT)

    found = await asyncio.gather(*(kept.of(b"key", make) for _ in range(20)))
    assert made == 1
    names = [
        (await build.filled(kustomization(), one, {"NAME": f"n{number}"}, strict=True)).manifests[0]["metadata"]["name"]
        for number, one in enumerate(found)
    ]
    assert names == [f"n{number}" for number in range(20)]


async def test_a_build_that_fails_or_is_given_up_is_made_by_the_next() -> None:
    kept, started = Templates(), asyncio.Event()

    async def never() -> Template:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def make() -> Template:
        return of(OBJECT)

    async def fail() -> Template:
        raise Failed("BuildFailed", "broken")

    given_up = asyncio.create_task(kept.of(b"key", never))
    await started.wait()
    waiting = asyncio.create_task(kept.of(b"key", make))
    await asyncio.sleep(0)
    given_up.cancel()
    assert (await waiting).manifests == [OBJECT]
    with pytest.raises(Failed, match="broken"):
        await kept.of(b"other", fail)
    assert (await kept.of(b"other", make)).manifests == [OBJECT]


async def test_what_came_from_elsewhere_is_not_shared() -> None:
    kept, made = Templates(), []

    async def make() -> Template:
        made.append(of(OBJECT, is_remote=True))
        await asyncio.sleep(0)
        return made[-1]

    found = await asyncio.gather(kept.of(b"key", make), kept.of(b"key", make))
    assert found == made
    assert len(made) == 2


async def test_the_templates_that_were_used_last_are_kept_within_their_bound() -> None:
    one = of({**OBJECT, "data": {"a": "x" * 1000}})
    kept, made = Templates(3 * len(one.packed)), []

    async def get(name: bytes) -> None:
        async def make() -> Template:
            made.append(name)
            return one

        await kept.of(name, make)

    for name in (b"a", b"b", b"c", b"a", b"d", b"a", b"b"):
        await get(name)
    assert made == [b"a", b"b", b"c", b"d", b"b"]


def test_a_template_is_that_of_artifact_path_and_all_that_the_spec_lays_over_it() -> None:
    def key(artifact: str = "sha256:1", path: str = "/", **spec: Any) -> bytes:
        return templates.key(kustomization(**spec).spec, artifact, path)

    others = [
        key("sha256:2"),
        key(path="/app"),
        key(targetNamespace="a"),
        key(namePrefix="a"),
        key(nameSuffix="a"),
        key(patches=[{"patch": "a"}]),
        key(images=[{"name": "a"}]),
        key(components=["a"]),
        key(ignoreMissingComponents=True),
        key(buildMetadata=["originAnnotations"]),
    ]
    assert len({key(), *others}) == 1 + len(others)
    assert key() == key(interval="2h", postBuild={"substitute": {"A": "1"}}, commonMetadata={"labels": {"a": "b"}})
    assert isinstance(kustomization().spec, KustomizationSpec)
