"""Of two states of an object the newer stays, whichever way it came."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.api.kustomize import Kustomization
from shared.loop.known import Known


def state(version: int, uid: str = "1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": Kustomization.resource.api_version,
        "kind": "Kustomization",
        "metadata": {"name": "app", "namespace": "team", "uid": uid, "resourceVersion": str(version)},
        "spec": {"interval": "1h", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "repo"}, **spec},
    }


@pytest.fixture
def changes():
    return []


@pytest.fixture
def known(changes):
    def changed(kind: str, old: Any, new: Any) -> None:
        changes.append(new and new.metadata.resource_version)

    made = Known(None, changed)  # type: ignore[arg-type]
    made.add(Kustomization)
    return made


def take(known: Known, manifest: Any) -> str:
    return known.take(json.dumps(manifest).encode())


def test_a_change_of_a_known_object_is_taken_in_and_told_once(known, changes):
    known.deliver(Kustomization.resource, None, state(5))
    assert take(known, state(7, path="./new")) == "7"
    assert take(known, state(7, path="./new")) == "7"  # the echo of our own write
    assert take(known, state(6)) == "6"
    known.deliver(Kustomization.resource, "MODIFIED", state(6))  # kopf was slower
    assert changes == ["5", "7"]
    assert known.of("Kustomization").get("team", "app").spec.path == "./new"


def test_a_new_object_is_taken_in(known, changes):
    assert take(known, state(7)) == "7"
    assert changes == ["7"]


def test_what_is_gone_does_not_come_back_with_a_late_state(known, changes):
    assert take(known, state(5)) == "5"
    known.drop("Kustomization", "team", "app", "1")
    assert take(known, state(4)) == "4"
    assert len(known.of("Kustomization")) == 0
    assert changes == ["5", None]


@pytest.mark.parametrize(
    "manifest",
    [
        state(7, uid="2"),  # another object of that name: kopf tells first that the one that is known was deleted
        {**state(7), "kind": "GitRepository"},
        {"metadata": {}},
        state(7, interval=1),  # which must be said of it
        [],
    ],
)
def test_what_cannot_be_taken_in_must_be_delivered(known, changes, manifest):
    known.deliver(Kustomization.resource, None, state(5))
    assert take(known, manifest) == ""
    assert changes == ["5"]


def test_a_state_that_cannot_be_read_must_be_delivered(known):
    assert known.take(b"{") == ""
