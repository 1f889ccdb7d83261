"""What YAML documents mean, and how values are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.text import yaml

SHARED = Path(__file__).parents[2].parent / "shared"
VECTORS = SHARED / "contract" / "yaml_vectors.json"
CASES = SHARED / "kustomize" / "cases"


def as_json_carries_it(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_json_carries_it(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json_carries_it(item) for item in value]
    if isinstance(value, int) and value > 2**64 - 1:
        return float(value)
    return value


@pytest.mark.skipif(not VECTORS.exists(), reason="the contract is not beside the repository")
def test_every_document_of_the_contract_means_what_go_makes_of_it():
    wrong = []
    for case in json.loads(VECTORS.read_text())["cases"]:
        try:
            found = json.dumps(yaml.load(case["yaml"]), sort_keys=True)
        except yaml.YAMLError:
            found = "error"
        wanted = "error" if "error" in case else json.dumps(as_json_carries_it(case["json"]), sort_keys=True)
        if found != wanted:
            wrong.append((case["yaml"], wanted, found))
    assert wrong == []


@pytest.mark.skipif(not CASES.exists(), reason="the kustomize cases are not beside the repository")
def test_what_kustomize_printed_is_printed_again_byte_for_byte():
    texts = [json.loads(path.read_text())["expected"].get("yaml") for path in sorted(CASES.glob("*.json"))]
    texts = [text for text in texts if text]
    assert len(texts) > 500
    assert [text for text in texts if yaml.dump_all(yaml.load_all(text)) != text] == []
