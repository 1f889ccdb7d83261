"""Expressions of admission: the names that they may use, and what is wrong with one in the words of an API server."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kubeapi.expressions import LIBRARY
from shared.text import cel

ALWAYS = ("namespaceObject", "object", "oldObject", "request")
_UNKNOWN = re.compile(
    r"ERROR: <input>:(\d+):(\d+): undeclared reference to '([\w.]+)' \(in container ''\)\n \| (.*)\n \| .*"
)
OBJECTS: tuple[str, ...] = ("map", "dyn")
"""The static types of an apply configuration: an initialiser is a map to the library."""
LISTS: tuple[str, ...] = ("list", "dyn")
_WANTED = {OBJECTS: "Object", LISTS: "list(JSONPatch)"}
_SHOWN_TYPES = {"map": "map(dyn, dyn)", "list": "list(dyn)"}


class Unfit(Exception):
    """An expression that has no value, in the words of an API server."""


def names(*, params: bool, variables: bool, authorizer: bool = True) -> tuple[str, ...]:
    """What an expression may name."""
    found = list(ALWAYS)
    if params:
        found.append("params")
    if variables:
        found.append("variables")
    if authorizer:
        found.append("authorizer")
    return tuple(found)


def compile(expression: str, known: Sequence[str], results: Sequence[str] = ()) -> cel.Program:
    """The program of an expression whose static type must be one of `results` (any when empty). Unfit when it isn't,
    or when the expression can't be read."""
    try:
        program = cel.compile(expression, variables=known, functions=LIBRARY)
    except cel.CELError as error:
        raise Unfit(f"compilation failed: {_report(error)}") from None
    if results and program.result not in results:
        got = _SHOWN_TYPES.get(program.result, program.result)
        wanted = _WANTED.get(tuple(results))
        if wanted:
            raise Unfit(f"must evaluate to {wanted} but got {got}")
        if len(results) == 1:
            raise Unfit(f"must evaluate to {results[0]} but got {got}")
        raise Unfit(f"must evaluate to one of [{' '.join(results)}] but got {got}")
    return program


def _report(error: cel.CELError) -> str:
    """The compiler's report, about a name rather than the path that starts with it."""
    return _UNKNOWN.sub(_first_name, error.report) if error.report else f"ERROR: <input>:1:1: {error}"


def _first_name(match: re.Match[str]) -> str:
    line, column, path, text = match.groups()
    start = int(column) - len(path.rpartition(".")[0])
    name = path.partition(".")[0]
    mark = "." * (start - 1) + "^"
    return f"ERROR: <input>:{line}:{start}: undeclared reference to '{name}' (in container '')\n | {text}\n | {mark}"
