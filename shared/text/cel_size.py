"""What can evaluating an expression cost? From its syntax tree and the size of its bindings.

The estimate is of bytes and too large rather than too small: a field of a binding counts as all of the bindings, a loop
as if each round met the worst. It is there to tell `status.conditions.filter(c, …)` from
`[s].map(s, s+s).map(s, s+s)…`, which doubles with every word, and from `list.all(x, text.matches('…'))`, which reads a
long text again and again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
# Functions that make many small values of one large.
_SPLITTING = frozenset({"split", "findAll"})
_PIECE = 40
# Functions that cost more for each byte than comparing does, and how many times as much: those that search, and those
# that go through Python or make many values.
_SLOW = dict.fromkeys(_WORD.findall("contains matches replace"), 10) | dict.fromkeys(
    _WORD.findall(
        "sum min max isSorted indexOf lastIndexOf find findAll split sets.contains sets.equivalent sets.intersects"
    ),
    200,
)
# What hardly looks at its arguments costs nothing.
_FREE = frozenset(_WORD.findall("_&&_ _||_ !_ _?_:_ size type hasValue orValue optional.of @not_strictly_false"))

# The fields of the messages of cel/expr/syntax.proto and checked.proto that matter here.
_EXPR_OF = {b"type.googleapis.com/cel.expr.CheckedExpr": 4, b"type.googleapis.com/cel.expr.ParsedExpr": 2}
_CONST, _IDENT, _SELECT, _CALL, _LIST, _STRUCT, _LOOP = 3, 4, 5, 6, 7, 8, 9


class NestingError(ValueError):
    """Loops are inside one another deeper than anyone needs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What evaluating may take at most."""

    largest: int
    """Bytes of the largest value on the way."""
    work: int
    """Bytes that are read, counted as often as they are; slow reading counts more."""


class Tree:
    """The syntax tree of a compiled expression."""

    def __init__(self, serialized: bytes) -> None:
        """serialized: the compiled expression, as the library gives it."""
        message = _fields(serialized)
        kind, value = bytes(message[1][0]), message[2][0]
        self._root = _fields(_fields(value)[_EXPR_OF[kind]][0])

    def cost(self, size: int, longest: int) -> Cost:
        """The cost of evaluating. size: of all bindings; longest: the number of elements of their longest list."""
        estimate = _Estimate(size, longest)
        estimate.visit(self._root, {})
        return Cost(estimate.largest, min(_HUGE, estimate.work))


@dataclass(frozen=True, slots=True)
class _Variable:
    """A name that the expression itself binds."""

    size: int
    given: bool
    """It is part of the bindings: lists in it are no longer than theirs."""


_Known = Mapping[bytes, _Variable]


class _Estimate:
    """One walk over a tree. visit() gives the largest size of a node's value."""

    def __init__(self, size: int, longest: int) -> None:
        self.size = size
        self.longest = longest
        self.largest = 0
        self.work = 0
        self._loops = 0
        self._times = 1
        """How often the place that the walk is at is evaluated."""

    def visit(self, node: Message, known: _Known) -> int:
        found = min(_HUGE, self._measured(node, known))
        self.largest = max(self.largest, found)
        return found

    def _measured(self, node: Message, known: _Known) -> int:
        if _IDENT in node:
            variable = known.get(_text(_fields(node[_IDENT][0]), 1))
            return self.size if variable is None else variable.size
        if _SELECT in node:
            select = _fields(node[_SELECT][0])
            held = self.visit(_fields(select[1][0]), known)
            return 1 if 3 in select else held
        if _CALL in node:
            return self._call(_fields(node[_CALL][0]), known)
        if _LIST in node:
            return 1 + sum(self.visit(_fields(item), known) for item in _fields(node[_LIST][0]).get(1, ()))
        if _STRUCT in node:
            entries = [_fields(entry) for entry in _fields(node[_STRUCT][0]).get(2, ())]
            parts = [entry[part][0] for entry in entries for part in (3, 4) if part in entry]
            return 1 + sum(self.visit(_fields(part), known) for part in parts)
        if _LOOP in node:
            return self._loop(_fields(node[_LOOP][0]), known)
        return 16 + len(node[_CONST][0]) if _CONST in node else 16

    def _call(self, called: Message, known: _Known) -> int:
        name = _text(called, 2).decode()
        parts = [self.visit(_fields(part), known) for part in (*called.get(1, ()), *called.get(3, ()))]
        result = 16 + sum(parts)
        if name in _SMALL_RESULT:
            result = 16
        elif name == "_?_:_":
            result = max(parts[1:])
        elif name in _PRODUCT:
            result = 1
            for part in parts:
                result = min(_HUGE, result * (part + 1))
        elif name in _SPLITTING:
            result = 16 + _PIECE * sum(parts)
        elif name in ("base64.encode", "strings.quote"):
            result = 16 + 4 * sum(parts)
        if name not in _FREE:
            self.work += self._times * (sum(parts) + result) * _SLOW.get(name, 1)
        return result

    def _loop(self, node: Message, known: _Known) -> int:
        over, step, result = (_fields(node[number][0]) for number in (2, 6, 7))
        held, start = self.visit(over, known), self.visit(_fields(node[4][0]), known)
        element, second, gathered = _text(node, 1), _text(node, 8), _text(node, 3)
        if _LIST in over and 1 not in _fields(
            over[_LIST][0]
        ):  # cel.bind: no round, what is "gathered" is what is bound
            return self.visit(result, {**known, gathered: _Variable(start, False)})
        self._loops += 1
        if self._loops > LOOPS:
            raise NestingError(f"loops are inside one another more than {LOOPS} deep")
        given = _is_given(over, known)
        rounds = min(ROUNDS, held, self.longest if given else held)
        # All elements together are as large as the list: one round sees them all, the others see none.
        nothing = {**known, second: _Variable(16, False), gathered: _Variable(0, False)}
        once = self.visit(step, {**nothing, element: _Variable(held, given), second: _Variable(held, given)})
        times = self._times
        self._times = min(ROUNDS, times * rounds)
        empty = self.visit(step, {**nothing, element: _Variable(0, given)})
        self._times = times
        self._loops -= 1
        total = min(_HUGE, start + once + rounds * empty)
        return self.visit(result, {**known, gathered: _Variable(total, False)})


def _is_given(node: Message, known: _Known) -> bool:
    """A binding, or a part of one."""
    while _SELECT in node:
        node = _fields(_fields(node[_SELECT][0])[1][0])
    if _IDENT not in node:
        return False
    variable = known.get(_text(_fields(node[_IDENT][0]), 1))
    return variable is None or variable.given


Message = dict[int, list[bytes]]
"""A protobuf message: the values of each field. Numbers are left out."""


def _text(message: Message, number: int) -> bytes:
    return message[number][0] if number in message else b""


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
