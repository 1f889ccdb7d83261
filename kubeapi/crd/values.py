"""A custom object against its schema: types, limits, patterns, enums, formats, alternatives, in a real server's words.

On an update, what was wrong before and didn't change is not refused (ratcheting): see `correlate`.
"""

from __future__ import annotations

from typing import Any

from kubeapi.crd.correlate import Correlation, deep_equal
from kubeapi.crd.structural import Node
from kubeapi.errors import Cause
from kubeapi.validation import causes

_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def check(value: Any, node: Node, path: str = "", correlation: Correlation | None = None) -> list[Cause]:
    """The problems of a value. `path` is the schema's root in the object ("" for the whole, "status" for a status)."""
    return _Check(path).ratcheted(value, node, "", correlation)


class _Check:
    """One validation. `score` grows with every check that held: of alternatives that all fail the best is reported."""

    __slots__ = ("base", "score")

    def __init__(self, base: str) -> None:
        self.base = base
        self.score = 0

    def ratcheted(self, value: Any, node: Node, path: str, correlation: Correlation | None) -> list[Cause]:
        found = self.value(value, node, path, correlation)
        if found and correlation is not None and correlation.unchanged():
            return []
        return found

    def at(self, path: str) -> str:
        """The field of a path that is written from the schema's root."""
        path = path.removeprefix(".")
        if not self.base:
            return path or causes.ROOT
        return f"{self.base}.{path}" if path else self.base

    def value(self, value: Any, node: Node, path: str, correlation: Correlation | None) -> list[Cause]:
        found: list[Cause] = []
        if value is None:
            if node.types and not node.nullable:
                found.append(self._type_problem(path, ",".join(node.types), "null"))
            else:
                self.score += 1
            if node.enum is not None:
                found.append(self._enum_problem(path, value, node))
            return found
        if node.types or node.format:
            self._type(value, node, path, found)
        self.score += 4
        if node.any_of or node.one_of or node.all_of or node.not_ is not None:
            self._alternatives(value, node, path, correlation, found)
        if isinstance(value, str):
            self.score += 1
            self._text(value, node, path, found)
        elif isinstance(value, bool):
            pass
        elif isinstance(value, (int, float)):
            self.score += 2
            self._number(value, node, path, found)
        elif isinstance(value, list):
            self.score += 2
            self._list(value, node, path, correlation, found)
        if node.enum is not None and not any(_same(value, one) for one in node.enum):
            found.append(self._enum_problem(path, value, node))
        if isinstance(value, dict):
            self.score += 1
            self._map(value, node, path, correlation, found)
        return found

    # -- types and enums

    def _type_problem(self, path: str, wanted: str, given: str) -> Cause:
        return causes.type_invalid(
            self.at(path), given, f"{path} in body must be of type {wanted}: {causes.quote(given)}"
        )

    def _type(self, value: Any, node: Node, path: str, found: list[Cause]) -> None:
        kind, kind_format = _kind(value)
        types, wanted = node.types, node.format
        is_whole = kind == "number" and float(value).is_integer() and "integer" in types
        is_number = kind == "integer" and "number" in types
        numeric = "number" in types or "integer" in types
        fits = kind in types or is_whole or is_number
        if kind not in ("string", "array"):
            if wanted and not fits and kind_format != wanted:
                found.append(self._type_problem(path, wanted, kind_format))
                return
        elif not numeric and wanted:
            self.score += 1
            return
        if not fits:
            found.append(self._type_problem(path, ",".join(types), kind))
            return
        self.score += 1

    def _enum_problem(self, path: str, value: Any, node: Node) -> Cause:
        known = [one if isinstance(one, str) else causes.marshal(one) for one in node.enum or ()]
        return causes.unsupported(self.at(path), value, known)

    # -- scalars

    def _text(self, value: str, node: Node, path: str, found: list[Cause]) -> None:
        if node.max_length is not None and len(value) > node.max_length:
            found.append(causes.too_long(self.at(path), node.max_length))
        elif node.min_length is not None and len(value) < node.min_length:
            detail = f"{path} in body should be at least {node.min_length} chars long"
            found.append(causes.invalid(self.at(path), value, detail))
        elif node.pattern is not None and not node.pattern[1](value):
            found.append(causes.invalid(self.at(path), value, f"{path} in body should match '{node.pattern[0]}'"))
        if node.is_format is not None:
            self.score += 1
            if not node.is_format(value):
                detail = f"{path} in body must be of type {node.format}: {causes.quote(value)}"
                found.append(causes.type_invalid(self.at(path), value, detail))

    def _number(self, value: float, node: Node, path: str, found: list[Cause]) -> None:
        kind = node.types[0] if len(node.types) == 1 else ""
        if kind == "integer":
            low, high = _RANGES.get(node.format, _RANGES["int64"])
            if not low <= value <= high or value != int(value):
                found.append(self._misfit("Checked", node, path))
        if node.multiple_of:
            factor = self._limit(value, node.multiple_of, "MultipleOf", node, path, found)
            if factor <= 0:
                detail = f"factor MultipleOf declared for {path} must be positive: {causes.number(factor)}"
                found.append(causes.invalid(self.at(path), factor, detail))
            elif value % factor:
                detail = f"{path} in body should be a multiple of {causes.number(factor)}"
                found.append(causes.invalid(self.at(path), value, detail))
        if node.minimum is not None:
            limit = self._limit(value, node.minimum, "Minimum boundary", node, path, found)
            if value <= limit if node.exclusive_minimum else value < limit:
                words = "greater than" if node.exclusive_minimum else "greater than or equal to"
                detail = f"{path} in body should be {words} {causes.number(limit)}"
                found.append(causes.invalid(self.at(path), value, detail))
        if node.maximum is not None:
            limit = self._limit(value, node.maximum, "Maximum boundary", node, path, found)
            if value >= limit if node.exclusive_maximum else value > limit:
                words = "less than" if node.exclusive_maximum else "less than or equal to"
                detail = f"{path} in body should be {words} {causes.number(limit)}"
                found.append(causes.invalid(self.at(path), value, detail))

    def _limit(self, value: float, limit: float, name: str, node: Node, path: str, found: list[Cause]) -> float:
        """A limit as a real server compares it: with a whole number by what is whole of it, unless it doesn't fit the
        field's type, which is a problem of its own."""
        if node.types == ("integer",):
            low, high = _RANGES.get(node.format, _RANGES["int64"])
            if not low <= limit <= high or limit != int(limit):
                found.append(self._misfit(name, node, path))
                return limit
        return int(limit) if isinstance(value, int) else limit

    def _misfit(self, name: str, node: Node, path: str) -> Cause:
        named = f"with format {node.format}" if node.format else "(default format)"
        return causes.invalid(self.base or causes.ROOT, "", f"{name} value must be of type integer {named} in {path}")

    # -- lists and maps

    def _list(
        self, value: list[Any], node: Node, path: str, correlation: Correlation | None, found: list[Cause]
    ) -> None:
        items = node.items
        if items is not None:
            for index, one in enumerate(value):
                below = correlation.index(index) if correlation is not None else None
                found += self.ratcheted(one, items, f"{path}[{index}]", below)
        size = len(value)
        if node.min_items is not None and size < node.min_items:
            detail = f"{path} in body should have at least {node.min_items} items"
            found.append(causes.invalid(self.at(path), size, detail))
        if node.max_items is not None and size > node.max_items:
            found.append(causes.too_many(self.at(path), size, node.max_items))
        if node.unique_items and any(
            deep_equal(one, other) for index, one in enumerate(value) for other in value[:index]
        ):
            found.append(causes.invalid(self.at(path), "", f"{path} in body shouldn't contain duplicates"))

    def _map(
        self, value: dict[str, Any], node: Node, path: str, correlation: Correlation | None, found: list[Cause]
    ) -> None:
        size = len(value)
        if node.min_properties is not None and size < node.min_properties:
            detail = f"{path} in body should have at least {node.min_properties} properties"
            found.append(causes.invalid(self.at(path), size, detail))
        if node.max_properties is not None and size > node.max_properties:
            found.append(causes.too_many(self.at(path), size, node.max_properties))
        properties, additional = node.properties, node.additional
        for key, child in value.items():
            below = properties.get(key)
            if below is None:
                if node.forbids_additional:
                    detail = f"{path}.{key} in body is a forbidden property"
                    found.append(causes.invalid(self.at(path), key, detail))
                    continue
                if not isinstance(additional, Node):
                    continue
                below, where = additional, f"{path}.{key}"
            else:
                where = f"{path}.{key}" if path else key
            related = correlation.key(key) if correlation is not None else None
            if related is not None and not path and key in ("apiVersion", "kind"):
                related = None
            found += self.ratcheted(child, below, where, related)
        for key in node.required:
            if key not in value:
                found.append(causes.required(self.at(f"{path}.{key}")))

    # -- allOf, anyOf, oneOf, not

    def _alternatives(
        self, value: Any, node: Node, path: str, correlation: Correlation | None, found: list[Cause]
    ) -> None:
        shown = causes.quote(path)
        root = self.base or causes.ROOT
        if node.any_of:
            best = self._best(value, node.any_of, path, correlation, 1)
            if best[0] == 0:
                found.append(causes.invalid(root, "", f"{shown} must validate at least one schema (anyOf)"))
                found += best[1]
        if node.one_of:
            count, failures = self._best(value, node.one_of, path, correlation, len(node.one_of))
            if count != 1:
                added = "Found none valid" if not count else f"Found {count} valid alternatives"
                found.append(
                    causes.invalid(root, "", f"{shown} must validate one and only one schema (oneOf). {added}")
                )
                found += failures
        if node.all_of:
            valid = 0
            for one in node.all_of:
                problems = self.value(value, one, path, correlation)
                valid += not problems
                found += problems
            if valid != len(node.all_of):
                added = "" if valid else ". None validated"
                found.append(causes.invalid(root, "", f"{shown} must validate all the schemas (allOf){added}"))
        if node.not_ is not None and not self._apart(value, node.not_, path, correlation)[0]:
            found.append(causes.invalid(root, "", f"{shown} must not validate the schema (not)"))

    def _apart(self, value: Any, node: Node, path: str, correlation: Correlation | None) -> tuple[list[Cause], int]:
        """The problems under one alternative, and its score, which doesn't count here."""
        before = self.score
        found = self.value(value, node, path, correlation)
        score, self.score = self.score - before, before
        return found, score

    def _best(
        self, value: Any, nodes: tuple[Node, ...], path: str, correlation: Correlation | None, enough: int
    ) -> tuple[int, list[Cause]]:
        """How many alternatives hold (counting stops at `enough`); when none does, the problems of the closest one."""
        valid, best, best_score = 0, [], -1
        for one in nodes:
            found, score = self._apart(value, one, path, correlation)
            if not found:
                valid += 1
                if valid >= enough:
                    break
            elif score > best_score:
                best, best_score = found, score
        return (valid, []) if valid else (0, best)


def _kind(value: Any) -> tuple[str, str]:
    """The JSON type of a value and its format in Go."""
    if isinstance(value, str):
        return "string", ""
    if isinstance(value, bool):
        return "boolean", ""
    if isinstance(value, dict):
        return "object", ""
    if isinstance(value, list):
        return "array", ""
    return ("integer", "int64") if isinstance(value, int) else ("number", "float64")


def _same(value: Any, known: Any) -> bool:
    if isinstance(value, bool) or isinstance(known, bool):
        return value is known
    if isinstance(value, (int, float)) and isinstance(known, (int, float)):
        # A real server converts the value to the type of what it is compared with.
        return value == known or (isinstance(known, int) and int(value) == known)
    return deep_equal(value, known)
