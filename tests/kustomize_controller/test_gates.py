"""Feature gates that change what the running controller does."""

from __future__ import annotations

import logging

import pytest

from kustomize_controller.__main__ import options
from shared.api.kustomize import Kustomization
from tests.kit.objects import ConfigMap, Secret, config_map, files, kustomization, secret, source
from tests.kit.toolkit import KUSTOMIZE, Toolkit

UPSTREAM = {
    "AdditiveCELDependencyCheck",
    "CacheSecretsAndConfigMaps",
    "CancelHealthCheckOnNewRevision",
    "DirectSourceFetch",
    "DisableConfigWatchers",
    "DisableFailFastBehavior",
    "DisableStatusPollerCache",
    "ExternalArtifact",
    "GroupChangeLog",
    "MigrateAPIVersion",
    "ObjectLevelWorkloadIdentity",
    "StrictPostBuildSubstitutions",
}


async def applied(toolkit: Toolkit, *gates: str) -> None:
    toolkit.cluster.repo.commit({"app.yaml": files(config_map("one"), config_map("two"))})
    await toolkit.start("source-controller")
    await toolkit.cluster.have(source("app"))
    await toolkit.start("kustomize-controller", flags=[f"--feature-gates={gate}=true" for gate in gates])
    await toolkit.cluster.have(kustomization("app"))
    await toolkit.cluster.until(Kustomization, "app", ready=True)
    await toolkit.quiet(KUSTOMIZE)


def test_every_gate_of_upstream_is_known_and_does_what_its_help_says() -> None:
    chosen = options([f"--feature-gates={','.join(f'{gate}=true' for gate in sorted(UPSTREAM))}"])
    assert set(chosen.feature_gates) >= UPSTREAM
    assert chosen.unbuilt == []


async def test_sources_are_read_from_the_api_server_where_that_is_asked_for(toolkit: Toolkit) -> None:
    await applied(toolkit, "DirectSourceFetch")
    toolkit.forget_calls()
    token = await toolkit.cluster.request(Kustomization, "app")
    await toolkit.cluster.until(Kustomization, "app", handled=token)
    await toolkit.quiet(KUSTOMIZE)
    assert toolkit.calls(KUSTOMIZE) == {"get gitrepositories": 1, "patch kustomizations/status": 1}


@pytest.mark.parametrize("watched", [True, False])
async def test_variables_are_read_from_memory_where_that_is_asked_for(toolkit: Toolkit, watched: bool) -> None:
    cluster, label = toolkit.cluster, {"reconcile.fluxcd.io/watch": "Enabled"} if watched else {}
    cluster.repo.commit({"app.yaml": files(config_map("settings", {"colour": "${colour}"}))})
    await cluster.have(secret("variables", {"colour": "blue"}, **label), source("app"))
    await toolkit.start("source-controller")
    await toolkit.start("kustomize-controller", flags=["--feature-gates=CacheSecretsAndConfigMaps=true"])
    wanted = {"substituteFrom": [{"kind": "Secret", "name": "variables"}]}
    await cluster.have(kustomization("app", post_build=wanted))
    await cluster.until(Kustomization, "app", ready=True)
    await toolkit.quiet(KUSTOMIZE)
    toolkit.forget_calls()
    second = cluster.repo.commit({"README.md": "new"})
    await cluster.follow()
    await cluster.until(Kustomization, "app", revision=second)
    await toolkit.quiet(KUSTOMIZE)
    assert toolkit.calls(KUSTOMIZE) == {"patch kustomizations/status": 1}
    for colour in ("green", "red", "white"):
        await cluster.have(secret("variables", {"colour": colour}, **label))
        if not watched:
            await cluster.request(Kustomization, "app")
        await cluster.until(ConfigMap, "settings", holds=lambda live, c=colour: live.manifest["data"] == {"colour": c})
    await cluster.delete(Secret, "variables")
    if not watched:
        await cluster.request(Kustomization, "app")
    failed = await cluster.until(Kustomization, "app", ready=False, reason="BuildFailed")
    assert failed.ready.message == "substitute from 'Secret/variables' error: secrets \"variables\" not found"


@pytest.mark.parametrize("grouped", [False, True])
async def test_what_was_applied_is_logged_by_object_or_by_what_was_done(
    toolkit: Toolkit, caplog: pytest.LogCaptureFixture, grouped: bool
) -> None:
    with caplog.at_level(logging.INFO):
        await applied(toolkit, *(["GroupChangeLog"] if grouped else []))
    [told] = [record for record in caplog.records if record.getMessage() == "server-side apply completed"]
    names = [f"ConfigMap/{toolkit.cluster.namespace}/{name}" for name in ("one", "two")]
    assert told.given["output"] == ({"created": names} if grouped else dict.fromkeys(names, "created"))  # type: ignore[attr-defined]
