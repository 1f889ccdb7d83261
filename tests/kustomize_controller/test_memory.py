"""What is remembered of the last build, and when it counts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from kustomize_controller import light, memory
from kustomize_controller.build import Built
from kustomize_controller.templates import Template
from shared.api.kustomize import Kustomization
from shared.kustomize import MemoryTree, Survey, Trace
from tests.kustomize_controller.test_build import kustomization

OBJECTS = [{"kind": "ConfigMap", "metadata": {"name": "x"}}]
FILES = {"app/a.yaml": "one", "other/b.yaml": "two"}
PLACES = [f"app/{number}.yaml:1" for number in range(len(OBJECTS))]


def template(files: Mapping[str, str] = FILES, **of: Any) -> Template:
    """One whose build has read app/a.yaml."""
    tree = Trace(Survey(MemoryTree(files)))
    tree.read("/app/a.yaml")
    return Template(OBJECTS, PLACES, tree.footprint(), **of)


def remembering(ks: Kustomization, artifact: str = "sha256:1", **of: Any) -> tuple[memory.Memory, bytes]:
    """A memory of one build, and the inputs of it."""
    kept, given = memory.Memory(), memory.inputs(ks, {"a": "1"})
    kept.keep(ks, given, artifact, template(**of), Built.of(OBJECTS, PLACES))
    return kept, given


def test_the_same_inputs_bring_back_the_same_objects():
    ks = kustomization()
    kept, given = remembering(ks)
    again = kept.recall(kustomization(), memory.inputs(kustomization(), {"a": "1"}), "sha256:1")
    assert again is not None
    assert again.manifests == OBJECTS
    kept.forget(ks)
    assert kept.recall(ks, given, "sha256:1") is None


def test_another_artifact_spec_variable_or_key_is_looked_at_anew():
    base = memory.inputs(kustomization(), {"a": "1"})
    others = [
        memory.inputs(kustomization(path="./other"), {"a": "1"}),
        memory.inputs(kustomization(), {"a": "2"}),
        memory.inputs(kustomization(), None),
        memory.inputs(kustomization(), {"a": "1"}, "a key"),
    ]
    assert base not in others
    assert len(set(others)) == len(others)
    kept, given = remembering(kustomization())
    assert kept.recall(kustomization(), given, "sha256:2") is None


async def test_an_artifact_that_differs_elsewhere_brings_back_the_same_objects():
    ks = kustomization()
    kept, given = remembering(ks)
    moved = Survey(MemoryTree({**FILES, "other/b.yaml": "changed", "new.yaml": "new"}))
    again = await kept.recall_unmoved(ks, given, "sha256:2", moved)
    assert again is not None
    assert again.manifests == OBJECTS
    assert kept.recall(ks, given, "sha256:2") is not None  # from now on without a look at any file
    assert kept.recall(ks, given, "sha256:1") is None


async def test_an_artifact_of_large_files_is_compared_without_keeping_others_waiting():
    ks = kustomization()
    large = {**FILES, "app/a.yaml": "#" * (light.BYTES + 1)}
    kept, given = memory.Memory(), memory.inputs(ks, None)
    kept.keep(ks, given, "sha256:1", template(large), Built.of(OBJECTS, PLACES))
    asked_by: list[threading.Thread] = []

    class Files(MemoryTree):
        def read(self, path: str) -> bytes:
            asked_by.append(threading.current_thread())
            return super().read(path)

    assert await kept.recall_unmoved(ks, given, "sha256:2", Survey(Files(large))) is not None
    assert asked_by
    assert threading.main_thread() not in asked_by


async def test_an_artifact_that_differs_in_what_was_read_or_with_other_inputs_is_built():
    ks = kustomization()
    kept, given = remembering(ks)
    changed = Survey(MemoryTree({**FILES, "app/a.yaml": "changed"}))
    assert await kept.recall_unmoved(ks, given, "sha256:2", changed) is None
    assert await kept.recall_unmoved(ks, memory.inputs(ks, {"a": "2"}), "sha256:2", Survey(MemoryTree(FILES))) is None
    assert kept.recall(ks, given, "sha256:1") is not None


async def test_what_came_from_elsewhere_is_built_for_every_artifact():
    ks = kustomization()
    kept, given = remembering(ks, is_remote=True)
    assert await kept.recall_unmoved(ks, given, "sha256:2", Survey(MemoryTree(FILES))) is None


def test_what_came_from_elsewhere_counts_for_half_an_interval_and_until_asked(monkeypatch: pytest.MonkeyPatch):
    now = 1000.0
    monkeypatch.setattr(memory.time, "monotonic", lambda: now)
    ks = kustomization(interval="10m")
    kept, given = remembering(ks, is_remote=True)
    now += 299
    assert kept.recall(ks, given, "sha256:1") is not None  # a drift wakes it: nothing is fetched
    assert kept.recall(ks, given, "sha256:1", asked=True) is None
    now += 2
    assert kept.recall(ks, given, "sha256:1") is None
    kept, given = remembering(ks)
    now += 10_000
    assert kept.recall(ks, given, "sha256:1", asked=True) is not None
