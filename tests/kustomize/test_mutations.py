"""A sample of the hostile inputs of tests/kustomize/mutations.py; all of them are built by that command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kustomize.mutations import TREES, mutated, run

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("first", range(0, 600, 100))
def test_a_broken_input_ends_in_a_result_or_a_build_error(first: int) -> None:
    """In a process of its own: how large ours is says what other tests took of it."""
    command = [sys.executable, "-m", "tests.kustomize.mutations", "100", "--seed=7", f"--first={first}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert re.fullmatch(r"100 inputs: .*; 0 wrong\n", done.stdout)


def test_the_inputs_can_be_built_before_they_are_broken() -> None:
    assert [run(files, ".", {}) for files in TREES] == [("built", "")] * len(TREES)


def test_a_number_always_gives_the_same_input() -> None:
    assert mutated(42, 1) == mutated(42, 1)
    assert mutated(42, 1) != mutated(42, 2)


@pytest.mark.parametrize(
    "patch",
    [
        "replacements: [{source: {kind: ConfigMap, fieldPath: data.99}, targets: [{select: {}}]}]",
        'patches: [{target: {kind: ConfigMap}, patch: \'[{"op": "add", "path": "/list/99", "value": 1}]\'}]',
        "vars: [{name: A, objref: {kind: ConfigMap, name: c, apiVersion: v1}, fieldref: {fieldpath: 'list[99]'}}]",
        'patches: [{target: {labelSelector: \'a>99\'}, patch: \'[{"op": "remove", "path": "/list"}]\'}]',
    ],
)
def test_an_index_with_more_digits_than_a_number_may_have_is_no_crash(patch: str) -> None:
    files = {
        "kustomization.yaml": "resources: [c.yaml]\n" + patch.replace("99", "9" * 10_000),
        "c.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, labels: {a: '1'}}, list: [1]}",
    }
    assert run(files, "/", {}) == ("refused", "")
