"""`${var}` in manifests: the functions of a post-build substitution.

What passes through: the YAML text of one object and the variables of a Kustomization. What always holds: the time is
linear in text, values and result; the result is no larger than the limit; anything else ends in a SubstitutionError.

    ${var}                      the value; in strict mode an error when it is not set
    ${#var}                     its length in bytes
    ${var:-x} ${var:=x} ${var=x} ${var:?x} ${var:+x}      x when the value is empty or not set (all five the same)
    ${var:2} ${var:2:3}         a part: from a byte on, and how many; a position may be negative, to count from the end
    ${var^} ${var^^} ${var,} ${var,,}                     first letter or all in upper or lower case
    ${var/x/y} ${var//x/y} ${var/#x/y} ${var/%x/y}        the first, all, a leading, a trailing x becomes y
    ${var#x} ${var##x} ${var%x} ${var%%x}                 without the shortest or longest beginning or end that matches
                                                          x: * is any text, ? any character, [a-z] and [^a-z] one of
    $${var}                     stays `${var}`; `$$` is a dollar sign

x and y may be `${…}` themselves. As upstream has it, they are evaluated even where the value makes them unneeded, so in
strict mode their variables must be set; a pattern for an end is read backwards together with the text, so `%[a-z]`
matches nothing; `+` means what `-` means. Where upstream cuts a multi-byte character in two or panics (a negative
length), this module raises or, for `?`, takes the whole character.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import globs

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*\Z")
_NAME_RULE = "^[_[:alpha:]][_[:alpha:][:digit:]]*$"
_IDENT = re.compile(r"\w+")
_UP_TO_COLON = re.compile(r"(?:[^:}$]|\$(?!\{))+")
_UP_TO_BRACE = re.compile(r"(?:[^}$]|\$(?!\{))+")
_UP_TO_SLASH_ESCAPED = re.compile(r"(?:\\[/\\]|\$\$|[^/$]|\$(?!\{))+")
_UP_TO_BRACE_ESCAPED = re.compile(r"(?:\\[/\\]|\$\$|[^}$]|\$(?!\{))+")
_ESCAPED = re.compile(r"\\([/\\])|\$(\$)")
_NUMBER = re.compile(r"[-+]?[0-9]+\Z")
_DEFAULTS = frozenset({":-", ":=", ":?", ":+", "="})
_DEPTH = 50
_LONGEST_PATTERN = 4096
DEFAULT_LIMIT = 64 * 1024 * 1024


class SubstitutionError(ValueError):
    """A template that cannot be read, a variable that is not set, or a result that is too large."""


@dataclass(frozen=True, slots=True)
class _Call:
    """`${name op args}`; each argument is text or another call, adjacent ones of a default are joined."""

    name: str
    op: str
    args: tuple[str | _Call, ...]


def substitute(text: str, variables: Mapping[str, str], *, strict: bool = True, limit: int = DEFAULT_LIMIT) -> str:
    """The text with its `${…}` replaced.

    strict: a variable that is not set and has no default is an error; else it is empty. limit: the most characters
    that the result, and all that is made on the way to it, may have.
    """
    require_names(variables)
    if "$" not in text:
        return text
    parts = _parse(text)
    return _Evaluation(variables, strict, limit).text(parts)


def require_names(variables: Mapping[str, str]) -> None:
    """Every name of a variable is a letter or underscore, then letters, digits, underscores."""
    for name in variables:
        if not _NAME.match(name):
            raise SubstitutionError(f"'{name}' var name is invalid, must match '{_NAME_RULE}'")


def required(text: str) -> set[str]:
    """The names of the variables that the text mentions."""
    names: set[str] = set()
    pending = list(_parse(text))
    while pending:
        part = pending.pop()
        if isinstance(part, _Call):
            names.add(part.name)
            pending.extend(part.args)
    return names


# Text to parts.


def _parse(text: str) -> list[str | _Call]:
    parts: list[str | _Call] = []
    at = seen = 0
    while True:
        at = text.find("$", at)
        if at < 0:
            parts.append(text[seen:])
            return parts
        following = text[at + 1 : at + 2]
        if following == "{":
            parts.append(text[seen:at])
            call, at = _Reader(text).call(at + 2, _DEPTH)
            parts.append(call)
            seen = at
        elif following == "$":
            parts.append(text[seen : at + 1])
            at += 2
            seen = at
        else:
            at += 1


class _Reader:
    """Reads one `${…}`. The positions it takes and gives are those of the whole text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def call(self, at: int, levels: int) -> tuple[_Call, int]:
        """The call whose `${` ends at `at`, and the position behind its `}`."""
        if levels == 0:
            raise SubstitutionError(f"substitutions are nested deeper than {_DEPTH} levels")
        text = self.text
        if text.startswith("#", at):
            name, at = self.name(at + 1)
            if not name:
                raise SubstitutionError("bad substitution")
            return _Call(name, "#", ()), self.close(at)
        name, at = self.name(at)
        if not name:
            raise SubstitutionError("unable to parse variable name")
        operator = text[at : at + 1]
        if operator == "}":
            return _Call(name, "", ()), at + 1
        if operator == ":":
            following = text[at + 1 : at + 2]
            if following and following in "=-?+":
                return self.default(name, operator + following, at + 2, levels)
            if not following or not following.isascii():
                raise SubstitutionError("bad substitution")
            return self.part(name, at + 1, levels)
        if operator == "=":
            return self.default(name, operator, at + 1, levels)
        if operator and operator in ",^":
            if text[at + 1 : at + 2] in (",", "^"):
                operator += text[at + 1]
            return _Call(name, operator, ()), self.close(at + len(operator))
        if operator == "/":
            return self.replacement(name, at, levels)
        if operator and operator in "#%":
            if text.startswith(operator, at + 1):
                operator *= 2
            pattern, at = self.argument(at + len(operator), _UP_TO_BRACE, levels)
            return _Call(name, operator, (pattern,)), self.close(at)
        raise SubstitutionError("missing closing brace")

    def name(self, at: int) -> tuple[str, int]:
        match = _IDENT.match(self.text, at)
        if match is None:
            return "", at
        name = match[0]
        if not name.isascii():
            for index, char in enumerate(name):
                if not (char.isalpha() or char.isdecimal() or char == "_"):
                    name = name[:index]
                    break
        return name, at + len(name)

    def close(self, at: int) -> int:
        if not self.text.startswith("}", at):
            raise SubstitutionError("bad substitution")
        return at + 1

    def argument(self, at: int, pattern: re.Pattern[str], levels: int) -> tuple[str | _Call, int]:
        """One argument: a call, or text up to a call or to what the pattern excludes."""
        if self.text.startswith("${", at):
            return self.call(at + 2, levels - 1)
        match = pattern.match(self.text, at)
        if match is None:
            raise SubstitutionError("unable to parse substitution within function")
        return match[0], match.end()

    def default(self, name: str, operator: str, at: int, levels: int) -> tuple[_Call, int]:
        args: list[str | _Call] = []
        while not self.text.startswith("}", at):
            argument, at = self.argument(at, _UP_TO_BRACE, levels)
            args.append(argument)
        return _Call(name, operator, tuple(args)), at + 1

    def part(self, name: str, at: int, levels: int) -> tuple[_Call, int]:
        position, at = self.argument(at, _UP_TO_COLON, levels)
        if self.text.startswith("}", at):
            return _Call(name, ":", (position,)), at + 1
        at = self.delimiter(at, ":")
        length, at = self.argument(at, _UP_TO_BRACE, levels)
        return _Call(name, ":", (position, length)), self.close(at)

    def replacement(self, name: str, at: int, levels: int) -> tuple[_Call, int]:
        operator = "/"
        if self.text[at + 1 : at + 2] in ("/", "#", "%"):
            operator += self.text[at + 1]
        old, at = self.escaped(at + len(operator), _UP_TO_SLASH_ESCAPED, levels)
        at = self.delimiter(at, "/")
        if self.text.startswith("}", at):
            return _Call(name, operator, (old,)), at + 1
        new, at = self.escaped(at, _UP_TO_BRACE_ESCAPED, levels)
        return _Call(name, operator, (old, new)), self.close(at)

    def escaped(self, at: int, pattern: re.Pattern[str], levels: int) -> tuple[str | _Call, int]:
        argument, at = self.argument(at, pattern, levels)
        if isinstance(argument, str):
            argument = _ESCAPED.sub(lambda match: match[1] or match[2], argument)
        return argument, at

    def delimiter(self, at: int, char: str) -> int:
        end = at
        while self.text.startswith(char, end):
            end += 1
        if end == at:
            raise SubstitutionError("bad substitution")
        return end


