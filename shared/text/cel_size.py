"""How large can a value get while an expression is evaluated? From its syntax tree and the size of its bindings.

The estimate is of bytes, roughly, and too large rather than too small: a reference to a binding counts as all of the
bindings, a loop as if each round met the worst. It is there to tell `status.conditions.filter(c, …)` from
`[s].map(s, s+s).map(s, s+s)…`, which doubles with every word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

ROUNDS = 10_000
"""What the library allows all loops of an evaluation together."""
LOOPS = 6
"""The most loops inside one another."""
_HUGE = 1 << 62

_WORD = re.compile(r"\S+")
# Functions whose result is at most as large as one number, text of a fixed form or boolean.
_SMALL_RESULT = frozenset(
    _WORD.findall(
        "_==_ _!=_ _<_ _<=_ _>_ _>=_ _&&_ _||_ !_ @in _-_ _*_ _/_ _%_ -_ size contains startsWith endsWith "
        "matches int uint double bool timestamp duration type isSorted indexOf lastIndexOf hasValue sets.contains "
        "sets.equivalent sets.intersects getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear "
        "getHours getMinutes getSeconds getMilliseconds @not_strictly_false"
    )
)
# Functions that may put one argument many times into another.
_PRODUCT = frozenset({"replace", "join", "format"})

# The fields of the messages of cel/expr/syntax.proto and checked.proto that matter here.
_EXPR_OF = {b"type.googleapis.com/cel.expr.CheckedExpr": 4, b"type.googleapis.com/cel.expr.ParsedExpr": 2}
_CONST, _IDENT, _SELECT, _CALL, _LIST, _STRUCT, _LOOP = 3, 4, 5, 6, 7, 8, 9


class NestingError(ValueError):
    """Loops are inside one another deeper than anyone needs."""


class Growth:
    """What an expression can make of bindings of a size."""

    def __init__(self, serialized: bytes) -> None:
        """serialized: the compiled expression, as the library gives it."""
        message = _fields(serialized)
        kind, value = bytes(message[1][0]), message[2][0]
        self._root = _fields(_fields(value)[_EXPR_OF[kind]][0])

    def most(self, size: int, longest: int) -> int:
        """The size of the largest value. size: of all bindings; longest: the number of elements of the longest list."""
        largest = inside = 0

        def visit(node: Message, known: Mapping[bytes, int]) -> int:
            nonlocal largest
            found = min(_HUGE, measured(node, known))
            largest = max(largest, found)
            return found

        def measured(node: Message, known: Mapping[bytes, int]) -> int:
            if _IDENT in node:
                return known.get(_text(_fields(node[_IDENT][0]), 1), size)
            if _SELECT in node:
                select = _fields(node[_SELECT][0])
                held = visit(_fields(select[1][0]), known)
                return 1 if 3 in select else held
            if _CALL in node:
                return call(_fields(node[_CALL][0]), known)
            if _LIST in node:
                return 1 + sum(visit(_fields(item), known) for item in _fields(node[_LIST][0]).get(1, ()))
            if _STRUCT in node:
                entries = [_fields(entry) for entry in _fields(node[_STRUCT][0]).get(2, ())]
                return 1 + sum(
                    visit(_fields(entry[part][0]), known) for entry in entries for part in (3, 4) if part in entry
                )
            if _LOOP in node:
                return loop(_fields(node[_LOOP][0]), known)
            return 16 + len(node[_CONST][0]) if _CONST in node else 16

        def call(called: Message, known: Mapping[bytes, int]) -> int:
            name = _text(called, 2).decode()
            parts = [visit(_fields(part), known) for part in (*called.get(1, ()), *called.get(3, ()))]
            if name in _SMALL_RESULT:
                return 16
            if name == "_?_:_":
                return max(parts[1:])
            if name in _PRODUCT:
                product = 1
                for part in parts:
                    product = min(_HUGE, product * (part + 1))
                return product
            return 16 + 4 * sum(parts) if name in ("base64.encode", "strings.quote") else 16 + sum(parts)

        def loop(node: Message, known: Mapping[bytes, int]) -> int:
            nonlocal inside
            held = visit(_fields(node[2][0]), known)
            start = visit(_fields(node[4][0]), known)
            rounds = min(ROUNDS, held, longest if _is_reference(_fields(node[2][0])) else held)
            element, second, gathered = _text(node, 1), _text(node, 8), _text(node, 3)
            step = _fields(node[6][0])
            if _is_constant_list(_fields(node[2][0])):  # cel.bind: no round, the "gathered" value is what is bound
                return visit(_fields(node[7][0]), {**known, gathered: start})
            inside += 1
            if inside > LOOPS:
                raise NestingError(f"loops are inside one another more than {LOOPS} deep")
            # All elements together are as large as the list: one round sees them all, the others see none.
            once = visit(step, {**known, element: held, second: held, gathered: 0})
            empty = visit(step, {**known, element: 0, second: 16, gathered: 0})
            inside -= 1
            total = min(_HUGE, start + once + rounds * empty)
            return visit(_fields(node[7][0]), {**known, gathered: total})

        visit(self._root, {})
        return largest


Message = dict[int, list[bytes]]
"""A protobuf message: the values of each field. Numbers are left out."""


def _text(message: Message, number: int) -> bytes:
    return message[number][0] if number in message else b""


def _is_reference(node: Message) -> bool:
    """A binding, or a field of one."""
    while _SELECT in node:
        node = _fields(_fields(node[_SELECT][0])[1][0])
    return _IDENT in node


def _is_constant_list(node: Message) -> bool:
    return _LIST in node and 1 not in _fields(node[_LIST][0])


def _fields(data: bytes) -> Message:
    message: Message = {}
    for number, value in _walk(data):
        message.setdefault(number, []).append(value)
    return message


def _walk(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, form = tag >> 3, tag & 7
        if form == 0:
            _, at = _varint(data, at)
            yield number, b""
        elif form == 1:
            at += 8
        elif form == 5:
            at += 4
        else:
            length, at = _varint(data, at)
            yield number, data[at : at + length]
            at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def measure(bindings: Mapping[str, Any]) -> tuple[int, int]:
    """The size of all bindings, and the number of elements of their longest list or object."""
    size = longest = 0
    pending: list[Any] = [bindings]
    while pending:
        value = pending.pop()
        size += 16
        if isinstance(value, str):
            size += len(value)
        elif isinstance(value, Mapping):
            longest = max(longest, len(value))
            size += sum(map(len, value))
            pending.extend(value.values())
        elif isinstance(value, list):
            longest = max(longest, len(value))
            pending.extend(value)
    return size, longest
