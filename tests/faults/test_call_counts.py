"""What reconciling costs the API server: docs/performance.md, counted. Counts are exact; times are not, so none is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from kustomize_controller import build
from kustomize_controller.templates import Template
from shared.api.kustomize import Kustomization
from shared.api.source import GitRepository
from tests.kit.objects import (
    ConfigMap,
    account,
    binding,
    config_map,
    deployment,
    files,
    kustomization,
    role,
    service,
    source,
)
from tests.kit.toolkit import KUSTOMIZE, SOURCE, Toolkit

OBJECTS = {
    "one object": [config_map("a")],
    "four objects": [account("web"), config_map("settings"), service("web"), deployment("web")],
    "twenty objects": [config_map(f"settings-{number}") for number in range(20)],
}
KINDS = ("configmaps", "services", "serviceaccounts", "deployments")


@pytest.fixture(autouse=True)
def no_attempt_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine one may take so long that it says what it is doing, which is a write more."""
    monkeypatch.setattr("shared.loop.attempt.LONG", 60.0)


def applies(calls: Counter[str]) -> int:
    """Writes of what is applied."""
    return sum(count for call, count in calls.items() if call.startswith("patch ") and call.split()[1] in KINDS)


def on_itself(calls: Counter[str]) -> int:
    """Writes of the Kustomization: its finalizer and its status."""
    return sum(count for call, count in calls.items() if call.split()[1].startswith("kustomizations"))


async def applied(toolkit: Toolkit, what: str = "four objects", **spec: object) -> None:
    """A Kustomization that was applied, by a controller that has nothing left to do."""
    toolkit.cluster.repo.commit({"a.yaml": files(*OBJECTS[what])})
    await toolkit.cluster.have(source("app"))
    await toolkit.start()
    await toolkit.cluster.have(kustomization("app", **spec))
    await toolkit.cluster.until(Kustomization, "app", ready=True)
    await toolkit.quiet(KUSTOMIZE)


@pytest.mark.parametrize("what", OBJECTS)
async def test_a_first_apply_costs_one_call_an_object_three_on_itself_and_one_event(
    toolkit: Toolkit, what: str
) -> None:
    await toolkit.start()
    toolkit.cluster.repo.commit({"a.yaml": files(*OBJECTS[what])})
    await toolkit.cluster.have(source("app"))
    await toolkit.cluster.follow()
    await toolkit.quiet(KUSTOMIZE, 0.2)
    toolkit.forget_calls()
    await toolkit.cluster.have(kustomization("app", wait=True))
    await toolkit.cluster.until(Kustomization, "app", ready=True)
    await toolkit.quiet(KUSTOMIZE)
    calls = toolkit.calls(KUSTOMIZE)
    begun = {call for call in calls if call.startswith("list ")}
    assert applies(calls) == len(OBJECTS[what]), calls
    assert on_itself(calls) <= 3, calls
    assert calls["create events"] == 1, calls
    # What is applied is watched from then on, which begins with one list a kind for all Kustomizations together.
    assert all(calls[call] == 1 for call in begun), calls
    assert sum(calls.values()) == applies(calls) + on_itself(calls) + 1 + len(begun), calls


async def test_a_second_kustomization_of_the_same_kinds_costs_no_reads(toolkit: Toolkit) -> None:
    await applied(toolkit)
    toolkit.forget_calls()
    await toolkit.cluster.have(kustomization("other", name_prefix="other-", wait=True))
    await toolkit.cluster.until(Kustomization, "other", ready=True)
    await toolkit.quiet(KUSTOMIZE)
    calls = toolkit.calls(KUSTOMIZE)
    assert applies(calls) == 4, calls
    assert on_itself(calls) <= 3, calls
    assert sum(calls.values()) == 4 + on_itself(calls) + 1, calls


async def test_a_pass_in_which_nothing_changed_costs_nothing(toolkit: Toolkit) -> None:
    await applied(toolkit)
    toolkit.forget_calls()
    await toolkit.cluster.follow()
    await toolkit.quiet(KUSTOMIZE)
    assert toolkit.calls(KUSTOMIZE) == Counter()


async def test_a_request_for_an_unchanged_one_costs_the_status_that_answers_it(toolkit: Toolkit) -> None:
    await applied(toolkit)
    toolkit.forget_calls()
    token = await toolkit.cluster.request(Kustomization, "app")
    await toolkit.cluster.until(Kustomization, "app", handled=token)
    await toolkit.quiet(KUSTOMIZE)
    assert toolkit.calls(KUSTOMIZE) == Counter({"patch kustomizations/status": 1})


