"""Object initialisers of mutating policies, as map literals: `Object{spec: Object.spec{replicas: 3}}` means
`{"spec": {"replicas": 3}}`, and `JSONPatch{op: "add", …}` likewise. What isn't one stays as it is written.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""[rRbB]{0,2}(?:'''(?:[^\\]|\\.)*?'''|\"{3}(?:[^\\]|\\.)*?\"{3}|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
    r"|//[^\n]*|\s+|[A-Za-z_]\w*|.",
    re.DOTALL,
)
_WORD = re.compile(r"[A-Za-z_]\w*\Z")
_TYPES = ("Object", "JSONPatch")
_OPEN, _CLOSED = "([{", ")]}"


def as_maps(expression: str) -> str:
    """The expression with its initialisers as map literals."""
    out: list[str] = []
    within: list[bool] = []
    """For each open bracket, whether it is that of an initialiser."""
    key_follows = False
    tokens = [match[0] for match in _TOKEN.finditer(expression)]
    for index, word in enumerate(tokens):
        if word in _OPEN:
            is_object = word == "{" and _drop_type(out)
            within.append(is_object)
            key_follows = is_object
        elif word in _CLOSED:
            if within:
                within.pop()
            key_follows = False
        elif word == ",":
            key_follows = bool(within and within[-1])
        elif key_follows and _WORD.match(word):
            key_follows = False
            if _next(tokens, index) == ":":
                word = f'"{word}"'
        out.append(word)
    return "".join(out)


def _drop_type(out: list[str]) -> bool:
    """Take the name of an initialiser's type off the end; whether there was one."""
    start = len(out)
    while start and out[start - 1].isspace():
        start -= 1
    end = start
    while start and (_WORD.match(out[start - 1]) or out[start - 1] == "."):
        start -= 1
    if start == end or out[start] not in _TYPES:
        return False
    del out[start:]
    return True


def _next(tokens: list[str], index: int) -> str:
    return next((one for one in tokens[index + 1 :] if not one.isspace()), "")
