"""CEL that objects carry: it must be readable, and of the type that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubeapi.errors import Cause
from kubeapi.expressions import compiled
from kubeapi.expressions.compiled import Unfit
from kubeapi.validation import causes, fields, names

Struct = Mapping[str, Any]

_MOST_CONDITIONS = 64


def match_conditions(declared: Sequence[Struct], known: Sequence[str], path: str) -> list[Cause]:
    """The matchConditions of a policy or a webhook."""
    found: list[Cause] = []
    if len(declared) > _MOST_CONDITIONS:
        found.append(causes.too_many(path, len(declared), _MOST_CONDITIONS))
    seen: set[str] = set()
    for index, one in enumerate(declared):
        where, name, text = f"{path}[{index}]", one.get("name") or "", (one.get("expression") or "").strip()
        if not text:
            found.append(causes.required(f"{where}.expression"))
        else:
            found += expression(text, known, ("bool",), f"{where}.expression")
        if not name:
            found.append(causes.required(f"{where}.name"))
            continue
        found += fields.named(name, names.qualified, f"{where}.name")
        if name in seen:
            found.append(causes.duplicate(f"{where}.name", name))
        seen.add(name)
    return found


def expression(text: str, known: Sequence[str], results: Sequence[str], path: str, shown: str = "") -> list[Cause]:
    """An expression that must be readable and have one of some types; `shown` in messages when it differs."""
    try:
        compiled.compile(text, known, results)
    except Unfit as error:
        return [causes.invalid(path, shown or text, str(error))]
    return []
