"""Which names, keys and values Kubernetes takes: each function gives the problems of a text, none when it is right."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

Problems = tuple[str, ...]
Rule = Callable[[str], Problems]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_KEY})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_PORT_CHARACTERS = re.compile(r"[-a-z0-9]+")

_is_label = re.compile(_LABEL).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_label_1035 = re.compile(_LABEL_1035).fullmatch
_is_key = re.compile(_KEY).fullmatch
_is_value = re.compile(_VALUE).fullmatch
_is_config_key = re.compile(_CONFIG_KEY).fullmatch
_is_wildcard = re.compile(r"\*\." + _SUBDOMAIN).fullmatch
_is_identifier = re.compile(_IDENTIFIER).fullmatch
_has_letter = re.compile("[a-z]").search

EMPTY = "must be non-empty"


def too_long(limit: int, unit: str = "characters") -> str:
    return f"must be no more than {limit} {unit}"


def mismatch(rule: str, pattern: str, *examples: str) -> str:
    """What is said of a text that doesn't match: the rule in words, examples, and the pattern."""
    if not examples:
        return f"{rule} (regex used for validation is '{pattern}')"
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{rule} (e.g. {shown}regex used for validation is '{pattern}')"


@lru_cache(maxsize=8192)
def label(text: str) -> Problems:
    """An RFC 1123 label: a Service's or container's name."""
    problems = [too_long(63)] if len(text) > 63 else []
    if not _is_label(text):
        if _is_subdomain(text):
            problems.append("must not contain dots")
        else:
            rule = (
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
                "and must start and end with an alphanumeric character"
            )
            problems.append(mismatch(rule, _LABEL, "my-name", "123-abc"))
    return tuple(problems)


@lru_cache(maxsize=8192)
def subdomain(text: str) -> Problems:
    """An RFC 1123 subdomain: most objects' names."""
    problems = [too_long(253)] if len(text) > 253 else []
    if not _is_subdomain(text):
        rule = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character"
        )
        problems.append(mismatch(rule, _SUBDOMAIN, "example.com"))
    return tuple(problems)


def wildcard(text: str) -> Problems:
    """A host name that starts with a wildcard label."""
    problems = [too_long(253)] if len(text) > 253 else []
    if not _is_wildcard(text):
        rule = (
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist "
            "of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
        )
        problems.append(mismatch(rule, r"\*\." + _SUBDOMAIN, "*.example.com"))
    return tuple(problems)


@lru_cache(maxsize=4096)
def label_1035(text: str) -> Problems:
    """An RFC 1035 label: it starts with a letter."""
    problems = [too_long(63)] if len(text) > 63 else []
    if not _is_label_1035(text):
        rule = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
            "start with an alphabetic character, and end with an alphanumeric character"
        )
        problems.append(mismatch(rule, _LABEL_1035, "my-name", "abc-123"))
    return tuple(problems)


@lru_cache(maxsize=8192)
def qualified(text: str) -> Problems:
    """A label's or annotation's key: a name with an optional domain before it."""
    problems: list[str] = []
    rule = (
        "must consist of alphanumeric characters, '-', '_' or '.', "
        "and must start and end with an alphanumeric character"
    )
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        shown = mismatch(rule, _KEY, "MyName", "my.name", "123-abc")
        return (f"a valid label key {shown} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",)
    if slash:
        found = subdomain(prefix) if prefix else (EMPTY,)
        problems += [f"prefix part {problem}" for problem in found]
    if not name:
        problems.append(f"name part {EMPTY}")
    elif len(name) > 63:
        problems.append(f"name part {too_long(63, 'bytes')}")
    if not _is_key(name):
        problems.append("name part " + mismatch(rule, _KEY, "MyName", "my.name", "123-abc"))
    return tuple(problems)


@lru_cache(maxsize=8192)
def label_value(text: str) -> Problems:
    problems = [too_long(63, "bytes")] if len(text) > 63 else []
    if not _is_value(text):
        rule = (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character"
        )
        problems.append(mismatch(rule, _VALUE, "MyValue", "my_value", "12345"))
    return tuple(problems)


def config_key(text: str) -> Problems:
    """A key of a ConfigMap or Secret: it can be a file's name."""
    problems = [too_long(253)] if len(text) > 253 else []
    if not _is_config_key(text):
        rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        problems.append(mismatch(rule, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if text == ".":
        problems.append("must not be '.'")
    elif text == "..":
        problems.append("must not be '..'")
    elif text.startswith(".."):
        problems.append("must not start with '..'")
    return tuple(problems)


def identifier(text: str) -> Problems:
    """A C identifier."""
    if _is_identifier(text):
        return ()
    rule = (
        "a valid C identifier must start with alphabetic character or '_', "
        "followed by a string of alphanumeric characters or '_'"
    )
    return (mismatch(rule, _IDENTIFIER, "my_name", "MY_NAME", "MyName"),)


def path_segment(text: str) -> Problems:
    """A name that may stand in a URL's path: roles."""
    if text in (".", ".."):
        return (f"may not be '{text}'",)
    return path_segment_prefix(text)


def path_segment_prefix(text: str) -> Problems:
    return tuple(f"may not contain '{char}'" for char in "/%" if char in text)


def environment_variable(text: str) -> Problems:
    """A name of an environment variable: printable ASCII without =."""
    if not text:
        return (f"environment variable name {EMPTY}",)
    if all(" " <= char <= "~" and char != "=" for char in text):
        return ()
    return ("a valid environment variable name must consist only of printable ASCII characters other than '='",)


def port_name(text: str) -> Problems:
    """A port's name: short, with a letter."""
    problems = [too_long(15)] if len(text) > 15 else []
    if not _PORT_CHARACTERS.fullmatch(text):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _has_letter(text):
        problems.append("must contain at least one letter (a-z)")
    if "--" in text:
        problems.append("must not contain consecutive hyphens")
    if text and (text[0] == "-" or text[-1] == "-"):
        problems.append("must not begin or end with a hyphen")
    return tuple(problems)


def port_number(value: int) -> Problems:
    return () if 1 <= value <= 65535 else ("must be between 1 and 65535, inclusive",)


def of_prefix(rule: Rule, text: str) -> Problems:
    """A generateName under the rule of the name that it starts: a trailing dash becomes part of the name."""
    if len(text) > 1 and text.endswith("-") and rule is not path_segment:
        text = text[:-2] + "a"
    return path_segment_prefix(text) if rule is path_segment else rule(text)
