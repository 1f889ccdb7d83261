"""Who is meant: the target of a patch, the source of a replacement, a label selector.

A target's group, version, kind, name and namespace are regular expressions that must match the whole text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from .errors import BuildError
from .patterns import matcher
from .resource import DEFAULT_NAMESPACE, Gvk, Id, Resource

_SPECIAL = frozenset("=!(),><")
_TOKENS = frozenset((")", ",", "!", "==", "=", ">", "<", "!=", "("))
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?\Z")
_DNS = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*\Z")
_INT = re.compile(r"[-+]?[0-9]{1,18}\Z")

Requirement = Callable[[Mapping[str, str]], bool]


class Selector(NamedTuple):
    """A patch target."""

    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    labels: str = ""
    annotations: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Selector:
        names = {key: data.get(key, "") for key in ("group", "version", "kind", "name", "namespace")}
        return cls(**names, labels=data.get("labelSelector", ""), annotations=data.get("annotationSelector", ""))

    def check(self) -> None:
        """Raise BuildError for an expression that cannot be read."""
        for pattern in (self.group, self.version, self.kind, self.name, self.namespace):
            matcher(pattern)

    def names_an_id(self) -> bool:
        return any((self.group, self.version, self.kind, self.name, self.namespace))

    def matches_gvk(self, gvk: Gvk | Id) -> bool:
        return matcher(self.group)(gvk.group) and matcher(self.version)(gvk.version) and matcher(self.kind)(gvk.kind)

    def matches_id(self, group: str, version: str, kind: str, name: str, namespace: str) -> bool:
        return (
            matcher(self.group)(group)
            and matcher(self.version)(version)
            and matcher(self.kind)(kind)
            and matcher(self.name)(name)
            and matcher(self.namespace)(namespace)
        )

    def matches(self, item: Resource) -> bool:
        """Is the object meant? Its first and its present name and namespace count."""
        now, first = item.id, item.original_id
        space = matcher(self.namespace)
        if not space(first.namespace) and not space(now.namespace):
            return False
        named = matcher(self.name)
        if not named(first.name) and not named(now.name):
            return False
        return self.matches_gvk(item.gvk) and self.matches_maps(item)

    def matches_maps(self, item: Resource) -> bool:
        """Do the object's labels and annotations fit?"""
        if self.labels and not label_selector(self.labels)(item.labels):
            return False
        return not self.annotations or label_selector(self.annotations)(item.annotations)


class ExactSelector(NamedTuple):
    """The source of a replacement: plain texts, and an empty one matches all."""

    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> ExactSelector:
        return cls(*(data.get(key, "") for key in ("group", "version", "kind", "name", "namespace")))

    def matches(self, group: str, version: str, kind: str, name: str, namespace: str) -> bool:
        return (
            (not self.name or self.name == name)
            and (not self.namespace or (self.namespace or DEFAULT_NAMESPACE) == (namespace or DEFAULT_NAMESPACE))
            and Gvk(group, version, kind).selected_by(Gvk(self.group, self.version, self.kind))
        )

    def __str__(self) -> str:
        given = {
            "kind": self.kind,
            "name": self.name,
            "namespace": self.namespace,
            "group": self.group,
            "version": self.version,
        }
        return " ".join(f"{key} {value!r}" for key, value in given.items() if value) or "an empty selector"


def _tokens(selector: str) -> list[tuple[str, str]]:
    """(type, text) pairs: an operator is its own type, a word has type "word", `in` and `notin` their own."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(selector):
        char = selector[at]
        if char in " \t\r\n":
            at += 1
        elif char in _SPECIAL:
            size = 2 if selector[at : at + 2] in _TOKENS else 1
            found.append((selector[at : at + size], selector[at : at + size]))
            at += size
        else:
            end = at
            while end < len(selector) and selector[end] not in _SPECIAL and selector[end] not in " \t\r\n":
                end += 1
            word = selector[at:end]
            found.append((word if word in ("in", "notin") else "word", word))
            at = end
    found.append(("end", ""))
    return found


class _Parser:
    def __init__(self, selector: str) -> None:
        self.selector = selector
        self.tokens = _tokens(selector)
        self.at = 0

    def error(self, expected: str) -> BuildError:
        found = self.tokens[self.at][1] or "its end"
        return BuildError(f"{self.selector!r} is not a selector: expected {expected} instead of {found!r}")

    def peek(self, *, words: bool = True) -> str:
        kind = self.tokens[self.at][0]
        return "word" if words and kind in ("in", "notin") else kind

    def take(self) -> str:
        literal = self.tokens[self.at][1]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return literal

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while self.peek() != "end":
            if self.peek() not in ("word", "!"):
                raise self.error("a key or !")
            found.append(self.requirement())
            if self.peek() == "end":
                break
            if self.peek() != ",":
                raise self.error("a comma")
            self.take()
            if self.peek() not in ("word", "!"):
                raise self.error("a key")
        return found

    def requirement(self) -> Requirement:
        absent = self.peek() == "!"
        if absent:
            self.take()
        if self.peek() != "word":
            raise self.error("a key")
        key = self.take()
        _check_key(key)
        if absent:
            if self.peek() not in ("end", ","):
                raise self.error("a comma")
            return lambda labels: key not in labels
        if self.peek() in ("end", ","):
            return lambda labels: key in labels
        operator = self.peek(words=False)
        if operator not in ("in", "notin", "=", "==", "!=", ">", "<"):
            raise self.error("an operator")
        self.take()
        values = self.values() if operator in ("in", "notin") else {self.value()}
        for value in values:
            if value and (len(value) > 63 or not _NAME.match(value)):
                raise BuildError(f"{value!r} in the selector {self.selector!r} cannot be the value of a label")
        if operator in ("in", "=", "=="):
            return lambda labels: key in labels and labels[key] in values
        if operator in ("notin", "!="):
            return lambda labels: key not in labels or labels[key] not in values
        (bound,) = values
        if not _INT.match(bound):
            raise BuildError(f"{bound!r} in the selector {self.selector!r} must be a whole number")
        sign = 1 if operator == ">" else -1
        return lambda labels: (
            key in labels and bool(_INT.match(labels[key])) and (int(labels[key]) - int(bound)) * sign > 0
        )

    def value(self) -> str:
        if self.peek() in ("end", ","):
            return ""
        if self.peek() != "word":
            raise self.error("a value")
        return self.take()

    def values(self) -> set[str]:
        if self.peek() != "(":
            raise self.error("an opening parenthesis")
        self.take()
        found: set[str] = set()
        while True:
            if self.peek() == "word":
                found.add(self.take())
            else:
                found.add("")
            if self.peek() == ")":
                self.take()
                return found
            if self.peek() != ",":
                raise self.error("a comma or a closing parenthesis")
            self.take()


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if (slash and not (len(prefix) <= 253 and _DNS.match(prefix))) or len(name) > 63 or not _NAME.match(name):
        raise BuildError(f"{key!r} in a selector cannot be the key of a label")


@lru_cache(maxsize=256)
def label_selector(selector: str) -> Requirement:
    """A test of labels (or annotations). BuildError when the selector cannot be read."""
    requirements = _Parser(selector).requirements()
    return lambda labels: all(requirement(labels) for requirement in requirements)
