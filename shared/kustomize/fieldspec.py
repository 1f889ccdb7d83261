"""Field specs: which fields of which kinds a transformer is about, and the walk that finds them.

A spec's path is names joined by "/" (a "/" in a name is written "\\/"); a list on the way stands for each of its items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from .errors import BuildError
from .resource import Gvk, Resource

SCALAR, MAPPING, SEQUENCE = "scalar", "mapping", "sequence"


@lru_cache(maxsize=4096)
def split_path(path: str, delimiter: str = "/") -> tuple[str, ...]:
    """The names of a path; a delimiter after a backslash belongs to the name."""
    parts = path.split(delimiter)
    if len(parts) > 1 and parts[0] == "":
        parts = parts[1:]
    names = [parts[0]]
    for part in parts[1:]:
        if names[-1].endswith("\\"):
            names[-1] = names[-1][:-1] + delimiter + part
        else:
            names.append(part)
    return tuple(names)


class FieldSpec(NamedTuple):
    """One field of the kinds that `gvk` selects. create: make it when it is missing."""

    gvk: Gvk
    path: str
    create: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> FieldSpec:
        gvk = Gvk(data.get("group", ""), data.get("version", ""), data.get("kind", ""))
        return cls(gvk, data.get("path", ""), data.get("create", False))


Specs = tuple[FieldSpec, ...]


def merged(specs: Specs, more: Iterable[FieldSpec]) -> Specs:
    """The specs of both, without those that are there. BuildError when two disagree about `create`."""
    result = list(specs)
    by_path: dict[str, list[FieldSpec]] = {}
    for spec in result:
        by_path.setdefault(spec.path, []).append(spec)
    for spec in more:
        twin = next((s for s in by_path.get(spec.path, ()) if s.gvk.selected_by(spec.gvk)), None)
        if twin is None:
            result.append(spec)
            by_path.setdefault(spec.path, []).append(spec)
        elif twin.create != spec.create:
            raise BuildError(f"field spec {spec.path}: one configuration says create, another one does not")
    return tuple(result)


Change = Callable[[Any], Any]


def apply(item: Resource, spec: FieldSpec, change: Change, *, make: str = "") -> None:
    """Call `change` with the value of each field that the spec finds in the object, and put its answer there.

    make: what a missing field is made as (SCALAR or MAPPING) when the spec says create.
    """
    if item.gvk.selected_by(spec.gvk):
        walk(item, spec, change, make=make)


def walk(item: Resource, spec: FieldSpec, change: Change, *, make: str = "") -> None:
    """`apply` for an object that is known to be selected."""
    try:
        _walk(item.value, split_path(spec.path), 0, change, make if spec.create else "", make)
    except BuildError as error:
        raise error.at(field=f"{item}: {spec.path}", file=item.file, line=item.line) from error


def _walk(node: Any, path: tuple[str, ...], at: int, change: Change, create: str, make: str) -> Any:
    if at == len(path):
        return change(node)
    if isinstance(node, dict):
        name = path[at]
        is_list = name.endswith("[]")
        if is_list:
            name = name[:-2]
        if not name:
            raise BuildError("the path of a field spec has an empty name")
        kind = ""
        if not create or is_list:
            if name not in node:
                return node
            if is_list:
                kind = SEQUENCE
        else:
            kind = create if at == len(path) - 1 else MAPPING
            if name not in node:
                node[name] = _made(kind)
        old = node[name]
        if old is None and kind:
            old = node[name] = _made(kind)
        new = _walk(old, path, at + 1, change, create, make)
        if new is not old:
            node[name] = new
        return node
    if isinstance(node, list):
        for index, old in enumerate(node):
            new = _walk(old, path, at, change, create, make)
            if new is not old:
                node[index] = new
        return node
    if node is None:
        return node
    raise BuildError(f"expected a mapping or a list above {path[at]!r}, found {type(node).__name__}")


def _made(kind: str) -> Any:
    return {} if kind == MAPPING else [] if kind == SEQUENCE else None
