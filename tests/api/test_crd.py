"""The CRDs that are made from the types say what the contract says, and deploy/crds is what the types make."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from shared.api import crd
from shared.api.kinds import KINDS, find
from shared.api.meta import Part, Resource

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CRDS = ROOT / "deploy" / "crds"


def contract() -> dict[str, Any]:
    kinds: dict[str, Any] = {}
    for name in ("fields.json", "source_watcher.json"):
        kinds |= json.loads((HERE / "contract" / name).read_text(encoding="utf-8"))["kinds"]
    return kinds


CONTRACT = contract()


def flatten(schema: dict[str, Any], path: str = "", required: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each field's path and what the schema says of it, in the contract's form."""
    below = ("properties", "items", "additionalProperties", "description", "required")
    facts = {key: value for key, value in schema.items() if key not in below}
    if "additionalProperties" in schema:
        facts["additionalProperties"] = schema["additionalProperties"].get("type", "any")
    if path and not path.endswith(("[]", "{}")):
        facts["required"] = required
    yield path or ".", facts
    for name, field in schema.get("properties", {}).items():
        yield from flatten(field, f"{path}.{name}" if path else name, name in schema.get("required", []))
    if "items" in schema:
        yield from flatten(schema["items"], path + "[]")
    if "additionalProperties" in schema:
        yield from flatten(schema["additionalProperties"], path + "{}")


OWN: dict[str, tuple[str, ...]] = {"Kustomization": ("spec.driftDetection", "spec.prunePolicy", "status.drift")}
"""What our kinds have beyond the contract, with all below it."""


def comparable(facts: dict[str, Any]) -> dict[str, Any]:
    rules = facts.get("x-kubernetes-validations")
    return facts | {
        key: value
        for key, value in {
            "enum": sorted(facts["enum"]) if "enum" in facts else None,
            "x-kubernetes-validations": sorted((r["rule"], r["message"]) for r in rules) if rules else None,
        }.items()
        if value is not None
    }


def test_every_kind_of_the_contract_is_there_and_no_other() -> None:
    assert {(kind["group"], name) for name, kind in CONTRACT.items()} == {
        (cls.resource.group, cls.resource.kind) for cls in KINDS
    }


@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.__name__)
def test_every_field_has_the_contracts_name_type_default_and_limits(cls: type[Resource]) -> None:
    version = crd.definition(cls)["spec"]["versions"][0]
    wanted = CONTRACT[cls.__name__]["versions"][version["name"]]["fields"]
    found = dict(flatten(version["schema"]["openAPIV3Schema"]))
    ours = OWN.get(cls.__name__, ())
    assert set(ours) <= found.keys()
    found = {path: facts for path, facts in found.items() if not path.startswith(ours)}
    assert found.keys() == wanted.keys()
    assert {path: comparable(facts) for path, facts in found.items()} == {
        path: comparable(facts) for path, facts in wanted.items()
    }


@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.__name__)
def test_every_kind_has_the_contracts_names_columns_and_versions(cls: type[Resource]) -> None:
    wanted = CONTRACT[cls.__name__]
    definition = crd.definition(cls)
    names, spec = definition["spec"]["names"], definition["spec"]
    assert definition["metadata"]["name"] == wanted["crd"]
    assert definition["metadata"].get("annotations", {}) == wanted["annotations"]
    assert spec["group"] == wanted["group"]
    assert spec["scope"] == wanted["scope"]
    assert set(names["categories"]) == set(wanted["categories"])
    assert set(names.get("shortNames", [])) == set(wanted["shortNames"])
    assert {key: names[key] for key in ("kind", "listKind", "plural", "singular")} == {
        key: wanted[key] for key in ("kind", "listKind", "plural", "singular")
    }
    assert [version["name"] for version in spec["versions"]] == list(wanted["versions"])
    for version in spec["versions"]:
        facts = wanted["versions"][version["name"]]
        assert version["additionalPrinterColumns"] == facts["printerColumns"]
        assert sorted(version.get("subresources", {})) == facts["subresources"]
        assert (version["served"], version["storage"]) == (facts["served"], facts["storage"])
        assert version.get("deprecated", False) == facts["deprecated"]


def test_the_files_in_deploy_are_what_the_types_make() -> None:
    assert crd.main(["--check", str(CRDS)]) == 0, "run python -m shared.api.crd deploy/crds"


def test_check_finds_a_stale_a_missing_and_a_foreign_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crds = tmp_path / "crds"
    assert crd.main([str(crds)]) == 0
    assert crd.main(["--check", str(crds)]) == 0
    stale, missing, *_ = sorted(crds.iterdir())
    stale.write_text(stale.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    missing.unlink()
    (crds / "foreign.yaml").write_text("{}", encoding="utf-8")
    assert crd.main(["--check", str(crds)]) == 1
    said = capsys.readouterr().err
    assert [name in said for name in (stale.name, missing.name, "foreign.yaml")] == [True, True, True]
    assert crd.main([str(crds)]) == 0
    assert {path.name: path.read_text(encoding="utf-8") for path in crds.iterdir()} == crd.files()


@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.__name__)
def test_yaml_reads_a_file_as_the_definition_it_was_made_from(cls: type[Resource]) -> None:
    definition = crd.definition(cls)
    assert yaml.safe_load(crd.render(definition)) == definition


@pytest.mark.parametrize(
    "value",
    ["", "true", "No", "~", "1", "1m", "a: b", "- a", "#", "é \u2028", 'say "x"', "C:\\n", "a\nb", "^.*$", 1, -1, True],
)
def test_yaml_reads_every_scalar_back(value: Any) -> None:
    manifest = {"a": value, "b": [value, {"c": value, "d": [value]}], "e": {}, "f": []}
    assert yaml.safe_load(crd.render(manifest)) == manifest


@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.__name__)
def test_every_field_has_a_description(cls: type[Resource]) -> None:
    schema = crd.definition(cls)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    bare = [path for path, described in _described(schema) if not described]
    assert bare == ["metadata"]  # the API server describes it itself


def _described(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, bool]]:
    for name, field in schema.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        yield where, bool(field.get("description"))
        yield from _described(field, where)
        for below in (field.get("items"), field.get("additionalProperties")):
            if below:
                yield from _described(below, where)


def test_a_default_that_python_has_is_the_one_that_the_api_server_fills_in() -> None:
    def check(cls: type[Part], schema: dict[str, Any]) -> None:
        for field in msgspec.structs.fields(cls):
            wire = schema["properties"].get(field.encode_name, {})
            if "default" in wire and not isinstance(wire["default"], dict):
                default = field.default
                if field.default_factory is not msgspec.NODEFAULT:
                    default = field.default_factory()
                assert default == wire["default"], f"{cls.__name__}.{field.name}"

    for cls in KINDS:
        schema = crd.definition(cls)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        check(cls.__annotations__ and _spec(cls), schema["properties"]["spec"])


def _spec(cls: type[Resource]) -> type[Part]:
    import typing

    return typing.cast(type[Part], typing.get_type_hints(cls)["spec"])


def test_a_kind_is_found_by_group_and_name() -> None:
    for cls in KINDS:
        assert find(cls.resource.group, cls.resource.kind) is cls
    assert find("kustomize.config.k8s.io", "Kustomization") is None
