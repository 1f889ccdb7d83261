"""What `kubectl get` prints: the columns of each kind and the cells of an object."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from kubeapi import jsonpath
from kubeapi.ages import since
from kubeapi.resources import Resource
from kubeapi.tables_built_in import BUILT_IN
from shared.schema import description

Manifest = Mapping[str, Any]
Cell = Callable[[Manifest, datetime], Any]

TEXTS = Path(__file__).with_name("columns.json.gz")
"""What the columns of built-in kinds mean, as a real API server says it; tests.kubeapi.record_columns writes it."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column; priority 0 is always shown, higher ones only with `-o wide`."""

    name: str
    cell: Cell
    type: str = "string"
    format: str = ""
    priority: int = 0
    description: str = ""

    def definition(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


@dataclass(frozen=True, slots=True)
class Layout:
    """All columns of a kind."""

    columns: tuple[Column, ...]

    @property
    def plain(self) -> bool:
        """Whether it is what a real server shows of kinds that it has no words for."""
        return [column.name for column in self.columns] == ["Name", "Created At"]

    def cells(self, manifest: Manifest, now: datetime) -> list[Any]:
        return [column.cell(manifest, now) for column in self.columns]


_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_NAME = Column("Name", lambda manifest, now: manifest["metadata"]["name"], format="name")


def _created(manifest: Manifest, now: datetime) -> str:
    return str(manifest["metadata"].get("creationTimestamp") or "<unknown>")


def age(manifest: Manifest, now: datetime) -> str:
    return since(manifest["metadata"].get("creationTimestamp"), now)


_AGE = Column("Age", age)
_CREATED = Column("Created At", _created, type="date")
_GENERIC = Layout((_NAME, _AGE))
_LAYOUTS: dict[Any, Layout] = {}


def layout(resource: Resource) -> Layout:
    """The columns of a resource."""
    if resource.custom:
        return _custom(resource)
    known = _LAYOUTS.get(resource.storage)
    if known is None:
        rows = BUILT_IN.get(resource.storage)
        columns = _GENERIC.columns if rows is None else tuple(_built_in(*row) for row in rows)
        texts = _texts().get("/".join(resource.storage), {})
        known = Layout(tuple(replace(column, description=texts.get(column.name, "")) for column in columns))
        _LAYOUTS[resource.storage] = known
    return known


@cache
def _texts() -> dict[str, dict[str, str]]:
    """Descriptions of columns by kind ("apps/deployments") and name."""
    found: dict[str, dict[str, str]] = json.loads(gzip.decompress(TEXTS.read_bytes()))
    return found


def _built_in(name: str, cell: Cell | str, priority: int = 0, type_: str = "string") -> Column:
    """A column of a row in the tables of built-in kinds."""
    if not isinstance(cell, str):
        return Column(name, cell, priority=priority, type=type_, format="name" if name == "Name" else "")
    known = {"name": _NAME, "age": _AGE, "created": _CREATED}[cell]
    return replace(known, priority=priority) if priority else known


def _custom(resource: Resource) -> Layout:
    columns = [replace(_NAME, description=description(_OBJECT_META, "name"))]
    if not resource.columns:
        columns.append(Column("Age", age, type="date", description=description(_OBJECT_META, "creationTimestamp")))
    columns.extend(
        Column(
            str(column["name"]),
            _path_cell(str(column["jsonPath"]), str(column.get("type", "string"))),
            type=str(column.get("type", "string")),
            format=str(column.get("format") or ""),
            priority=int(column.get("priority") or 0),
            description=str(
                column.get("description")
                or f"Custom resource definition column (in JSONPath format): {column['jsonPath']}"
            ),
        )
        for column in resource.columns
    )
    return Layout(tuple(columns))


def _path_cell(path: str, type_: str) -> Cell:
    find = jsonpath.compile(path)

    def cell(manifest: Manifest, now: datetime) -> Any:
        found = find(manifest)
        if not found:
            return None
        if type_ == "date":
            return since(found[0], now)
        value = found[0]
        if type_ == "integer":
            return value if isinstance(value, int) and not isinstance(value, bool) else None
        if type_ == "number":
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if type_ == "boolean":
            return value if isinstance(value, bool) else None
        return jsonpath.text(value) if len(found) == 1 else ",".join(jsonpath.text(v) for v in found)

    return cell
