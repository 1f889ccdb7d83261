"""The CEL rules of a CRD (x-kubernetes-validations), with transition rules and messages that are expressions.

`self` is the value at the rule's place, `oldSelf` what it was; a rule that speaks of oldSelf is asked only when there
is such a value, or gets an optional one when it says optionalOldSelf. What an update left as it was is not held against
it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kubeapi.crd import correlate
from kubeapi.crd.correlate import Correlation
from kubeapi.crd.structural import Node
from kubeapi.errors import Cause
from kubeapi.expressions import LIBRARY
from kubeapi.validation import causes
from shared.text import cel

_TEXTS = re.compile(
    r"""r?'''.*?'''|r?\"{3}.*?\"{3}|r'[^']*'|r"[^"]*"|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL
)
_OLD = re.compile(r"\boldSelf\b")
_CHAIN = re.compile(r"(?<![\w.])(?:self|oldSelf)\b(?:\.[A-Za-z_]\w*)*")
_MAKERS = {
    "datetime": "timestamp({})",
    "date": "timestamp({} + 'T00:00:00Z')",
    "duration": "duration({})",
}
_MESSAGE_LIMIT = 5 * 1024
"""Bytes of a message that an expression makes, at most."""


class Rule:
    """One rule, compiled when it is first asked."""

    __slots__ = ("_message", "_node", "_program", "fallback", "optional", "path", "raw", "uses_old")

    def __init__(self, raw: Mapping[str, Any], node: Node) -> None:
        self.raw = raw
        self._node = node
        text = str(raw.get("rule") or "")
        self.uses_old = _OLD.search(_TEXTS.sub("''", text)) is not None
        self.optional = bool(raw.get("optionalOldSelf"))
        given = str(raw.get("message") or "").strip()
        self.fallback = given or f"failed rule: {text.strip()}"
        self.path = str(raw.get("fieldPath") or "")
        self._program: cel.Program | None = None
        self._message: cel.Program | None = None

    @property
    def shown(self) -> str:
        """The rule in messages about itself."""
        return str(self.raw.get("message") or self.raw.get("rule") or "").strip()

    def compile(self, expression: str) -> cel.Program:
        """The program of one of the rule's expressions. CELError when it can't be read."""
        typed = with_types(expression, self._node)
        return cel.compile(_with_optional(typed) if self.optional else typed, functions=LIBRARY)

    def holds(self, bindings: Mapping[str, Any]) -> bool:
        """Whether the rule holds. CELError when it can't be said."""
        if self._program is None:
            self._program = self.compile(self.raw["rule"])
        return self._program.evaluate(bindings) is True

    def message(self, bindings: Mapping[str, Any]) -> str:
        """Why the object is refused."""
        expression = self.raw.get("messageExpression")
        if not expression:
            return self.fallback
        try:
            if self._message is None:
                self._message = self.compile(expression)
            text = self._message.evaluate(bindings)
        except cel.CELError:
            return self.fallback
        if not isinstance(text, str):
            return self.fallback
        text = text.strip()
        if not text or "\n" in text or len(text.encode()) > _MESSAGE_LIMIT:
            return self.fallback
        return text


def _with_optional(expression: str) -> str:
    """The expression with oldSelf as an optional value: the bindings hold a list, empty or of one element."""
    return f"cel.bind(oldSelf, oldSelves.size() > 0 ? optional.of(oldSelves[0]) : optional.none(), {expression})"


def of(node: Node) -> tuple[Rule, ...]:
    """The rules that a node declares."""
    if node.compiled is None:
        node.compiled = tuple(Rule(raw, node) for raw in node.rules if raw.get("rule"))
    found: tuple[Rule, ...] = node.compiled
    return found


def with_types(expression: str, node: Node) -> str:
    """The expression with the times and durations that the schema knows made from their texts, where it names them."""
    if not any(
        f'"{kind}"' in str(node.raw).replace("'", '"') for kind in ("date-time", "datetime", "date", "duration")
    ):
        return expression
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\0{len(kept) - 1}\0"

    bare = _TEXTS.sub(keep, expression)

    def typed(match: re.Match[str]) -> str:
        if re.search(r"has\(\s*$", bare[: match.start()]) or bare[match.end() : match.end() + 2] in (".?", "[?"):
            return match[0]
        current: Node | None = node
        names = match[0].split(".")
        for position in range(len(names)):
            if position and current is not None:
                current = next(
                    (one for key, one in current.properties.items() if cel.field_name(key) == names[position]), None
                )
            if current is None:
                return match[0]
            make = _MAKERS.get(current.format.replace("-", ""))
            if make:
                head = make.format(".".join(names[: position + 1]))
                return ".".join([head, *names[position + 1 :]])
        return match[0]

    bare = _CHAIN.sub(typed, bare)
    return re.sub("\0(\\d+)\0", lambda match: kept[int(match[1])], bare)


