"""The built-in kinds of Kubernetes: which there are, and the schema of each, read from data/ when asked for.

One file holds one Go package; a kind loads its own package and those it refers to, so a ConfigMap costs a fraction of a
Deployment. What was read stays; nothing here changes afterwards.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from shared.schema.node import Schema

REFERENCE = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Subresource:
    """A resource's subresource, such as scale: the kind its body has, and its verbs."""

    group: str
    version: str
    kind: str
    verbs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """One built-in resource as discovery lists it; group is "" for core."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    verbs: tuple[str, ...]
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    storage_version_hash: str = ""
    subresources: Mapping[str, Subresource] = field(default_factory=dict)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


def _read(name: str) -> Any:
    return json.loads(gzip.decompress(files("shared.schema.data").joinpath(f"{name}.json.gz").read_bytes()))


@cache
def _index() -> dict[str, Any]:
    index: dict[str, Any] = _read("resources")
    return index


@cache
def _package(name: str) -> dict[str, Any]:
    package: dict[str, Any] = _read(name)
    return package


@cache
def _descriptions() -> dict[str, dict[str, str]]:
    texts: dict[str, dict[str, str]] = _read("descriptions")
    return texts


@cache
def schema(type_name: str) -> Schema:
    """The schema of a type by its full name, such as io.k8s.api.core.v1.PodSpec. LookupError when there is none."""
    raw = _package(type_name.rpartition(".")[0]).get(type_name)
    if raw is None:
        raise LookupError(f"there is no built-in type {type_name}")
    return Schema(raw, schema, type_name)


@cache
def lookup(api_version: str, kind: str) -> Schema | None:
    """The schema of a built-in kind ("apps/v1", "Deployment"), or None when it is not one."""
    type_name = _index()["kinds"].get(f"{api_version}/{kind}")
    return schema(type_name) if type_name else None


@cache
def resources() -> tuple[BuiltIn, ...]:
    """All built-in resources, by group, version and plural."""
    return tuple(
        BuiltIn(
            group=one["group"],
            version=one["version"],
            kind=one["kind"],
            plural=one["plural"],
            singular=one["singular"],
            namespaced=one["namespaced"],
            verbs=tuple(one["verbs"]),
            short_names=tuple(one["shortNames"]),
            categories=tuple(one["categories"]),
            storage_version_hash=one["storageVersionHash"],
            subresources={
                name: Subresource(sub["group"], sub["version"], sub["kind"], tuple(sub["verbs"]))
                for name, sub in one["subresources"].items()
            },
        )
        for one in _index()["resources"]
    )


def release() -> str:
    """The Kubernetes release that the data is of, such as "v1.36.3"."""
    text: str = _index()["release"]
    return text


def description(type_name: str, field_name: str = "") -> str:
    """The documentation of a built-in type or of one of its fields; "" when there is none."""
    return _descriptions().get(type_name, {}).get(field_name, "")


def definitions(api_version: str) -> dict[str, dict[str, Any]]:
    """The OpenAPI v3 `components.schemas` of a built-in group version: its kinds and all they refer to, with texts."""
    prefix = f"{api_version}/"
    wanted = [name for key, name in _index()["kinds"].items() if key.rpartition("/")[0] + "/" == prefix]
    found: dict[str, dict[str, Any]] = {}
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        raw = schema(name).raw
        kinds = [key for key, target in _index()["kinds"].items() if target == name]
        found[name] = document = _document(raw, _descriptions().get(name, {}), wanted)
        if kinds:
            document["x-kubernetes-group-version-kind"] = [_group_version_kind(key) for key in kinds]
    return found


def _group_version_kind(key: str) -> dict[str, str]:
    api_version, _, kind = key.rpartition("/")
    group, _, version = api_version.rpartition("/")
    return {"group": group, "version": version, "kind": kind}


def _document(raw: Mapping[str, Any], texts: Mapping[str, str], wanted: list[str]) -> dict[str, Any]:
    out: dict[str, Any] = {"description": texts[""]} if texts.get("") else {}
    for key, value in raw.items():
        if key == "$ref":
            wanted.append(value)
            reference = {"$ref": REFERENCE + value}
            out.update({"allOf": [reference]} if "default" in raw or texts.get("") else reference)
        elif key == "properties":
            out[key] = {
                name: _document(field_raw, {"": texts.get(name, "")}, wanted) for name, field_raw in value.items()
            }
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            out[key] = _document(value, {}, wanted)
        elif key != "x-go":
            out[key] = value
    return out
