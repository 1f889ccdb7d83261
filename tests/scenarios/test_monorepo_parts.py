"""A monorepo's parts are deployed each by its own revision: a commit to one of them concerns that one only."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from shared.api.source import ArtifactGenerator, ExternalArtifact
from tests.kit.cluster import Cluster, Live
from tests.kit.gitserver import Repo
from tests.kit.objects import ConfigMap, config_map, files, generator, kustomization, source


def part(name: str) -> dict[str, object]:
    return kustomization(name, source_ref={"kind": "ExternalArtifact", "name": name})


def settings(name: str, colour: str) -> str:
    return files(config_map(f"{name}-settings", {"colour": colour}))


async def test_only_the_kustomization_of_the_part_that_changed_applies(cluster: Cluster, repo: Repo) -> None:
    first = repo.commit({"web/app.yaml": settings("web", "blue"), "api/app.yaml": settings("api", "blue")})
    await cluster.have(source("app"), generator("parts", {"web": "web/**", "api": "api/**"}), part("web"), part("api"))
    web = await cluster.until(Kustomization, "web", ready=True)
    api = await cluster.until(Kustomization, "api", ready=True)
    shown = await cluster.get(ExternalArtifact, "web")
    assert web.status["lastAppliedRevision"] == shown.status["artifact"]["revision"]
    assert web.status["lastAppliedOriginRevision"] == f"main@sha1:{first}"
    assert web.inventory == {f"{cluster.namespace}_web-settings__ConfigMap"}
    told = await cluster.events("api", "Kustomization")

    second = repo.commit({"web/app.yaml": settings("web", "green")})
    await cluster.follow()
    web = await cluster.until(
        Kustomization,
        "web",
        ready=True,
        holds=lambda live: live.status["lastAppliedOriginRevision"] == f"main@sha1:{second}",
    )
    assert (await cluster.get(ConfigMap, "web-settings")).manifest["data"] == {"colour": "green"}
    await cluster.until(ArtifactGenerator, "parts", ready=True)
    after = await cluster.get(Kustomization, "api")
    assert after.manifest["metadata"]["resourceVersion"] == api.manifest["metadata"]["resourceVersion"]
    assert await cluster.events("api", "Kustomization") == told


async def test_a_part_comes_and_goes_with_its_directory(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"apps/web/app.yaml": settings("web", "blue"), "apps/api/app.yaml": settings("api", "blue")})
    each = generator("parts", {"{app}": "apps/{app}/**"}, path_pattern="@repo/apps/{app}")
    await cluster.have(source("app"), each, part("web"))
    await cluster.until(Kustomization, "web", ready=True)
    await cluster.until(ExternalArtifact, "api", ready=True)
    repo.commit({"apps/api/app.yaml": None, "apps/shop/app.yaml": settings("shop", "red")})
    await cluster.follow()
    shop = await cluster.until(ExternalArtifact, "shop", ready=True)
    assert shop.manifest["metadata"]["labels"]["app"] == "shop"
    await cluster.until_gone(ExternalArtifact, "api")

    await cluster.delete(ArtifactGenerator, "parts")
    await cluster.until_gone(ExternalArtifact, "web")
    await cluster.request(Kustomization, "web")
    await cluster.until(Kustomization, "web", reason="ArtifactFailed")
    assert await cluster.names(ConfigMap) >= {"web-settings"}, "what was applied stays"


async def test_what_a_user_breaks_by_hand_is_mended(cluster: Cluster, repo: Repo) -> None:
    repo.commit({"web/app.yaml": settings("web", "blue")})
    await cluster.have(source("app"), generator("parts", {"web": "web/**"}))
    made = await cluster.until(ExternalArtifact, "web", ready=True)
    await cluster.until(ArtifactGenerator, "parts", ready=True)
    await cluster.edit(ExternalArtifact, "web", {"spec": {"sourceRef": {"name": "other"}}})
    await cluster.until(
        ExternalArtifact, "web", holds=lambda live: live.manifest["spec"]["sourceRef"]["name"] == "parts"
    )
    await cluster.delete(ExternalArtifact, "web")

    def is_another(live: Live) -> bool:
        return live.manifest["metadata"]["uid"] != made.manifest["metadata"]["uid"]

    again = await cluster.until(ExternalArtifact, "web", ready=True, holds=is_another)
    assert again.status["artifact"]["digest"] == made.status["artifact"]["digest"]
