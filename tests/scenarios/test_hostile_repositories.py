"""Whoever may commit to a repository may not read the controller's files, hang it, or have it run anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.objects import ConfigMap, Secret, config_map, files, kustomization, source

KEPT = "value-that-only-the-controller-may-read"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A file of the machine that the controllers run on, and that is in no repository."""
    path = tmp_path / "private"
    path.write_text(files(config_map("stolen", {"kept": KEPT})))
    return path


def up_to(path: Path) -> str:
    """A relative path to it from any directory."""
    return "../" * 24 + str(path).lstrip("/")


REACHING = {
    "an absolute resource": "resources: [good.yaml, {path}]",
    "a resource above the tree": "resources: [good.yaml, {up}]",
    "a base above the tree": "resources: [good.yaml, {up_directory}]",
    "an absolute file of a generator": (
        "resources: [good.yaml]\nconfigMapGenerator: [{{name: stolen, files: ['a={path}']}}]"
    ),
    "a file of a generator above the tree": (
        "resources: [good.yaml]\nsecretGenerator: [{{name: stolen, files: ['a={up}']}}]"
    ),
    "variables of a generator above the tree": (
        "resources: [good.yaml]\nconfigMapGenerator: [{{name: stolen, envs: ['{up}']}}]"
    ),
    "a patch above the tree": "resources: [good.yaml]\npatches: [{{path: '{up}'}}]",
    "a component above the tree": "resources: [good.yaml]\ncomponents: ['{up_directory}']",
}


@pytest.mark.parametrize("what", REACHING)
async def test_no_kustomization_reaches_out_of_its_artifact(
    cluster: Cluster, repo: Repo, private: Path, what: str
) -> None:
    good = repo.commit({"app/good.yaml": files(config_map("good"))})
    await cluster.have(source("app"), kustomization("app", path="./app"))
    await cluster.until(Kustomization, "app", ready=True, revision=good)
    text = REACHING[what].format(path=private, up=up_to(private), up_directory=up_to(private.parent))
    repo.commit({"app/kustomization.yaml": text + "\n"})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", reason="BuildFailed", ready=False)
    assert KEPT not in str(app.manifest) + str(await cluster.events("app"))
    assert await cluster.names(ConfigMap) == {"good"}
    assert await cluster.names(Secret) == set()


async def test_a_broken_file_with_a_name_in_another_encoding_is_told_and_keeps_nobody_from_being_told(
    cluster: Cluster, repo: Repo
) -> None:
    repo.commit({"app/caf\udce9.yaml": "a: [", "good/caf\udce9.yaml": files(config_map("good"))})
    await cluster.have(source("app"), kustomization("app", path="./app"))
    app = await cluster.until(Kustomization, "app", reason="BuildFailed", ready=False)
    assert r"caf\xe9.yaml" in app.condition("Ready").message
    await cluster.event("app", reason="BuildFailed", says=r"caf\xe9.yaml")
    await cluster.have(kustomization("good", source="app", path="./good"))
    await cluster.until(Kustomization, "good", ready=True)
    await cluster.event("good", reason="ReconciliationSucceeded")


@pytest.mark.parametrize("target", ["absolute", "relative"])
async def test_a_link_in_the_repository_leads_nowhere(cluster: Cluster, repo: Repo, private: Path, target: str) -> None:
    repo.commit({"good.yaml": files(config_map("good"))})
    (repo.work / "link.yaml").symlink_to(private if target == "absolute" else up_to(private))
    commit = repo.commit({})
    await cluster.have(source("app"), kustomization("app"))
    app = await cluster.until(Kustomization, "app", ready=True, revision=commit)
    assert KEPT not in str(app.manifest) + str(await cluster.events("app"))
    assert await cluster.names(ConfigMap) == {"good"}
    repo.commit({"kustomization.yaml": "resources: [good.yaml, link.yaml]\n"})
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", reason="BuildFailed", ready=False)
    assert "link.yaml" in app.ready.message
    assert KEPT not in str(app.manifest) + str(await cluster.events("app"))


@pytest.mark.parametrize("path", ["../../..", "/", "./app/../..", "app/../../../../etc"])
async def test_a_path_stays_in_the_artifact(cluster: Cluster, repo: Repo, path: str) -> None:
    """It is taken as one below the artifact's root, however many levels it goes up."""
    repo.commit({"a.yaml": files(config_map("root")), "etc/a.yaml": files(config_map("etc"))})
    await cluster.have(source("app"), kustomization("app", path=path))
    await cluster.until(Kustomization, "app", ready=True)
    assert await cluster.names(ConfigMap) == ({"etc"} if path.endswith("etc") else {"root", "etc"})


def bomb() -> str:
    """YAML of a kilobyte that says ten to the power of nine words."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\n" + "\n".join(lines) + "\n"


HANGING = {
    "aliases that multiply": {"app/bad.yaml": bomb()},
    "brackets in brackets": {"app/bad.yaml": "kind: ConfigMap\ndata: " + "[" * 50_000 + "]" * 50_000 + "\n"},
    "a circle of bases": {
        "app/kustomization.yaml": "resources: [../other]\n",
        "other/kustomization.yaml": "resources: [../app]\n",
    },
    "a base that is itself": {"app/kustomization.yaml": "resources: [.]\n"},
    "bytes that are no text": {"app/bad.yaml": b"kind: \xff\xfe\x00\n"},
    "a program to run": {
        "app/kustomization.yaml": "resources: [good.yaml]\ngenerators: [bad.yaml]\n",
        "app/bad.yaml": (
            "apiVersion: someteam.example.com/v1\nkind: Run\nmetadata:\n  name: run\n  annotations:\n"
            "    config.kubernetes.io/function: |\n      exec: {path: ./run.sh}\n"
        ),
        "app/run.sh": "#!/bin/sh\necho ran >&2\n",
    },
}


@pytest.mark.parametrize("what", HANGING)
async def test_what_would_hang_or_run_is_refused_at_once(cluster: Cluster, repo: Repo, what: str) -> None:
    good = repo.commit({"app/good.yaml": files(config_map("good"))})
    await cluster.have(source("app"), kustomization("app", path="./app"))
    await cluster.until(Kustomization, "app", ready=True, revision=good)
    repo.commit(dict(HANGING[what]))
    await cluster.follow()
    app = await cluster.until(Kustomization, "app", reason="BuildFailed", ready=False, within=15)
    assert len(app.ready.message) < 2_000
    assert await cluster.names(ConfigMap) == {"good"}
    fixed = repo.commit(dict.fromkeys(HANGING[what]) | {"app/good.yaml": files(config_map("good"))})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=fixed)
