"""The Common Expression Language: text → Program; bindings → value. Only here: the CEL library, which is Google's own.

The language has what Flux gives its users: the standard macros and functions, optional types (`a.?b.orValue(c)`),
the strings, sets, encoders and bindings extensions; beyond them math and Kubernetes' functions on lists and regular
expressions.

What always holds: evaluation is bounded, whatever the expression. It has at most `LENGTH` characters and 32 levels of
nesting; its loops run 10000 times at most, all together; and it isn't begun when a value on the way could get larger
than `GROWTH`, or more be read than `WORK` (`cel_size`), for the library can't be interrupted. A field that isn't there
is an error, `no such key`; `has()` and optional selection ask for it; `||` and `&&` ignore the error of one side when
the other decides.

compile() either checks types, when variables are declared, or only the syntax; then names are resolved at evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cel_expr_python import cel as library
from cel_expr_python.ext import ext_bindings, ext_encoders, ext_math, ext_optional, ext_strings

from . import cel_functions, cel_size

LENGTH = 16_384
"""The longest expression, in characters."""
GROWTH = 128 * 1024 * 1024
"""The largest value that may come up while evaluating, in bytes, by the estimate of `cel_size`."""
WORK = 8 * 1024 * 1024 * 1024
"""How much may be read while evaluating, in bytes, by the estimate of `cel_size`: two seconds' worth."""

_SMALL = 4 * 1024 * 1024
"""An object of the API is no larger; an expression that stays below GROWTH for it needs no look at its bindings."""


class CELError(ValueError):
    """An expression that can't be read, has the wrong type, fails on its bindings or asks for too much."""

    report = ""
    """What can't be read with its line and a mark under the place, as a compiler prints it; "" for other problems."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that an application adds to the language."""

    name: str
    takes: tuple[str, ...]
    """The types of its arguments: dyn, string, bool, int, double, list."""
    result: str
    call: Callable[..., Any]
    """Gets and gives JSON values; a ValueError is the expression's error."""
    member: bool = True
    """Whether the first argument stands before the name: `a.f(b)`; else `f(a, b)`."""


class Library:
    """Functions that an application adds. Made once: programs are kept by the library that they were compiled with."""

    def __init__(self, functions: Iterable[Function]) -> None:
        overloads: dict[str, list[library.Overload]] = {}
        for index, one in enumerate(functions):
            takes = [_TYPES[name] for name in one.takes]
            made = library.Overload(f"{one.name}_{index}", _TYPES[one.result], takes, one.member, one.call)
            overloads.setdefault(one.name, []).append(made)
        self.extension = library.CelExtension(
            "application", [library.FunctionDecl(name, made) for name, made in overloads.items()]
        )


_TYPES = {
    "dyn": library.Type.DYN,
    "string": library.Type.STRING,
    "bool": library.Type.BOOL,
    "int": library.Type.INT,
    "double": library.Type.DOUBLE,
    "list": library.Type.List(library.Type.DYN),
}


class Program:
    """A compiled expression; immutable, may be evaluated from any thread and any number of times."""

    def __init__(self, text: str, expression: library.Expression, result: str) -> None:
        self.text = text
        self.result = result
        """The static type, such as "bool", "string", "int", "list", "map"; "dyn" when it isn't known."""
        self._expression = expression
        self._tree = cel_size.Tree(expression.serialize())
        self._harmless = self._problem(_SMALL, _SMALL) == ""

    def evaluate(self, bindings: Mapping[str, Any]) -> Any:
        """The value of the expression. bindings: JSON values by name. CELError when it has none.

        Whole numbers are CEL's int, those with a fraction double; a timestamp comes back as datetime, a duration as
        timedelta (microseconds), bytes as bytes.
        """
        if not self._harmless:
            problem = self._problem(*cel_size.measure(bindings))
            if problem:
                raise CELError(problem)
        try:
            found = self._expression.eval(data=bindings)
            value = found.plain_value()
        except TypeError as error:  # its text shows the bindings, which may hold secrets
            what = str(error)
            raise CELError(_evaluation_problem(what if what.startswith(_NO_VALUE) else _ODD)) from None
        except (RuntimeError, ValueError, OverflowError) as error:
            raise CELError(_evaluation_problem(str(error))) from error
        if repr(found.type()) == "ERROR":
            raise CELError(_evaluation_problem(str(value)))
        return bytes(value) if isinstance(value, bytearray) else value

    def _problem(self, size: int, longest: int) -> str:
        """What is wrong with evaluating this on bindings of a size; "" when nothing is."""
        cost = self._tree.cost(size, longest)
        if cost.largest > GROWTH:
            return "the expression could make a value that is too large: join less text, or loop over less"
        if cost.work > WORK:
            return "the expression could take too long: do less in each round of a loop, or loop over less"
        return ""


