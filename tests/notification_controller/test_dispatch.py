"""From an event that a controller posts to what people are told: by the whole controller, on an embedded API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.hooks import Hooks, Reply
from tests.notification_controller.telling import SOURCES, Telling, messages, until


@pytest.fixture
async def world(api: Any, tmp_path: Path) -> AsyncIterator[Telling]:
    made = Telling(api, tmp_path)
    await made.install()
    yield made
    await made.close()


@pytest.fixture
async def telling(world: Telling) -> Telling:
    await world.start()
    return world


@pytest.fixture
def hooks() -> Iterator[Hooks]:
    with Hooks() as made:
        yield made


# Who is told


async def test_each_alert_that_wants_an_event_tells_its_provider(telling: Telling, hooks: Hooks) -> None:
    await telling.provider(address=f"{hooks.url}/a")
    await telling.provider("other", f"{hooks.url}/b")
    await telling.alert(eventMetadata={"cluster": "prod"})
    await telling.alert("errors", "other", eventSeverity="error")
    await telling.alert("paused", suspend=True)
    await telling.known()
    await telling.happens("fine")
    await telling.fails("broken")
    await until(lambda: len(hooks.requests) == 3)
    told = [(received.target, received.json["message"], received.json.get("metadata")) for received in hooks.requests]
    assert sorted(told) == [
        ("/a", "broken", {"cluster": "prod"}),
        ("/a", "fine", {"cluster": "prod"}),
        ("/b", "broken", None),
    ]


async def test_a_repeat_is_refused_and_a_later_one_is_not(telling: Telling, hooks: Hooks) -> None:
    await telling.provider(address=hooks.url)
    await telling.alert()
    await telling.known()
    key = {"kustomize.toolkit.fluxcd.io/token": "same"}
    await telling.happens("once", metadata=key)
    await telling.happens("once", metadata=key, status=429)
    await telling.happens("once more", metadata=key)
    await until(lambda: len(hooks.requests) == 2)
    assert messages(hooks) == ["once", "once more"]


async def test_what_is_wrong_with_one_alert_keeps_no_other_from_being_served(telling: Telling, hooks: Hooks) -> None:
    await telling.provider(address=hooks.url)
    await telling.alert("a-orphan", "nobody")
    await telling.alert("b-broken", exclusionList=["(unclosed"])
    await telling.alert("c-good")
    await telling.known()
    await telling.fails("broken")
    await until(lambda: len(hooks.requests) == 2)
    orphan = await telling.warning("failed to read provider", "a-orphan")
    assert orphan["reason"] == "NotificationDispatchFailed"
    assert orphan["message"].startswith("failed to dispatch notification for Kustomization/default/app: ")
    assert (await telling.warning("failed to compile exclusion regex: (unclosed", "b-broken"))[
        "reason"
    ] == "InvalidConfig"


async def test_the_same_trouble_is_told_once_however_many_events_meet_it(telling: Telling) -> None:
    await telling.alert(provider="nobody")
    await telling.known()
    for number in range(20):
        await telling.fails(f"failure {number}")
    await telling.warning("failed to read provider")
    found = [
        one for one in await telling.kube.list("v1", "Event", telling.namespace) if "read provider" in one["message"]
    ]
    assert [one.get("count", 1) for one in found] == [1]


async def test_objects_of_other_namespaces_are_refused_where_that_is_forbidden(world: Telling, hooks: Hooks) -> None:
    await world.start("--no-cross-namespace-refs")
    await world.provider(address=hooks.url)
    await world.alert(
        eventSources=[
            {"kind": "Kustomization", "name": "*", "namespace": "elsewhere"},
            {"kind": "Kustomization", "name": "*"},
        ]
    )
    await world.known()
    await world.happens("not ours", namespace="elsewhere")
    await world.happens("ours")
    await until(lambda: hooks.requests)
    warning = await world.warning("access denied to cross-namespace sources")
    assert "alert 'default/alert' can't process event from 'Kustomization/elsewhere/app'" in warning["message"]
    assert messages(hooks) == ["ours"]


async def test_metadata_that_two_places_set_is_told_on_the_alert(telling: Telling, hooks: Hooks) -> None:
    await telling.provider(address=hooks.url)
    await telling.alert(eventMetadata={"revision": "mine"})
    await telling.known()
    await telling.happens("fine", metadata={"kustomize.toolkit.fluxcd.io/revision": "theirs"})
    warning = await telling.warning("metadata key conflicts detected")
    assert warning["reason"] == "MetadataAppendFailed"
    assert warning["metadata"]["annotations"] == {
        "revision": "Alert object .spec.eventMetadata, involved object controller metadata"
    }
    await until(lambda: hooks.requests)
    assert hooks.requests[0].json["metadata"] == {"revision": "theirs"}


async def test_a_suspended_provider_is_told_nothing(telling: Telling, hooks: Hooks) -> None:
    await telling.provider(address=hooks.url, suspend=True)
    await telling.alert()
    await telling.known()
    await telling.happens("while suspended")
    await telling.provider(address=hooks.url, suspend=False)
    await telling.known()
    await telling.happens("after")
    await until(lambda: hooks.requests)
    assert messages(hooks) == ["after"]


async def test_an_identity_needs_its_gate(telling: Telling) -> None:
    await telling.provider(type_="googlepubsub", address="project", channel="topic", serviceAccountName="sender")
    await telling.alert()
    await telling.known()
    await telling.happens("fine")
    warning = await telling.warning("enable the ObjectLevelWorkloadIdentity feature gate")
    assert warning["reason"] == "NotificationDispatchFailed"


# Labels, which only the API knows


async def labelled(telling: Telling, hooks: Hooks, **labels: str) -> None:
    await telling.provider(address=hooks.url)
    await telling.alert(eventSources=[{"kind": "GitRepository", "name": "*", "matchLabels": {"team": "blue"}}])
    await telling.known()
    if labels:
        metadata = {"name": "app", "namespace": telling.namespace, "labels": labels}
        spec = {"url": "https://example.com/x", "interval": "1h"}
        await telling.kube.apply(
            {"apiVersion": SOURCES, "kind": "GitRepository", "metadata": metadata, "spec": spec}, field_manager="test"
        )


async def test_labels_are_those_that_the_object_has_now(telling: Telling, hooks: Hooks) -> None:
    await labelled(telling, hooks, team="blue")
    await telling.happens("blue", kind="GitRepository")
    await until(lambda: hooks.requests)
    patch = {"metadata": {"labels": {"team": "red"}}}
    await telling.kube.patch(SOURCES, "GitRepository", "app", telling.namespace, patch)
    await telling.happens("red", kind="GitRepository")
    assert messages(hooks) == ["blue"]


async def test_an_object_that_is_gone_has_no_labels_which_is_told(telling: Telling, hooks: Hooks) -> None:
    await labelled(telling, hooks)
    await telling.happens("of what is gone", kind="GitRepository")
    warning = await telling.warning("error getting source object GitRepository/default/app")
    assert warning["reason"] == "SourceFetchFailed"
    assert hooks.requests == []


async def test_an_api_that_fails_loses_no_event(telling: Telling, hooks: Hooks) -> None:
    """The sender is told to come again, and what it posts then is no repeat."""
    await labelled(telling, hooks, team="blue")
    token = {"source.toolkit.fluxcd.io/token": "same"}
    telling.api.faults.fail(verb="get", resource="gitrepositories")
    await telling.happens("blue", kind="GitRepository", metadata=token, status=503)
    await telling.happens("blue", kind="GitRepository", metadata=token)
    await until(lambda: hooks.requests)
    assert messages(hooks) == ["blue"]


# Services that are away


async def test_a_dead_service_delays_no_other(telling: Telling, hooks: Hooks) -> None:
    with Hooks() as dead:
        dead.answers = [Reply(silent=True)]
        await telling.provider("dead", dead.url, timeout="60s")
        await telling.alert("dead", "dead")
        await telling.provider(address=hooks.url)
        await telling.alert()
        await telling.known()
        for number in range(50):
            await telling.happens(str(number))
        await until(lambda: len(hooks.requests) == 50)
        assert messages(hooks) == [str(number) for number in range(50)]
        assert len(dead.requests) == 1


async def test_an_edited_provider_gets_what_waits_for_it(telling: Telling, hooks: Hooks) -> None:
    with Hooks() as gone:
        address = gone.url
    await telling.provider(address=address)
    await telling.alert()
    await telling.known()
    await telling.happens("one")
    await telling.happens("two")
    await telling.warning("connection refused")
    await telling.provider(address=hooks.url)
    await until(lambda: len(hooks.requests) == 2)
    assert messages(hooks) == ["one", "two"]


async def test_what_was_accepted_survives_a_kill(world: Telling, hooks: Hooks) -> None:
    await world.provider(address=hooks.url)
    await world.alert()
    await world.spawn()
    await world.known()
    hooks.answers = [Reply(503)]
    wanted = [str(number) for number in range(100)]
    for text in wanted:
        await world.happens(text)
    await until(lambda: hooks.requests)
    world.kill()
    hooks.answers, hooks.requests = [Reply()], []
    await world.spawn()
    await until(lambda: len(hooks.requests) == len(wanted))
    assert messages(hooks) == wanted


# Several replicas

ELECTION = ("--enable-leader-election", "--leader-election-retry-period=50ms")


async def test_each_replica_takes_events(world: Telling, api: Any, tmp_path: Path, hooks: Hooks) -> None:
    await world.provider(address=hooks.url)
    await world.alert()
    await world.start(*ELECTION)
    other = Telling(api, tmp_path / "other")
    try:
        await other.start(*ELECTION)
        await world.known()
        await other.known()
        await world.happens("to the one")
        await other.happens("to the other")
        await until(lambda: len(hooks.requests) == 2)
        assert sorted(messages(hooks)) == ["to the one", "to the other"]
    finally:
        await other.close()


async def test_who_finds_the_directory_in_use_takes_over_what_waits_there(
    world: Telling, api: Any, tmp_path: Path, hooks: Hooks
) -> None:
    hooks.answers = [Reply(503)]
    await world.provider(address=hooks.url)
    await world.alert()
    await world.start(*ELECTION)
    await world.known()
    await world.happens("waits")
    await until(lambda: hooks.requests)
    next_ = Telling(api, tmp_path / "next")
    next_.storage = world.storage
    try:
        await next_.start(*ELECTION, answers=503)
        hooks.requests.clear()
        await world.stop()
        hooks.answers = [Reply()]
        await until(lambda: "waits" in messages(hooks))
        await next_.happens("is told by the next")
        await until(lambda: "is told by the next" in messages(hooks))
    finally:
        await next_.close()


# Less noise


async def test_only_transitions_are_told(telling: Telling, hooks: Hooks) -> None:
    await telling.provider(address=hooks.url)
    await telling.alert(quiet={"transitions": "true"})
    await telling.known()
    for text in ("breaks", "still broken", "broken as before"):
        await telling.fails(text)
    await telling.fails("broken otherwise", reason="HealthCheckFailed")
    for text in ("is well again", "is still well"):
        await telling.happens(text)
    await telling.fails("breaks again")
    await until(lambda: len(hooks.requests) == 4)
    assert messages(hooks) == ["breaks", "broken otherwise", "is well again", "breaks again"]


async def test_a_failure_that_passes_is_not_told_and_one_that_stays_is(telling: Telling, hooks: Hooks) -> None:
    await telling.provider(address=hooks.url)
    await telling.alert(quiet={"delay": "1s"})
    await telling.known()
    await telling.fails("passes", "flaky")
    await telling.fails("stays", "broken")
    await telling.fails("stays, in other words", "broken")
    await telling.happens("is well again", "flaky")
    await until(lambda: "stays, in other words" in messages(hooks))
    assert "passes" not in messages(hooks)
    assert "stays" not in messages(hooks)


async def test_the_end_of_a_failure_is_told_to_those_who_were_told_of_it(telling: Telling, hooks: Hooks) -> None:
    await telling.provider(address=hooks.url)
    await telling.alert(eventSeverity="error", quiet={"recovery": "true"})
    await telling.known()
    await telling.happens("was never broken", "other")
    await telling.fails("breaks")
    await telling.happens("is well again")
    await telling.happens("is still well")
    await telling.fails("ends the test", "other")
    await until(lambda: len(hooks.requests) == 3)
    assert messages(hooks) == ["breaks", "is well again", "ends the test"]
    assert hooks.requests[1].json["metadata"]["recovered"].startswith("after ")


async def test_many_failures_of_one_cause_are_one_message(telling: Telling, hooks: Hooks) -> None:
    await telling.provider(address=hooks.url)
    await telling.alert(quiet={"group": "1s"})
    await telling.known()
    for number in range(7):
        await telling.fails(f"can't reach the registry for app-{number}", f"app-{number}", reason="ArtifactFailed")
    await telling.fails("is a mistake of its own", "other")
    await until(lambda: len(hooks.requests) == 2)
    together = next(text for text in messages(hooks) if text.startswith("7 objects: can't reach the registry"))
    assert together.splitlines()[1:] == [f"Kustomization/default/app-{number}" for number in range(7)]
    assert "is a mistake of its own" in messages(hooks)


async def test_what_is_held_is_told_after_a_kill(world: Telling, hooks: Hooks) -> None:
    await world.provider(address=hooks.url)
    await world.alert(eventSeverity="error", quiet={"delay": "5s"})
    await world.spawn()
    await world.known()
    await world.fails("stays")
    await world.fails("passes", "flaky")
    await world.happens("is well again", "flaky")
    world.kill()
    assert hooks.requests == []
    await world.spawn()
    await until(lambda: hooks.requests)
    assert messages(hooks) == ["stays"]


async def test_an_alert_that_asks_for_less_no_more_is_told_as_before(telling: Telling, hooks: Hooks) -> None:
    await telling.provider(address=hooks.url)
    await telling.alert(quiet={"transitions": "true"})
    await telling.known()
    await telling.fails("breaks")
    await telling.fails("is still broken")
    await telling.alert(quiet={})
    await telling.known()
    await telling.fails("is broken as before")
    await until(lambda: len(hooks.requests) == 2)
    assert messages(hooks) == ["breaks", "is broken as before"]


async def test_an_annotation_that_says_nothing_is_told_and_ignored(telling: Telling, hooks: Hooks) -> None:
    await telling.provider(address=hooks.url)
    await telling.alert(quiet={"delay": "soon"})
    await telling.known()
    await telling.fails("breaks")
    await until(lambda: hooks.requests)
    assert (await telling.warning("notification.fluvial.dev/delay is ignored"))["reason"] == "InvalidConfig"
