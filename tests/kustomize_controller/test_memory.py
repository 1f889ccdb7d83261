"""What is remembered of the last build, and when it counts."""

from __future__ import annotations

import pytest

from kustomize_controller import memory
from kustomize_controller.build import Built
from kustomize_controller.sources import Source
from shared.api.meta import Artifact
from shared.loop.kinds import Ref
from tests.kustomize_controller.test_build import kustomization


def source(digest: str = "sha256:1", revision: str = "main@sha1:1") -> Source:
    artifact = Artifact(path="", url="", revision=revision, digest=digest, last_update_time="")
    return Source("GitRepository", Ref("team", "repo"), artifact)


def test_the_same_inputs_bring_back_the_same_objects():
    kept, ks = memory.Memory(), kustomization()
    given = memory.inputs(ks, source(), {"a": "1"})
    kept.keep(ks, given, Built.of([{"kind": "ConfigMap", "metadata": {"name": "x"}}]))
    again = kept.recall(kustomization(), memory.inputs(kustomization(), source(revision="main@sha1:2"), {"a": "1"}))
    assert again is not None
    assert again.manifests == [{"kind": "ConfigMap", "metadata": {"name": "x"}}]
    kept.forget(ks)
    assert kept.recall(ks, given) is None


def test_another_artifact_spec_or_variable_is_built_anew():
    base = memory.inputs(kustomization(), source(), {"a": "1"})
    others = [
        memory.inputs(kustomization(), source("sha256:2"), {"a": "1"}),
        memory.inputs(kustomization(path="./other"), source(), {"a": "1"}),
        memory.inputs(kustomization(), source(), {"a": "2"}),
        memory.inputs(kustomization(), source(), None),
    ]
    assert base not in others
    assert len(set(others)) == len(others)


def test_what_came_from_elsewhere_counts_for_half_an_interval_and_until_asked(monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    monkeypatch.setattr(memory.time, "monotonic", lambda: now)
    kept, ks = memory.Memory(), kustomization(interval="10m")
    given = memory.inputs(ks, source(), None)
    kept.keep(ks, given, Built.of([{"kind": "ConfigMap"}], is_remote=True))
    now += 299
    assert kept.recall(ks, given) is not None  # a drift wakes it: nothing is fetched
    assert kept.recall(ks, given, asked=True) is None
    now += 2
    assert kept.recall(ks, given) is None
    kept.keep(ks, given, Built.of([{"kind": "ConfigMap"}]))
    now += 10_000
    assert kept.recall(ks, given, asked=True) is not None
