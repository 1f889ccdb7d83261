"""Functions of CEL that the library leaves out: Kubernetes' on lists and regular expressions, and the sets of cel-go.

What always holds: each is bounded by the size of its arguments (the sets by their product, which is limited), and
booleans are no numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

from cel_expr_python.cel import FunctionDecl, Overload, Type

from . import regex

_COMPARISONS = 1_000_000


def _same(a: Any, b: Any) -> bool:
    """CEL's equality of JSON values: numbers by value, all else only within its type."""
    if isinstance(a, bool) or isinstance(b, bool):
        return isinstance(a, bool) and isinstance(b, bool) and a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(value, b[key]) for key, value in a.items())
    return bool(a == b)


def _require_orderable(items: Sequence[Any]) -> None:
    """All numbers, all texts, all booleans, all durations …: what has one order."""
    kinds = {float if type(item) in (int, float) else type(item) for item in items}
    if len(kinds) > 1 or kinds & {list, dict, type(None)}:
        raise ValueError("the elements have no common order")


def _is_sorted(items: list[Any]) -> bool:
    _require_orderable(items)
    return all(not b < a for a, b in pairwise(items))


def _sum(items: list[Any]) -> Any:
    if items and all(isinstance(item, timedelta) for item in items):
        return sum(items, timedelta())
    if any(type(item) not in (int, float) for item in items):
        raise ValueError("sum() takes a list of numbers or of durations")
    total = sum(items)
    if isinstance(total, int) and not -(2**63) <= total < 2**63:
        raise ValueError("integer overflow")
    return total


def _least(items: list[Any]) -> Any:
    if not items:
        raise ValueError("min called on empty list")
    _require_orderable(items)
    return min(items)


def _greatest(items: list[Any]) -> Any:
    if not items:
        raise ValueError("max called on empty list")
    _require_orderable(items)
    return max(items)


def _index_of(items: list[Any], wanted: Any) -> int:
    return next((index for index, item in enumerate(items) if _same(item, wanted)), -1)


def _last_index_of(items: list[Any], wanted: Any) -> int:
    return next((index for index in range(len(items) - 1, -1, -1) if _same(items[index], wanted)), -1)


def _find(text: str, pattern: str) -> str:
    match = regex.compile(pattern).search(text)
    return "" if match is None else match.group() or ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    compiled = regex.compile(pattern)
    if limit == 0:
        return []
    found: list[str] = []
    for match in compiled.finditer(text):
        found.append(match.group() or "")
        if len(found) == limit:
            break
    return found


def _contains(items: list[Any], wanted: list[Any]) -> bool:
    if len(items) * len(wanted) > _COMPARISONS:
        raise ValueError("the sets are too large")
    return all(any(_same(item, one) for item in items) for one in wanted)


def _equivalent(one: list[Any], other: list[Any]) -> bool:
    return _contains(one, other) and _contains(other, one)


def _intersects(one: list[Any], other: list[Any]) -> bool:
    if len(one) * len(other) > _COMPARISONS:
        raise ValueError("the sets are too large")
    return any(_same(a, b) for a in one for b in other)


_LIST = Type.List(Type.DYN)


def _member(
    name: str, *overloads: tuple[str, Type, Sequence[Type], Callable[..., Any]], member: bool = True
) -> FunctionDecl:
    return FunctionDecl(name, [Overload(id, result, takes, member, impl) for id, result, takes, impl in overloads])


DECLARATIONS = [
    _member("isSorted", ("list_is_sorted", Type.BOOL, [_LIST], _is_sorted)),
    _member("sum", ("list_sum", Type.DYN, [_LIST], _sum)),
    _member("min", ("list_min", Type.DYN, [_LIST], _least)),
    _member("max", ("list_max", Type.DYN, [_LIST], _greatest)),
    _member("indexOf", ("list_index_of", Type.INT, [_LIST, Type.DYN], _index_of)),
    _member("lastIndexOf", ("list_last_index_of", Type.INT, [_LIST, Type.DYN], _last_index_of)),
    _member("find", ("string_find", Type.STRING, [Type.STRING, Type.STRING], _find)),
    _member(
        "findAll",
        ("string_find_all", Type.List(Type.STRING), [Type.STRING, Type.STRING], _find_all),
        ("string_find_all_limit", Type.List(Type.STRING), [Type.STRING, Type.STRING, Type.INT], _find_all),
    ),
    _member("sets.contains", ("list_sets_contains", Type.BOOL, [_LIST, _LIST], _contains), member=False),
    _member("sets.equivalent", ("list_sets_equivalent", Type.BOOL, [_LIST, _LIST], _equivalent), member=False),
    _member("sets.intersects", ("list_sets_intersects", Type.BOOL, [_LIST, _LIST], _intersects), member=False),
]
"""What an environment is told of them."""
