"""The JSONPath of printer columns: fields, indices, wildcards, filters and quoted names, without functions."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson

Step = Callable[[Any], list[Any]]

_STEP = re.compile(
    r"""\.(?P<field>(?:[^.\[\]\\]|\\.)+)
      | \[\s*(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]
      | \[(?P<wild>\*)\]
      | \[(?P<index>-?\d+)\]
      | \[(?P<start>-?\d*):(?P<end>-?\d*)\]
      | \[\?\((?P<filter>.+?)\)\]""",
    re.VERBOSE,
)
_FILTER = re.compile(r"""^\s*@(?P<path>[^\s=!<>]*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*$""")


@lru_cache(maxsize=1024)
def compile(path: str) -> Callable[[Any], list[Any]]:
    """A function that finds the values of a path such as `.status.conditions[?(@.type=="Ready")].status`.

    ValueError when the path has something that isn't supported."""
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if text and text[0] not in ".[":
        text = "." + text
    steps: list[Step] = []
    position = 0
    while position < len(text):
        match = _STEP.match(text, position)
        if match is None:
            raise ValueError(f"JSONPath {path!r} can't be read from {text[position:]!r}")
        steps.append(_step(match))
        position = match.end()

    def find(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            found = [result for one in found for result in step(one)]
        return [one for one in found if one is not None]

    return find


def _step(match: re.Match[str]) -> Step:
    if match["field"] is not None or match["quoted"] is not None:
        name = match["quoted"] if match["quoted"] is not None else match["field"].replace("\\", "")
        if name == "*":
            return _children
        return lambda value: [value[name]] if isinstance(value, dict) and name in value else []
    if match["wild"]:
        return _children
    if match["index"] is not None:
        index = int(match["index"])
        return lambda value: [value[index]] if isinstance(value, list) and -len(value) <= index < len(value) else []
    if match["filter"] is not None:
        return _filter(match["filter"])
    start = int(match["start"]) if match["start"] else None
    end = int(match["end"]) if match["end"] else None
    return lambda value: value[start:end] if isinstance(value, list) else []


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list) else []


def _filter(text: str) -> Step:
    match = _FILTER.match(text)
    if match is None:
        raise ValueError(f"JSONPath filter {text!r} is not supported")
    path = compile(match["path"])
    operator = match["op"]
    wanted = _literal(match["value"]) if operator else None

    def keep(value: Any) -> bool:
        found = path(value)
        if not operator:
            return bool(found)
        if not found:
            return False
        return _compare(found[0], operator, wanted)

    return lambda value: [one for one in _children(value) if keep(one)]


def _literal(text: str) -> Any:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _compare(left: Any, operator: str, right: Any) -> bool:
    if operator == "==":
        return bool(left == right)
    if operator == "!=":
        return bool(left != right)
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    same_type = isinstance(left, str) is isinstance(right, str)
    if not same_type:
        return False
    return bool({"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[operator])


def text(value: Any) -> str:
    """A found value as a cell shows it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return orjson.dumps(value).decode()