def compile(
    expression: str,
    *,
    variables: Iterable[str] | None = None,
    result: str | None = None,
    functions: Library | None = None,
) -> Program:
    """The program of an expression. CELError when it can't be read.

    variables: the names that are bound at evaluation; types are checked then, with these as objects of any fields.
    None: any name may be bound, and only the syntax is checked. result: the type that it must statically have, such as
    "bool" or "string"; needs variables. A bare field has none: `dep.ready == true` is a bool, `dep.ready` is not.
    functions: what the application adds to the language; with them variables may hold any value, not only objects.
    """
    if len(expression) > LENGTH:
        raise CELError(f"the expression has {len(expression)} characters, at most {LENGTH} are taken")
    if any("\ud800" <= char <= "\udfff" for char in expression):
        raise CELError("the expression holds half of a character pair, which no text can")
    if variables is None and result is not None:
        raise TypeError("a result type can be checked only when the variables are declared")
    return _compile(expression, None if variables is None else tuple(sorted(variables)), result, functions)


@lru_cache(maxsize=1024)
def _compile(
    expression: str, variables: tuple[str, ...] | None, result: str | None, functions: Library | None
) -> Program:
    try:
        environment = _environment(variables or (), functions)
        compiled = environment.compile(expression, disable_check=variables is None)
        program = Program(
            expression, compiled, "dyn" if variables is None else _type_name(repr(compiled.return_type()))
        )
    except RuntimeError as error:
        problem = CELError(_compile_problem(str(error)))
        problem.report = _CODE.sub("", str(error)) if _ERROR.search(str(error)) else ""
        raise problem from error
    except cel_size.NestingError as error:
        raise CELError(str(error)) from error
    if result is not None and program.result != result:
        raise CELError(f"CEL expression output type mismatch: expected {result}, got {program.result}")
    return program


@lru_cache(maxsize=32)
def _environment(variables: tuple[str, ...], functions: Library | None) -> library.Env:
    kind = library.Type("google.protobuf.Struct") if functions is None else library.Type.DYN
    return library.NewEnv(
        variables=dict.fromkeys(variables, kind),
        extensions=[
            ext_strings.ExtStrings(),
            ext_optional.ExtOptional(),
            ext_encoders.ExtEncoders(),
            ext_bindings.ExtBindings(),
            ext_math.ExtMath(),
            library.CelExtension("fluvial", cel_functions.DECLARATIONS),
            *([functions.extension] if functions is not None else ()),
        ],
    )


def _type_name(shown: str) -> str:
    """cel-go's name of a static type; that of the elements of a list or map is left out."""
    name = shown.partition("<")[0].lower()
    return {"google.protobuf.struct": "map", "null": "null_type"}.get(name, name)


# Escaped names: what can't be written as a field in CEL has another name there, as in the rules of a CRD.

_WORD = re.compile(r"\S+")
_RESERVED = frozenset(
    _WORD.findall(
        "true false null in as break const continue else for function if import let loop package namespace return "
        "var void while"
    )
)
_SIGNS = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_SIGN = re.compile("__|[./-]")
_FIELD = re.compile(r"[a-zA-Z_][a-zA-Z0-9_./-]*\Z")


def field_name(name: str) -> str | None:
    """The name under which an expression reaches a property of an object; None when it can't."""
    if name in _RESERVED:
        return f"__{name}__"
    if not _FIELD.match(name):
        return None
    return _SIGN.sub(lambda match: _SIGNS[match[0]], name)


# What the library says, in the words of cel-go, which users of Flux and Kubernetes find when they search for it.

_NO_VALUE, _ODD = "Unable to convert function return value", "Non-CEL value type"
_CODE = re.compile(r"\A[A-Z_]+: | \[[A-Z_]+\]\Z")
_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): ((?:(?!\n \||\nERROR: ).)*)", re.DOTALL)
_EVALUATION = (
    (re.compile(r'Key not found in map : "(.*)"', re.DOTALL), "no such key: {0}"),
    (re.compile(r"Key not found in map(.*)", re.DOTALL), "no such key"),
    (re.compile(r'No value with name "(.*)" found in Activation', re.DOTALL), "no such attribute(s): {0}"),
    (re.compile(r"No matching overloads found : (.*)", re.DOTALL), "no such overload: {0}"),
    (re.compile(r"Applying SELECT to non-message type()"), "no such overload: a field of what is no object"),
    (re.compile(r"divide by zero()"), "division by zero"),
    (re.compile(r"Iteration budget exceeded()"), "the expression loops too often, at most 10000 times are allowed"),
    (re.compile(rf"{_NO_VALUE}(.*)", re.DOTALL), "the result is optional: end in orValue()"),
    (re.compile(r"Index error: index=(-?\d+).*", re.DOTALL), "index out of bounds: {0}"),
    # A value that doesn't fit is shown by the library; it may be a secret.
    (
        re.compile(rf"({_ODD}|Integer value).*", re.DOTALL),
        "a binding holds a value that isn't of JSON, or a whole number beyond 64 bits",
    ),
)
_NESTING = re.compile(r"recursion (?:limit|depth)")
_SHOWN = 300


def _compile_problem(said: str) -> str:
    if _NESTING.search(said):
        return "the expression is nested too deep, or joins too many parts: at most 32 levels are taken"
    found = _ERROR.findall(said)
    if not found:
        return _cut(_CODE.sub("", said))
    return "; ".join(f"{line}:{column}: {_cut(_CODE.sub('', what.strip()))}" for line, column, what in found[:5])


def _evaluation_problem(said: str) -> str:
    said = _CODE.sub("", said)
    for pattern, words in _EVALUATION:
        match = pattern.match(said)
        if match:
            return _cut(words.format(*match.groups()))
    return _cut(said)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