async def test_the_audit_at_the_interval_costs_nothing_where_everything_is_watched(
    toolkit: Toolkit, caplog: pytest.LogCaptureFixture
) -> None:
    await applied(toolkit, interval="1s")
    toolkit.forget_calls()
    caplog.clear()
    with caplog.at_level("INFO"):
        await toolkit.quiet(KUSTOMIZE, 2.5)
    assert caplog.text.count("Applied revision") >= 2
    assert toolkit.calls(KUSTOMIZE) == Counter()


async def test_a_restart_reads_each_kind_of_the_inventory_once_and_writes_nothing(toolkit: Toolkit) -> None:
    await applied(toolkit)
    await toolkit.stop("kustomize-controller")
    toolkit.forget_calls()
    await toolkit.start("kustomize-controller")
    await toolkit.quiet(KUSTOMIZE, 1.0)
    calls = toolkit.calls(KUSTOMIZE)
    read = {call: count for call, count in calls.items() if call.split()[1] in KINDS}
    assert set(read) <= {f"{verb} {kind}" for verb in ("get", "list") for kind in KINDS}, calls
    # Once to audit, and once more where the watch of the kind begins.
    assert all(count <= 2 for count in read.values()), calls
    assert not [call for call in calls if call.split()[0] in ("patch", "create", "update", "delete")], calls


async def test_a_changed_object_costs_one_apply(toolkit: Toolkit) -> None:
    await applied(toolkit)
    changed = [account("web"), config_map("settings", {"colour": "green"}), service("web"), deployment("web")]
    commit = toolkit.cluster.repo.commit({"a.yaml": files(*changed)})
    toolkit.forget_calls()
    await toolkit.cluster.follow()
    await toolkit.cluster.until(Kustomization, "app", ready=True, revision=commit)
    await toolkit.quiet(KUSTOMIZE)
    calls = toolkit.calls(KUSTOMIZE)
    assert calls["patch configmaps"] == 1, calls
    assert applies(calls) == 1, calls
    assert on_itself(calls) <= 2, calls
    assert sum(calls.values()) == 1 + on_itself(calls) + 1, calls


async def test_drift_costs_the_apply_that_heals_it(toolkit: Toolkit) -> None:
    await applied(toolkit)
    toolkit.forget_calls()
    await toolkit.cluster.edit(ConfigMap, "settings", {"data": {"colour": "red"}})
    await toolkit.cluster.until(ConfigMap, "settings", holds=lambda live: live.manifest["data"] == {"colour": "blue"})
    await toolkit.quiet(KUSTOMIZE)
    calls = toolkit.calls(KUSTOMIZE)
    assert calls["patch configmaps"] <= 2, calls
    assert applies(calls) == calls["patch configmaps"], calls
    assert calls["create events"] == 1, calls


async def test_an_unchanged_repository_costs_the_api_nothing_but_the_answer(toolkit: Toolkit) -> None:
    await applied(toolkit)
    await toolkit.quiet(SOURCE)
    toolkit.forget_calls()
    await toolkit.cluster.follow()
    await toolkit.quiet(SOURCE)
    assert set(toolkit.calls(SOURCE)) <= {"patch gitrepositories/status", "create events", "patch events"}


async def test_a_fleet_that_rests_costs_nothing(toolkit: Toolkit) -> None:
    toolkit.cluster.repo.commit({"a.yaml": files(config_map())})
    await toolkit.cluster.have(source("app"))
    await toolkit.start()
    fleet = [kustomization(f"app-{number}", name_prefix=f"app-{number}-") for number in range(20)]
    await toolkit.cluster.have(*fleet)
    for number in range(20):
        await toolkit.cluster.until(Kustomization, f"app-{number}", ready=True)
    await toolkit.quiet(KUSTOMIZE)
    toolkit.forget_calls()
    await toolkit.quiet(KUSTOMIZE, 2.0)
    assert toolkit.calls(KUSTOMIZE, uncounted=()) == Counter()
    assert toolkit.calls(SOURCE, uncounted=()) == Counter()