def undefined(expression: str, node: Node, whole: bool = False) -> str:
    """The first field that an expression names and the schema lacks, as a compiler reports it; "" when none."""
    bare = _TEXTS.sub(lambda match: " " * len(match[0]), expression)
    for match in _CHAIN.finditer(bare):
        current: Node | None = node
        position = match.start()
        for index, name in enumerate(match[0].split(".")):
            if index:
                if bare[match.end() : match.end() + 1] == "(" and position + len(name) + 1 == match.end():
                    break
                if whole and index == 1 and name in ("apiVersion", "kind", "metadata"):
                    break
                if current is None or current.preserve or current.type != "object" or current.additional is not None:
                    break
                known = next((one for key, one in current.properties.items() if cel.field_name(key) == name), None)
                if known is None:
                    return _pointed(expression, position, f"undefined field '{name}'")
                current = known
                position += 1
            position += len(name)
    return ""


def _pointed(expression: str, position: int, problem: str) -> str:
    """A problem with the line of the expression and a mark under the place."""
    before = expression[:position]
    line, column = before.count("\n") + 1, position - (before.rfind("\n") + 1)
    text = expression.splitlines()[line - 1]
    return f"ERROR: <input>:{line}:{column + 1}: {problem}\n | {text}\n | {'.' * column}^"


def check(value: Any, old: Any, root: Node, correlation: Correlation | None) -> list[Cause]:
    """The rules that don't hold, one cause each."""
    found: list[Cause] = []
    _walk(value, old, root, "", correlation, None, found, True)
    return found


def _walk(
    value: Any,
    old: Any,
    node: Node,
    path: str,
    current: Correlation | None,
    nearest: Correlation | None,
    found: list[Cause],
    whole: bool = False,
) -> None:
    if value is None or not node.has_rules:
        return
    if node.rules:
        related = current if current is not None else nearest
        _evaluate(value, old, node, path, related, found, whole)
    for one in node.all_of:
        _walk(value, old, one, path, None, nearest, found)
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for key, child in value.items():
            below = node.properties.get(key)
            if below is not None:
                where = f"{path}.{key}" if path else key
            elif isinstance(node.additional, Node):
                below, where = node.additional, f"{path}[{key}]"
            else:
                continue
            if below.has_rules:
                next_ = current.key(key) if current is not None else None
                upper = current if current is not None else nearest
                _walk(child, before.get(key), below, where, next_, upper, found, below.embedded)
    elif isinstance(value, list) and node.items is not None and node.items.has_rules:
        known = correlate.keyed(old, node)
        for index, child in enumerate(value):
            keyed = known.get(correlate.key_of(child, node)) if known and isinstance(child, dict) else None
            next_ = current.index(index) if current is not None else None
            upper = current if current is not None else nearest
            _walk(child, keyed, node.items, f"{path}[{index}]", next_, upper, found, node.items.embedded)


def _evaluate(
    value: Any, old: Any, node: Node, path: str, related: Correlation | None, found: list[Cause], whole: bool
) -> None:
    unchanged: bool | None = None
    bindings: dict[str, Any] = {}
    where = path or causes.ROOT
    for rule in of(node):
        if rule.uses_old and old is None and not rule.optional:
            continue
        if not rule.uses_old and related is not None:
            if unchanged is None:
                unchanged = related.unchanged()
            if unchanged:
                continue
        if not bindings:
            bindings["self"] = bound(value, node, whole)
            if old is not None:
                bindings["oldSelf"] = bound(old, node, whole)
            bindings["oldSelves"] = [bindings["oldSelf"]] if old is not None else []
        try:
            if rule.holds(bindings):
                continue
        except cel.CELError as error:
            found.append(causes.invalid(where, node.type, _problem(str(error), rule)))
            continue
        shown = causes.OMITTED if node.type in ("object", "array") else value
        at = f"{path}.{rule.path.lstrip('.')}".lstrip(".") if rule.path else where
        found.append(_cause(at, shown, rule.message(bindings), str(rule.raw.get("reason") or "")))


def _problem(error: str, rule: Rule) -> str:
    if error.startswith("no such overload"):
        return (
            f"'{error}': call arguments did not match a supported operator, function or macro signature "
            f"for rule: {rule.shown}"
        )
    return f"{error} evaluating rule: {rule.shown}"


def _cause(path: str, value: Any, detail: str, reason: str) -> Cause:
    if reason == "FieldValueForbidden":
        return causes.forbidden(path, detail)
    if reason == "FieldValueRequired":
        return causes.required(path, detail)
    if reason == "FieldValueDuplicate":
        return causes.duplicate(path, value)
    return causes.invalid(path, value, detail)


def bound(value: Any, node: Node, whole: bool = False) -> Any:
    """A value as rules see it: names escaped, numbers of the type that the schema says.

    `whole` for an object: of its metadata only the names are there.
    """
    if isinstance(value, dict):
        out: dict[str, Any] = {}
        for key, child in value.items():
            below = node.properties.get(key)
            if whole and key in ("apiVersion", "kind"):
                out[key] = child
            elif whole and key == "metadata" and isinstance(child, dict):
                out[key] = {name: child[name] for name in ("name", "generateName") if name in child}
            elif below is not None:
                name = cel.field_name(key)
                if name is not None:
                    out[name] = bound(child, below, below.embedded)
            elif isinstance(node.additional, Node):
                out[key] = bound(child, node.additional)
            elif node.additional is True or node.preserve:
                out[key] = child
        return out
    if isinstance(value, list):
        return [bound(child, node.items) for child in value] if node.items is not None else value
    if node.type == "number" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value
