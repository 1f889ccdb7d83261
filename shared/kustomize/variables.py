"""Vars: `$(NAME)` in certain fields becomes the value of a field of another object."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .errors import BuildError
from .fieldspec import Specs, walk
from .limits import MOST_TEXT, Allowance, text_in
from .merge import MISSING
from .paths import get, split_dotted, with_slices
from .resource import DEFAULT_NAMESPACE, Gvk, Id, split_api_version
from .resources import Resources
from .scalars import format_float

Variable = Mapping[str, Any]
DEFAULT_PATH = "metadata.name"


def bind(resources: Resources, variables: Sequence[Variable], known: dict[str, Variable]) -> None:
    """Mark the object that each variable reads, while its name is still the one that the variable says."""
    for variable in variables:
        ref = variable.get("objref", {})
        gvk = Gvk(ref.get("group", ""), ref.get("version", ""), ref.get("kind", ""))
        parts = ref.get("apiVersion", "").split("/")
        if ref.get("apiVersion") and len(parts) <= 2:
            group, version = split_api_version(ref["apiVersion"])
            gvk = Gvk(group or gvk.group, version, gvk.kind)
        name, namespace = ref.get("name", ""), ref.get("namespace", "")
        if namespace:
            found = resources.with_id(Id(gvk.group, gvk.version, gvk.kind, name, namespace or DEFAULT_NAMESPACE))
        else:
            found = [
                item
                for item in resources
                if not item.is_empty()
                and any((i.name, i.group, i.version, i.kind) == (name, *gvk) for i in item.all_ids())
            ]
        if len(found) > 1:
            raise BuildError(f"vars: {len(found)} objects could be meant by {variable.get('name', '')!r}")
        if found:
            found[0].variables.append(variable.get("name", ""))
    merge(known, {}, variables)


def merge(known: dict[str, Variable], more: Mapping[str, Variable], variables: Sequence[Variable] = ()) -> None:
    """Add variables to the known ones. BuildError for a name that is taken."""
    for variable in (*more.values(), *variables):
        name = variable.get("name", "")
        if name in known:
            raise BuildError(f"vars: {name!r} is defined twice")
        known[name] = variable


def resolve(resources: Resources, known: Mapping[str, Variable], specs: Specs) -> list[str]:
    """Put the values where `$(NAME)` stands. Returns the names that were used nowhere."""
    if not known:
        return []
    values = {name: _value(resources, variable) for name, variable in sorted(known.items())}
    used: set[str] = set()
    allowance = Allowance(MOST_TEXT, "characters by variables")

    def look_up(name: str) -> Any:
        if name not in values or values[name] is None or isinstance(values[name], dict | list):
            return f"$({name})"
        used.add(name)
        allowance.take(text_in(values[name]))
        return values[name]

    def change(value: Any) -> Any:
        if isinstance(value, str):
            return expand(value, look_up)
        if isinstance(value, dict):
            for key, entry in value.items():
                if isinstance(entry, str):
                    value[key] = expand(entry, look_up)
        elif isinstance(value, list):
            for index, entry in enumerate(value):
                if not isinstance(entry, str):
                    raise BuildError("expected a list of texts")
                value[index] = expand(entry, look_up)
        return value

    for item in resources:
        for spec in specs:
            if item.gvk.selected_by(spec.gvk):
                walk(item, spec, change)
    resources.changed()
    return sorted(set(values) - used)


def _value(resources: Resources, variable: Variable) -> Any:
    name = variable.get("name", "")
    path = variable.get("fieldref", {}).get("fieldPath") or DEFAULT_PATH
    for item in resources:
        if name in item.variables:
            value = get(item.value, with_slices(split_dotted(path)))
            if value is MISSING:
                raise BuildError(f"vars: {item} has no {path}, which {name!r} reads")
            return "" if value is None else value
    raise BuildError(f"vars: no object is what {name!r} refers to")


def expand(content: str, look_up: Callable[[str], Any]) -> Any:
    """The text with its references replaced; `$$` is a dollar sign.

    A text that is nothing but one reference becomes the value, whatever its type.
    """
    if "$" not in content:
        return content
    result: list[str] = []
    at = 0
    while at < len(content):
        char = content[at]
        if char != "$" or at + 1 == len(content):
            result.append(char)
            at += 1
            continue
        following = content[at + 1]
        end = content.find(")", at + 2) if following == "(" else -1
        if end >= 0:
            name = content[at + 2 : end]
            value = look_up(name)
            if content == f"$({name})":
                return value
            result.append(_shown(value))
            at = end + 1
        else:
            result.append("$" if following == "$" else "$" + following)
            at += 2
    return "".join(result)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value):
        return format_float(value)
    return str(value)
