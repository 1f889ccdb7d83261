"""Flags and gates of the controller, each by what it changes while it runs."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from tests.kit.objects import (
    ConfigMap,
    RoleBinding,
    account,
    binding,
    config_map,
    files,
    kustomization,
    role,
    secret,
    source,
)
from tests.kit.toolkit import KUSTOMIZE, Toolkit

WATCHED = {"reconcile.fluxcd.io/watch": "Enabled"}


async def started(toolkit: Toolkit, *flags: str, **committed: str) -> None:
    """The controllers, with these flags of kustomize-controller, and a source of these files."""
    toolkit.cluster.repo.commit({f"{name}.yaml": content for name, content in committed.items()})
    await toolkit.start("source-controller")
    await toolkit.start("kustomize-controller", flags=flags)
    await toolkit.cluster.have(source("app"))


async def test_sources_of_other_namespaces_can_be_refused(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    await started(toolkit, "--no-cross-namespace-refs", app=files(config_map()))
    elsewhere = await cluster.another_namespace()
    await cluster.have(source("app", cluster.repo.url), namespace=elsewhere)
    there = {"kind": "GitRepository", "name": "app", "namespace": elsewhere}
    await cluster.have(kustomization("app", source_ref=there))
    refused = await cluster.until(Kustomization, "app", ready=False, reason="AccessDenied")
    said = f"can't access 'GitRepository/{elsewhere}/app', cross-namespace references have been blocked"
    assert (refused.ready.message, refused.condition("Stalled").reason) == (said, "AccessDenied")
    told = await cluster.event("app", reason="AccessDenied", says=said)
    assert told["type"] == "Warning"
    assert "annotations" not in told["metadata"]
    await cluster.edit(Kustomization, "app", {"spec": {"sourceRef": {"namespace": None}}})
    await cluster.until(Kustomization, "app", ready=True)


async def test_external_artifacts_are_refused_unless_they_are_allowed(toolkit: Toolkit) -> None:
    await started(toolkit, app=files(config_map()))
    await toolkit.cluster.have(kustomization("app", source_ref={"kind": "ExternalArtifact", "name": "built"}))
    refused = await toolkit.cluster.until(Kustomization, "app", ready=False, reason="AccessDenied")
    where = toolkit.cluster.namespace
    said = f"can't access 'ExternalArtifact/{where}/built', ExternalArtifact feature gate is disabled"
    assert refused.ready.message.startswith(said)
    assert refused.condition("Stalled").status == "True"


async def test_kinds_can_be_applied_before_what_needs_them(toolkit: Toolkit) -> None:
    """A tenant may bind only Roles that are there, and that give no more than it has."""
    cluster = toolkit.cluster
    rights = role("tenant", "configmaps")
    rights["rules"].append(
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "verbs": ["*"]}
    )
    await cluster.have(account("tenant"), rights, binding("tenant", "tenant", cluster.namespace))
    wanted = files(binding("reader", "default", cluster.namespace), role("reader", "configmaps", verbs=["get"]))
    await started(toolkit, "--custom-apply-stage-kinds=rbac.authorization.k8s.io/Role", app=wanted)
    await cluster.have(kustomization("app", service_account_name="tenant"))
    await cluster.until(Kustomization, "app", ready=True)
    assert {"reader"} <= await cluster.names(RoleBinding)
    assert not [event for event in await cluster.events("app", "Kustomization") if event["type"] == "Warning"]


async def test_what_another_manager_adds_can_be_undone(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    await started(toolkit, "--override-manager=intruder", "--override-manager=other", app=files(config_map()))
    await cluster.have(kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True)
    for manager in ("intruder", "friend"):
        added = {"data": {manager: "was here"}}
        await cluster.client.patch(*ConfigMap, "settings", cluster.namespace, added, field_manager=manager)
    live = await cluster.until(ConfigMap, "settings", holds=lambda live: "intruder" not in live.manifest["data"])
    assert live.manifest["data"] == {"colour": "blue", "friend": "was here"}


async def test_a_shard_works_on_what_carries_its_label_whatever_that_refers_to(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    await started(toolkit, "--watch-label-selector=sharding.fluxcd.io/key=one", app=files(config_map()))
    ours = kustomization("ours", depends_on=["theirs"])
    ours["metadata"]["labels"] = {"sharding.fluxcd.io/key": "one"}
    await cluster.have(ours, kustomization("theirs"))
    await cluster.until(Kustomization, "ours", ready=False, reason="DependencyNotReady")
    assert (await cluster.get(Kustomization, "theirs")).status.get("conditions") is None
    await cluster.edit(Kustomization, "ours", {"spec": {"dependsOn": None}})
    await cluster.until(Kustomization, "ours", ready=True)


async def test_config_maps_need_not_be_watched(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    await started(
        toolkit,
        "--feature-gates=DisableConfigWatchers=true",
        app=files(config_map("settings", {"colour": "${colour}"})),
    )
    await cluster.have(config_map("variables", {"colour": "blue"}, labels=WATCHED))
    wanted = {"substituteFrom": [{"kind": "ConfigMap", "name": "variables"}]}
    await cluster.have(kustomization("app", post_build=wanted))
    await cluster.until(Kustomization, "app", ready=True)
    await toolkit.quiet(KUSTOMIZE)
    toolkit.forget_calls()
    await cluster.edit(ConfigMap, "variables", {"data": {"colour": "red"}})
    await toolkit.quiet(KUSTOMIZE)
    assert not toolkit.calls(KUSTOMIZE)
    await cluster.request(Kustomization, "app")
    await cluster.until(ConfigMap, "settings", holds=lambda live: live.manifest["data"] == {"colour": "red"})


async def test_undefined_variables_can_be_empty(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    await started(
        toolkit,
        "--feature-gates=StrictPostBuildSubstitutions=false",
        app=files(config_map("settings", {"colour": "<${colour}>", "size": "${size:=L}"})),
    )
    await cluster.have(kustomization("app", post_build={"substitute": {"other": "1"}}))
    await cluster.until(Kustomization, "app", ready=True)
    assert (await cluster.get(ConfigMap, "settings")).manifest["data"] == {"colour": "<>", "size": "L"}


async def test_a_dependency_that_becomes_ready_wakes_who_waits_for_it_whenever_that_would_look_again(
    toolkit: Toolkit,
) -> None:
    cluster = toolkit.cluster
    await started(toolkit, "--requeue-dependency=1h", app=files(config_map()))
    chain = [kustomization(f"k{number}", depends_on=[f"k{number + 1}"]) for number in range(5)]
    await cluster.have(*chain)
    for number in range(5):
        await cluster.until(Kustomization, f"k{number}", ready=False, reason="DependencyNotReady")
    await cluster.have(kustomization("k5"))
    await cluster.until(Kustomization, "k0", ready=True)


async def test_an_expression_can_add_to_the_rules_of_a_dependency(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    await started(toolkit, "--feature-gates=AdditiveCELDependencyCheck=true", app=files(config_map()))
    await cluster.have(kustomization("infra", path="./absent"))
    await cluster.until(Kustomization, "infra", ready=False)
    dependent = kustomization("app")
    dependent["spec"]["dependsOn"] = [{"name": "infra", "readyExpr": "true"}]
    await cluster.have(dependent)
    waiting = await cluster.until(Kustomization, "app", ready=False, reason="DependencyNotReady")
    assert waiting.ready.message == f"dependency '{cluster.namespace}/infra' is not ready"
    told = await cluster.event("app", reason="DependencyNotReady", says="retrying in ")
    assert told["message"] == "Dependencies do not meet ready condition, retrying in 1s"
    await cluster.edit(Kustomization, "infra", {"spec": {"path": "./"}})
    await cluster.until(Kustomization, "app", ready=True)


async def test_keys_that_all_share_are_found_where_a_kustomization_names_none(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    await started(toolkit, "--sops-age-secret=shared-keys", app=files(config_map()))
    await cluster.have(kustomization("app", decryption={"provider": "sops"}))
    failed = await cluster.until(Kustomization, "app", ready=False, reason="BuildFailed")
    assert failed.ready.message == 'secrets "shared-keys" not found'
    await cluster.have(secret("shared-keys", {"a.agekey": "no key"}), namespace="flux-system")
    await cluster.request(Kustomization, "app")
    said = "cannot use sops decryption Secret 'flux-system/shared-keys': failed to import 'a.agekey' data: "
    await cluster.until(Kustomization, "app", holds=lambda live: live.ready.message.startswith(said))
