"""Plain values to YAML, byte for byte what `kustomize build` prints for them.

What passes through: objects on their way to a user, a Git repository, a digest. What always holds: equal values give
equal bytes (keys are sorted), and the text loads back to the same value, under the rules of kubectl and of kustomize.

A scalar is plain where it stays text that way, 'single quoted' where only its characters forbid that, "double quoted"
where it would mean something else or has characters that need an escape, and a literal block where it has lines.
Plain and quoted ones are folded at the first space behind column 80.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from .errors import DEFAULT_LIMITS, YAMLError
from .numbers import shortest
from .order import ordered
from .scalars import MAX_INT, MIN_INT, YAML_1_1, json_number

_WIDTH = 80
_LONGEST_KEY = 128  # bytes; a longer one is written as `? key`
_REMEMBERED = 8192

# Printable and not a line break; U+2028 and U+2029 are breaks and are written by a path of their own.
_SPECIAL_ASCII = re.compile(r"[^\n\x20-\x7e]")
_SPECIAL = r"[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd]"
_SEPARATOR = re.compile("[\u2028\u2029]")
_INDICATOR = re.compile(r"[#,\[\]{}&*!|>'\"%@`]|[?:-](?: |\Z)|---|\.\.\.|.*?(?::(?: |\Z)| #)", re.DOTALL)
_SAFE = re.compile(r"[A-Za-z_/$(<][A-Za-z0-9_/$().-]*\Z")
_BASE_60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?\Z", re.ASCII)
_ESCAPED_ASCII = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_ESCAPED = r"[^\x20\x21\x23-\x5b\x5d-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]"
_ALL = re.compile(".", re.DOTALL)
_SHORT_ESCAPES = {
    "\0": "\\0", "\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r",
    "\x1b": "\\e", '"': '\\"', "\\": "\\\\", "\x85": "\\N", "\xa0": "\\_", "\u2028": "\\L", "\u2029": "\\P",
}  # fmt: skip
_BOM = "\ufeff"


def dump(value: Any) -> str:
    """The YAML text of one value, ending in a newline. YAMLError for what has no JSON form."""
    return _Emitter().document(value)


def dump_all(values: Iterable[Any]) -> str:
    """The YAML text of several values, with `---` lines between them."""
    emitter = _Emitter()
    return "---\n".join(emitter.document(value) for value in values)


class _Emitter:
    """Writes documents; remembers how keys and short scalars look, and the order of each set of keys."""

    def __init__(self) -> None:
        self.texts = _Texts()
        self.orders: dict[tuple[str, ...], list[tuple[str, str | None]]] = {}
        self.out: list[str] = []

    def document(self, value: Any) -> str:
        self.out = []
        if value.__class__ is dict and value:
            self.mapping(value, "", "", DEFAULT_LIMITS.depth)
        elif value.__class__ is list and value:
            self.sequence(value, "", "", DEFAULT_LIMITS.depth)
        else:
            self.value("", value, "", DEFAULT_LIMITS.depth, root=True)
        return "".join(self.out)

    def mapping(self, node: dict[str, Any], head: str, indent: str, levels: int) -> None:
        """head: what stands on the first line already ("  - "); indent: where the following keys begin."""
        if levels <= 0:
            raise YAMLError("the value is nested too deeply, or contains itself")
        out = self.out
        texts = self.texts
        keys = tuple(node)
        order = self.orders.get(keys)
        if order is None:
            order = self.order(keys)
        for key, name in order:
            value = node[key]
            kind = value.__class__
            if name is None:
                self.long_key(key, value, head, indent, levels)
            elif kind is str:
                text = texts[value]
                if text is not None and ((len(text) < 40 and len(head) + len(name) < 40) or " " not in text):
                    out.append(f"{head}{name} {text}\n")
                else:
                    self.string(head + name, value, indent + "  ")
            elif kind is dict and value:
                out.append(f"{head}{name}\n")
                inner = indent + "  "
                self.mapping(value, inner, inner, levels - 1)
            elif kind is list and value:
                out.append(f"{head}{name}\n")
                self.sequence(value, indent, indent, levels - 1)
            else:
                self.value(head + name, value, indent, levels)
            head = indent

    def sequence(self, node: list[Any], head: str, indent: str, levels: int) -> None:
        """head: what stands on the first line already; indent: where the dashes stand."""
        if levels <= 0:
            raise YAMLError("the value is nested too deeply, or contains itself")
        inner = indent + "  "
        for value in node:
            kind = value.__class__
            if kind is dict and value:
                self.mapping(value, head + "- ", inner, levels - 1)
            elif kind is str:
                self.string(head + "-", value, inner)
            elif kind is list and value:
                self.sequence(value, head + "- ", inner, levels - 1)
            else:
                self.value(head + "-", value, indent, levels)
            head = indent

    def value(self, head: str, value: Any, indent: str, levels: int, *, root: bool = False) -> None:
        """Any value behind `head`, on its line when it fits there."""
        space = "" if root else " "
        if value is None or isinstance(value, bool | int | float):
            self.out.append(f"{head}{space}{scalar(value)}\n")
        elif isinstance(value, str):
            self.string(head, str(value), indent + "  ", space)
        elif isinstance(value, Mapping):
            if not value:
                self.out.append(f"{head}{space}{{}}\n")
            elif root:
                self.mapping(dict(value), "", "", levels)
            elif head.endswith("-"):
                self.mapping(dict(value), head + " ", indent + "  ", levels - 1)
            else:
                self.out.append(f"{head}\n")
                self.mapping(dict(value), indent + "  ", indent + "  ", levels - 1)
        elif isinstance(value, list | tuple):
            if not value:
                self.out.append(f"{head}{space}[]\n")
            elif root:
                self.sequence(list(value), "", "", levels)
            elif head.endswith("-"):
                self.sequence(list(value), head + " ", indent + "  ", levels - 1)
            else:
                self.out.append(f"{head}\n")
                self.sequence(list(value), indent, indent, levels - 1)
        else:
            raise YAMLError(f"a {type(value).__name__} has no YAML form")

    def string(self, head: str, value: str, indent: str, space: str = " ") -> None:
        """A string behind `head`; its further lines stand at `indent`."""
        text = self.texts[value]
        if text is None:
            self.out.append(f"{head}{space}{literal(value, indent)}")
        elif " " in text and len(head) + len(text) >= _WIDTH:
            self.out.append(f"{head}{space}{fold(text, len(head) + len(space), indent)}\n")
        else:
            self.out.append(f"{head}{space}{text}\n")

    def long_key(self, key: str, value: Any, head: str, indent: str, levels: int) -> None:
        """A key that is too long for `key: value`, or has several lines, behind a question mark."""
        inner = indent + "  "
        self.string(head + "?", key, inner)
        head = indent + ":"
        if isinstance(value, Mapping) and value:
            self.mapping(dict(value), head + " ", inner, levels - 1)
        elif isinstance(value, list | tuple) and value:
            self.sequence(list(value), head + " ", inner, levels - 1)
        else:
            self.value(head, value, indent, levels)

    def order(self, keys: tuple[str, ...]) -> list[tuple[str, str | None]]:
        """The keys in order, each with what is written for it, colon included; None for a long one."""
        order: list[tuple[str, str | None]] = []
        for key in keys:
            if not isinstance(key, str):
                raise YAMLError(f"the key {key!r} is not text")
        for key in ordered(keys):
            text = self.texts[key]
            long = len(key) > _LONGEST_KEY // 4 and len(key.encode("utf-8", "surrogatepass")) > _LONGEST_KEY
            order.append((key, None if long or text is None or _SEPARATOR.search(key) else text + ":"))
        if len(self.orders) < _REMEMBERED:
            self.orders[keys] = order
        return order


class _Texts(dict[str, str | None]):
    """How strings look, unfolded; None for those that become a literal block."""

    def __missing__(self, value: str) -> str | None:
        text = style(value)
        if len(value) < 64 and len(self) < _REMEMBERED:
            self[value] = text
        return text


def style(value: str) -> str | None:
    """A string as it is written when it needs no folding; None when it is a literal block."""
    if _SAFE.match(value):
        return f'"{value}"' if value in YAML_1_1.constants or value == "<<" else value
    if (_SPECIAL_ASCII if value.isascii() else _wide(_SPECIAL)).search(value):
        return double_quoted(value)
    if "\n" in value:
        return double_quoted(value) if value[-1] == " " or " \n" in value else None
    if not value or (value[0] in YAML_1_1.hints and not _stays_text(value)) or value == "<<":
        return double_quoted(value)
    if value[0] == " " or value[-1] == " " or _INDICATOR.match(value):
        return single_quoted(value)
    return value


def _stays_text(value: str) -> bool:
    if YAML_1_1.resolve(value).__class__ is not str or YAML_1_1.is_moment(value):
        return False
    return not _BASE_60.match(value)


def scalar(value: bool | int | float | None) -> str:
    """What is written for a value that is no text."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        if MIN_INT <= value <= MAX_INT:
            return int.__repr__(value)
        try:
            value = float(value)
        except OverflowError:
            raise YAMLError("a number is too large for YAML") from None
    if not math.isfinite(value):
        raise YAMLError(f"the number {value} has no JSON form")
    number = json_number(value)
    return int.__repr__(number) if number.__class__ is int else shortest(number)


