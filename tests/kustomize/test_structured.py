"""YAML and JSON that are the text of a field: a replacement changes a value in it and leaves its style alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared import kustomize
from shared.text import yaml

CASES: list[dict[str, Any]] = yaml.load((Path(__file__).parent / "rewritten.yaml").read_text())


def replaced(text: str, path: str, value: str) -> str:
    """What a replacement makes of a ConfigMap's text."""
    metadata = {"apiVersion": "v1", "kind": "ConfigMap"}
    target = {"select": {"name": "target"}, "fieldPaths": [f"data.text.{path}"]}
    files = {
        "source.yaml": yaml.dump({**metadata, "metadata": {"name": "source"}, "data": {"value": value}}),
        "target.yaml": yaml.dump({**metadata, "metadata": {"name": "target"}, "data": {"text": text}}),
        "kustomization.yaml": yaml.dump(
            {
                "resources": ["source.yaml", "target.yaml"],
                "replacements": [
                    {
                        "source": {"kind": "ConfigMap", "name": "source", "fieldPath": "data.value"},
                        "targets": [target],
                    }
                ],
            }
        ),
    }
    built = kustomize.build(kustomize.MemoryTree(files)).values
    return str(next(item["data"]["text"] for item in built if item["metadata"]["name"] == "target"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_text_keeps_its_style_when_a_value_in_it_is_replaced(case: dict[str, Any]):
    assert replaced(case["text"], case["path"], case["value"]) == case["written"]


UNFOLDED = [case for case in CASES if ": >" not in case["text"]]  # kustomize adds blank lines to folded blocks


@pytest.mark.parametrize("case", UNFOLDED, ids=[case["name"] for case in UNFOLDED])
def test_only_the_value_changes(case: dict[str, Any]):
    before = yaml.load(case["text"], rules=yaml.KYAML)
    after = yaml.load(replaced(case["text"], case["path"], case["value"]), rules=yaml.KYAML)
    *steps, last = (int(step) if step.isdigit() else step for step in case["path"].split("."))
    for whole in (before, after):
        at = whole
        for step in steps:
            at = at[step]
        at[last] = None
    assert after == before


def test_a_comment_behind_the_last_value_stays_there():
    assert replaced("z: old # why\n", "z", "new") == "z: new # why"
    assert replaced("a: [x] # why\nz: old# no comment\n\n", "z", "new") == "a: [x] # why\nz: new"


def test_json_stays_json_with_its_indentation():
    assert replaced('{"b":{"c":1},"a":"x"}', "a", "new") == '{"a":"new","b":{"c":1}}'
    indented = json.dumps({"a": "x", "b": [1]}, indent=4)
    assert replaced(indented, "a", "new") == '{\n  "a": "new",\n  "b": [\n    1\n  ]\n}'