# Parts to text.


class _Evaluation:
    def __init__(self, variables: Mapping[str, str], strict: bool, limit: int) -> None:
        self.variables = variables
        self.strict = strict
        self.limit = limit
        self.made = 0

    def text(self, parts: list[str | _Call]) -> str:
        return "".join([self.charged(part) if isinstance(part, str) else self.value(part) for part in parts])

    def charge(self, size: int) -> None:
        self.made += size
        if self.made > self.limit:
            raise SubstitutionError(f"the result is larger than {self.limit} characters")

    def charged(self, text: str) -> str:
        self.charge(len(text))
        return text

    def value(self, call: _Call) -> str:
        args = [self.charged(arg) if isinstance(arg, str) else self.value(arg) for arg in call.args]
        value = self.variables.get(call.name)
        if value is None:
            if self.strict and call.op not in _DEFAULTS:
                raise SubstitutionError(f'variable not set (strict mode): "{call.name}"')
            value = ""
        if call.op == "":
            return self.charged(value)
        if call.op in _DEFAULTS:
            return self.charged(value or "".join(args))
        if call.op in ("/", "//"):
            old, new = args[0], args[1] if len(args) > 1 else ""
            times = min(value.count(old), 1 if call.op == "/" else len(value) + 1)
            self.charge(len(value) + times * len(new))
            return value.replace(old, new, times)
        self.charge(len(value))
        return _FUNCTIONS[call.op](value, args)