def single_quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def double_quoted(value: str) -> str:
    # A text that begins with a byte order mark has all its characters escaped.
    if value.isascii():
        return '"' + _ESCAPED_ASCII.sub(_escape, value) + '"'
    return '"' + (_ALL if value.startswith(_BOM) else _wide(_ESCAPED)).sub(_escape, value) + '"'


@cache
def _wide(pattern: str) -> re.Pattern[str]:
    """Compiled when first needed: sets of all of Unicode take longer to compile than most texts to write."""
    return re.compile(pattern)


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    short = _SHORT_ESCAPES.get(char)
    if short is not None:
        return short
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:
        raise YAMLError("half a surrogate pair is no character")
    if code <= 0xFF:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def literal(value: str, indent: str) -> str:
    """A literal block: its header, and its lines at `indent`."""
    hint = "2" if value[0] in " \n\u2028\u2029" else ""
    if value[-1] != "\n":
        chomp = "-"
    elif len(value) == 1 or value[-2] == "\n":
        chomp = "+"
    else:
        chomp = ""
    lines = [indent + line if line else "" for line in value.split("\n")]
    if lines[-1]:
        lines.append("")
    return f"|{hint}{chomp}\n" + "\n".join(lines)


def fold(text: str, column: int, indent: str) -> str:
    """Break a scalar that begins at `column` at the first space behind column 80 of each line."""
    quote = text[0] if text[0] in "'\"" and text[-1] == text[0] and len(text) > 1 else ""
    # Between words only: never at the space beside a quote, and where two spaces meet only in double quotes, with a
    # backslash that keeps the second.
    first, last = (2, len(text) - 3) if quote else (1, len(text) - 2)
    pieces: list[str] = []
    start = 0
    at = max(first, _WIDTH + 1 - column)
    while True:
        at = text.find(" ", at)
        if at < 0 or at > last:
            break
        if text[at - 1] == " " or (text[at + 1] == " " and quote != '"'):
            at += 1
            continue
        pieces.append(text[start:at])
        pieces.append("\n" + indent)
        start = at + 1
        if text[start] == " ":
            pieces.append("\\")
            at = start + max(1, _WIDTH - len(indent))
        else:
            at = start + max(0, _WIDTH + 1 - len(indent))
    pieces.append(text[start:])
    return "".join(pieces)
