"""Webhook: a request as it came in, and what a proof makes of it.

Bodies are JSON as Go reads it: what follows the first value is ignored where upstream does so, and every number is a
floating-point one, so that an expression written for upstream means the same here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

_SHOWN = 100


@dataclass(frozen=True)
class Webhook:
    """A request."""

    headers: Mapping[str, str]
    """By name, whatever its case."""
    body: bytes = b""

    def header(self, name: str) -> str:
        """A header's value, "" without it."""
        return self.headers.get(name, "")

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; "" without one."""
        return self.header("Content-Type").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Proven:
    """A webhook whose sender is known."""

    body: bytes
    """What filters see: the body, or the message that a sender wraps in it."""
    event: str = ""
    """The event that the sender names, or what it is about: for the log."""
    claims: Mapping[str, Any] | None = None
    """What an issuer says of the sender; None for types without a token."""


class Refused(Exception):
    """Why a webhook isn't believed: for the log. The sender is told `answer` only, which says nothing unless somebody
    who may be told is known to be asking."""

    def __init__(self, message: str, *, answer: str = "") -> None:
        super().__init__(message)
        self.answer = answer


def shown(text: str) -> str:
    """What a sender says, fit for a log."""
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return "".join(mark if mark.isprintable() else "\ufffd" for mark in cut)


def json_value(body: bytes, *, whole: bool = False) -> Any:
    """The first JSON value of a body, or the only one where the `whole` body must be one. ValueError without."""
    text = body.decode(errors="replace").lstrip(" \t\r\n")
    try:
        value, end = _DECODER.raw_decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if whole and text[end:].strip(" \t\r\n"):
        raise ValueError("something follows it")
    return value


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("it holds a number that is too large")
    return number


_DECODER = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_not_json)
