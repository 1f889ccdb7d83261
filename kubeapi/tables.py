"""What `kubectl get` prints: the columns of each kind and the cells of an object."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubeapi import jsonpath
from kubeapi.clock import parse
from kubeapi.resources import Resource
from kubeapi.tables_built_in import BUILT_IN

Manifest = Mapping[str, Any]
Cell = Callable[[Manifest, datetime], Any]


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

    def cells(self, manifest: Manifest, now: datetime) -> list[Any]:
        return [column.cell(manifest, now) for column in self.columns]


_NAME = Column("Name", lambda manifest, now: manifest["metadata"]["name"], format="name")


def _created(manifest: Manifest, now: datetime) -> str:
    return str(manifest["metadata"].get("creationTimestamp") or "<unknown>")


def age(manifest: Manifest, now: datetime) -> str:
    return since(manifest["metadata"].get("creationTimestamp"), now)


def since(moment: Any, now: datetime) -> str:
    """How long ago a timestamp was, as a human reads it."""
    if not moment:
        return "<unknown>"
    try:
        return duration((now - parse(str(moment))).total_seconds())
    except ValueError:
        return "<invalid>"


def duration(seconds: float) -> str:
    """5s, 4m30s, 2h15m, 3d4h, 2y10d: at most two units, the second one only while it matters."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    if total < 120:
        return f"{total}s"
    minutes = total // 60
    if minutes < 10:
        rest = total % 60
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        rest = hours % 24
        return f"{hours // 24}d{rest}h" if rest else f"{hours // 24}d"
    days = hours // 24
    if days < 730:
        return f"{days}d"
    if days < 8 * 365:
        rest = days % 365
        return f"{days // 365}y{rest}d" if rest else f"{days // 365}y"
    return f"{days // 365}y"


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
        known = _GENERIC if rows is None else Layout(tuple(_built_in(*row) for row in rows))
        _LAYOUTS[resource.storage] = known
    return known


def _built_in(name: str, cell: Callable[[Manifest], Any] | str, priority: int = 0) -> Column:
    if cell == "name":
        return _NAME
    if cell == "age":
        return _AGE
    if cell == "created":
        return _CREATED
    if isinstance(cell, str):
        path = cell.split(".")
        return Column(name, lambda manifest, now: since(dig(manifest, path), now), priority=priority)
    function = cell
    return Column(name, lambda manifest, now: function(manifest), priority=priority)


def dig(manifest: Any, path: list[str]) -> Any:
    for step in path:
        if not isinstance(manifest, Mapping):
            return None
        manifest = manifest.get(step)
    return manifest


def _custom(resource: Resource) -> Layout:
    columns = [_NAME]
    if not resource.columns:
        columns.append(Column("Age", age, type="date"))
    columns.extend(
        Column(
            str(column["name"]),
            _path_cell(str(column["jsonPath"]), str(column.get("type", "string"))),
            type=str(column.get("type", "string")),
            format=str(column.get("format") or ""),
            priority=int(column.get("priority") or 0),
            description=str(column.get("description") or ""),
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
