"""CEL functions on texts that mean something to the API."""

from __future__ import annotations

from shared.text.cel import Function


def _escaped(key: str) -> str:
    """A key as a JSON pointer has it."""
    return key.replace("~", "~0").replace("/", "~1")


FUNCTIONS = [Function("jsonpatch.escapeKey", ("string",), "string", _escaped, member=False)]