async def test_a_revision_that_changes_nothing_costs_the_status_that_names_it(toolkit: Toolkit) -> None:
    await applied(toolkit)
    commit = toolkit.cluster.repo.commit({"README.md": "not a manifest\n"})
    toolkit.forget_calls()
    await toolkit.cluster.follow()
    await toolkit.cluster.until(Kustomization, "app", ready=True, revision=commit)
    await toolkit.quiet(KUSTOMIZE)
    assert toolkit.calls(KUSTOMIZE) == Counter({"patch kustomizations/status": 1})


async def test_a_commit_to_another_directory_builds_nothing_and_costs_the_status_that_names_it(
    toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, built = toolkit.cluster, []

    async def template(ks: Kustomization, *given: Any, **options: Any) -> Template:
        built.append(ks.metadata.name)
        return await make(ks, *given, **options)

    make = build.template
    monkeypatch.setattr(build, "template", template)
    fleet = [f"app-{number}" for number in range(5)]
    cluster.repo.commit({f"{name}/a.yaml": files(config_map(name)) for name in fleet})
    await cluster.have(source("app"), *(kustomization(name, path=f"./{name}") for name in fleet))
    await toolkit.start()
    for name in fleet:
        await cluster.until(Kustomization, name, ready=True)
    await toolkit.quiet(KUSTOMIZE)
    toolkit.forget_calls()
    built.clear()
    commit = cluster.repo.commit({"app-0/a.yaml": files(config_map("app-0", {"colour": "red"})), "README.md": "new"})
    await cluster.follow()
    for name in fleet:
        await cluster.until(Kustomization, name, ready=True, revision=commit)
    await toolkit.quiet(KUSTOMIZE)
    assert built == ["app-0"]
    calls = toolkit.calls(KUSTOMIZE)
    assert applies(calls) == 1, calls
    assert on_itself(calls) == len(fleet), calls
    assert calls["create events"] == 1, calls
    assert sum(calls.values()) == 1 + len(fleet) + 1, calls


async def test_an_object_that_leaves_git_costs_its_deletion(toolkit: Toolkit) -> None:
    await applied(toolkit)
    left = [account("web"), service("web"), deployment("web")]
    commit = toolkit.cluster.repo.commit({"a.yaml": files(*left)})
    toolkit.forget_calls()
    await toolkit.cluster.follow()
    await toolkit.cluster.until(Kustomization, "app", ready=True, revision=commit)
    await toolkit.cluster.until_gone(ConfigMap, "settings")
    await toolkit.quiet(KUSTOMIZE)
    calls = toolkit.calls(KUSTOMIZE)
    assert calls["delete configmaps"] == 1, calls
    assert on_itself(calls) <= 2, calls
    assert sum(calls.values()) == 1 + on_itself(calls) + 1, calls


async def test_an_end_costs_the_deletions_the_finalizer_and_one_event(toolkit: Toolkit) -> None:
    await applied(toolkit)
    toolkit.forget_calls()
    await toolkit.cluster.delete(Kustomization, "app")
    await toolkit.cluster.until_gone(Kustomization, "app")
    await toolkit.quiet(KUSTOMIZE)
    calls = toolkit.calls(KUSTOMIZE)
    assert sum(count for call, count in calls.items() if call.startswith("delete ")) == 4, calls
    assert calls["create events"] == 1, calls
    assert on_itself(calls) == 1, calls
    assert sum(calls.values()) == 4 + 1 + 1, calls


async def test_the_end_of_all_that_a_tenant_has_asks_for_its_account_now_and_then(toolkit: Toolkit) -> None:
    """Again for those whose end became known only after it was asked for."""
    names = [f"app-{number}" for number in range(20)]
    where = toolkit.cluster.namespace
    await toolkit.cluster.have(account("tenant"), role("tenant", "configmaps"), binding("tenant", "tenant", where))
    toolkit.cluster.repo.commit({f"{name}/a.yaml": files(config_map(name)) for name in names})
    await toolkit.cluster.have(source("app"))
    await toolkit.start()
    of = {"source": "app", "service_account_name": "tenant"}
    await toolkit.cluster.have(*(kustomization(name, path=f"./{name}", **of) for name in names))
    for name in names:
        await toolkit.cluster.until(Kustomization, name, ready=True)
    await toolkit.stop("kustomize-controller")
    for name in names:
        await toolkit.cluster.delete(Kustomization, name)
    toolkit.forget_calls()
    await toolkit.start("kustomize-controller")
    for name in names:
        await toolkit.cluster.until_gone(Kustomization, name)
    calls = toolkit.calls(KUSTOMIZE)
    assert await toolkit.cluster.names(ConfigMap) == set()
    assert 1 <= calls["get serviceaccounts"] <= 10, calls


async def test_a_failure_costs_what_was_tried_and_one_status(toolkit: Toolkit) -> None:
    await applied(toolkit)
    toolkit.cluster.repo.commit({"a.yaml": files(*OBJECTS["four objects"]) + "---\nkind: Broken\n"})
    toolkit.forget_calls()
    await toolkit.cluster.follow()
    await toolkit.cluster.until(Kustomization, "app", ready=False, reason="BuildFailed")
    await toolkit.quiet(KUSTOMIZE)
    assert toolkit.calls(KUSTOMIZE) == Counter({"patch kustomizations/status": 1, "create events": 1})


async def test_a_suspended_one_costs_nothing_but_the_answer_to_a_request(toolkit: Toolkit) -> None:
    await applied(toolkit)
    await toolkit.cluster.edit(Kustomization, "app", {"spec": {"suspend": True}})
    await toolkit.quiet(KUSTOMIZE)
    toolkit.forget_calls()
    toolkit.cluster.repo.commit({"b.yaml": files(config_map("second"))})
    await toolkit.cluster.follow()
    await toolkit.cluster.edit(ConfigMap, "settings", {"data": {"colour": "red"}})
    await toolkit.quiet(KUSTOMIZE)
    assert toolkit.calls(KUSTOMIZE) == Counter()
    toolkit.forget_calls()
    token = await toolkit.cluster.request(Kustomization, "app")
    await toolkit.cluster.until(Kustomization, "app", handled=token)
    await toolkit.quiet(KUSTOMIZE)
    assert toolkit.calls(KUSTOMIZE) == Counter({"patch kustomizations/status": 1})


async def test_an_artifact_costs_two_writes_and_the_next_one_less(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    cluster.repo.commit({"a.yaml": files(config_map())})
    await toolkit.start("source-controller")
    await toolkit.asked(SOURCE, "list gitrepositories")
    await toolkit.quiet(SOURCE)
    toolkit.forget_calls()
    await cluster.have(source("app"))
    await cluster.until(GitRepository, "app", ready=True)
    await toolkit.quiet(SOURCE)
    first = toolkit.calls(SOURCE)
    assert sum(count for call, count in first.items() if "gitrepositories" in call) <= 2, first
    assert first["create events"] == 1, first
    assert set(first) <= {"patch gitrepositories", "patch gitrepositories/status", "create events"}, first
    commit = cluster.repo.commit({"a.yaml": files(config_map("other"))})
    toolkit.forget_calls()
    await cluster.follow()
    await cluster.until(GitRepository, "app", ready=True, revision=commit)
    await toolkit.quiet(SOURCE)
    assert toolkit.calls(SOURCE)["patch gitrepositories/status"] <= 2
    assert set(toolkit.calls(SOURCE)) <= {"patch gitrepositories/status", "create events", "patch events"}


async def test_a_source_at_rest_costs_no_write(toolkit: Toolkit) -> None:
    cluster = toolkit.cluster
    cluster.repo.commit({"a.yaml": files(config_map())})
    await toolkit.start("source-controller")
    await cluster.have(source("app", interval="1s"))
    await cluster.until(GitRepository, "app", ready=True)
    await toolkit.quiet(SOURCE, 1.5)
    toolkit.forget_calls()
    asked = len(cluster.git.requests)
    await toolkit.quiet(SOURCE, 2.5)
    assert len(cluster.git.requests) > asked
    assert toolkit.calls(SOURCE) == Counter()


async def test_drift_that_is_only_told_costs_one_read_and_one_status_and_then_nothing(toolkit: Toolkit) -> None:
    await applied(toolkit, drift_detection={"mode": "warn"})
    toolkit.forget_calls()
    await toolkit.cluster.edit(ConfigMap, "settings", {"data": {"colour": "red"}})
    await toolkit.cluster.until(
        Kustomization, "app", holds=lambda live: live.condition("Drifted").reason == "DriftDetected"
    )
    await toolkit.quiet(KUSTOMIZE)
    counted = {"get configmaps": 1, "patch kustomizations/status": 1, "create events": 1}
    assert toolkit.calls(KUSTOMIZE) == Counter(counted)
    toolkit.forget_calls()
    await toolkit.cluster.follow()
    await toolkit.quiet(KUSTOMIZE)
    assert toolkit.calls(KUSTOMIZE) == Counter()