def _length(value: str, args: list[str]) -> str:
    return str(len(value.encode("utf-8", "surrogatepass")))


def _simple(char: str, change: Callable[[str], str]) -> str:
    changed = change(char)
    return changed if len(changed) == 1 else char


def _upper(value: str, args: list[str] = []) -> str:  # noqa: B006 - never changed
    return value.upper() if value.isascii() else "".join(_simple(char, str.upper) for char in value)


def _lower(value: str, args: list[str] = []) -> str:  # noqa: B006 - never changed
    return value.lower() if value.isascii() else "".join(_simple(char, str.lower) for char in value)


def _number(text: str) -> int | None:
    if not _NUMBER.match(text) or len(text) > 20:
        return None
    number = int(text)
    return number if -(2**63) <= number < 2**63 else None


def _part(value: str, args: list[str]) -> str:
    data = value.encode("utf-8", "surrogatepass")
    start = _number(args[0])
    if start is None:
        return value
    if start < 0:
        start = max(0, len(data) + start)
    end = len(data)
    if len(args) > 1:
        length = _number(args[1])
        if length is None:
            return value
        if length < 0:
            raise SubstitutionError(f"the length {length} of a part is negative")
        end = min(end, start + length)
    try:
        return data[start:end].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise SubstitutionError("a part begins or ends inside a character; positions count bytes") from None


def _replace_start(value: str, args: list[str]) -> str:
    if len(args) != 2 or not value.startswith(args[0]):
        return value
    return args[1] + value[len(args[0]) :]


def _replace_end(value: str, args: list[str]) -> str:
    if len(args) != 2 or not value.endswith(args[0]):
        return value
    return value[: len(value) - len(args[0])] + args[1]


def _trim(value: str, pattern: str, *, longest: bool) -> str:
    if len(pattern) > _LONGEST_PATTERN:
        raise SubstitutionError(f"a pattern is longer than {_LONGEST_PATTERN} characters")
    return value[globs.matching_start(value, globs.parse(pattern), longest=longest) :]


def _trim_end(value: str, pattern: str, *, longest: bool) -> str:
    return _trim(value[::-1], pattern[::-1], longest=longest)[::-1]


_FUNCTIONS: dict[str, Callable[[str, list[str]], str]] = {
    "^": lambda value, args: _upper(value[:1]) + value[1:],
    "^^": _upper,
    ",": lambda value, args: _lower(value[:1]) + value[1:],
    ",,": _lower,
    # A second sign that differs from the first makes no known function: the value stays.
    "^,": lambda value, args: value,
    ",^": lambda value, args: value,
    ":": _part,
    "/#": _replace_start,
    "/%": _replace_end,
    "#": lambda value, args: _trim(value, args[0], longest=False) if args else _length(value, args),
    "##": lambda value, args: _trim(value, args[0], longest=True),
    "%": lambda value, args: _trim_end(value, args[0], longest=False),
    "%%": lambda value, args: _trim_end(value, args[0], longest=True),
}
