"""Label and field selectors: text → predicate, with the API's grammar and messages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kubeapi.errors import StatusError, bad_request

LabelPredicate = Callable[[Mapping[str, str]], bool]

_TOKEN = re.compile(r"\s*(==|!=|=|>|<|!|\(|\)|,|[^\s=!<>(),]+)")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_LENGTH = 64 * 1024


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label."""

    key: str
    operator: str
    """One of: in, notin, exists, !, gt, lt."""
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        if self.operator == "exists":
            return value is not None
        if self.operator == "!":
            return value is None
        if self.operator == "in":
            return value is not None and value in self.values
        if self.operator == "notin":
            return value is None or value not in self.values
        if value is None:
            return False
        try:
            left, right = int(value), int(self.values[0])
        except ValueError:
            return False
        return left > right if self.operator == "gt" else left < right


class _Problem(ValueError):
    pass


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """The requirements of a label selector, all of which must hold; 400 when it doesn't parse."""
    if not text or not text.strip():
        return ()
    if len(text) > _MAX_LENGTH:
        raise bad_request("label selector is too long")
    try:
        return tuple(_parse(text))
    except _Problem as problem:
        raise bad_request(f"unable to parse requirement: {problem}") from None


def _parse(text: str) -> Iterable[Requirement]:
    tokens = _TOKEN.findall(text)
    position = 0

    def peek() -> str:
        return tokens[position] if position < len(tokens) else ""

    def take() -> str:
        nonlocal position
        token = peek()
        position += 1
        return token

    while True:
        negated = peek() == "!"
        if negated:
            take()
        key = take()
        _require_key(key)
        operator = peek()
        if negated or operator in ("", ","):
            yield Requirement(key, "!" if negated else "exists")
        else:
            yield _comparison(key, take(), take, peek)
        rest = take()
        if not rest:
            return
        if rest != ",":
            raise _Problem(f"found '{rest}', expected: ',' or 'end of string'")
        if not peek():
            raise _Problem("found '', expected: identifier after ','")


def _comparison(key: str, operator: str, take: Callable[[], str], peek: Callable[[], str]) -> Requirement:
    if operator in ("=", "==", "!="):
        if peek() in ("=", "==", "!=", ">", "<", "!", "(", ")"):
            raise _Problem(f"found '{peek()}', expected: identifier")
        value = "" if peek() in ("", ",") else take()
        _require_value(key, value)
        return Requirement(key, "notin" if operator == "!=" else "in", (value,))
    if operator in (">", "<"):
        value = take()
        if not re.fullmatch(r"-?\d+", value):
            raise _Problem(
                f"values[0][{key}]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer"
            )
        return Requirement(key, "gt" if operator == ">" else "lt", (value,))
    if operator in ("in", "notin"):
        opening = take()
        if opening != "(":
            raise _Problem(f"found '{opening}' expected: '('")
        values: list[str] = []
        while True:
            token = take()
            if not token:
                raise _Problem("found '', expected: ',', ')' or identifier")
            if token in (",", ")"):
                values.append("")
            else:
                _require_value(key, token)
                values.append(token)
                token = take()
            if token == ")":  # noqa: S105 - a parenthesis
                return Requirement(key, operator, tuple(values))
            if token != ",":  # noqa: S105 - a comma
                raise _Problem(f"found '{token}', expected: ',' or ')'")
    raise _Problem(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")


def _require_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and (len(prefix) > 253 or not _PREFIX.fullmatch(prefix))):
        raise _Problem(
            f"<nil>: Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.', and "
            "must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex "
            "used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        )


def _require_value(key: str, value: str) -> None:
    if value and not _NAME.fullmatch(value):
        raise _Problem(
            f'values[0][{key}]: Invalid value: "{value}": a valid label must be an empty string or consist of '
            "alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
            "'MyValue',  or 'my_value',  or '12345', regex used for "
            "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        )


def of_label_selector(selector: Mapping[str, Any] | None) -> tuple[Requirement, ...] | None:
    """The requirements of a metav1.LabelSelector; None (which matches nothing) for an absent one."""
    if selector is None:
        return None
    found = [Requirement(k, "in", (v,)) for k, v in (selector.get("matchLabels") or {}).items()]
    operators = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
    for expression in selector.get("matchExpressions") or ():
        values = tuple(expression.get("values") or ())
        found.append(Requirement(expression.get("key", ""), operators[expression.get("operator", "In")], values))
    return tuple(found)


def format_labels(requirements: Iterable[Requirement]) -> str:
    """The text of a selector, as status.selector of a scale shows it."""
    parts = []
    for r in requirements:
        if r.operator == "in" and len(r.values) == 1:
            parts.append(f"{r.key}={r.values[0]}")
        elif r.operator in ("in", "notin"):
            parts.append(f"{r.key} {r.operator} ({','.join(sorted(r.values))})")
        else:
            parts.append(r.key if r.operator == "exists" else f"!{r.key}")
    return ",".join(sorted(parts))


def all_match(requirements: Iterable[Requirement], labels: Mapping[str, str]) -> bool:
    return all(r.matches(labels) for r in requirements)


# -- fields

_ALWAYS = ("metadata.name", "metadata.namespace")
_BUILT_IN: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    ("", "events"): (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingComponent",
        "reportingController",
        "source",
        "type",
    ),
    ("", "secrets"): ("type",),
    ("", "namespaces"): ("status.phase",),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "replicationcontrollers"): ("status.replicas",),
    ("", "services"): ("spec.clusterIP", "spec.type"),
    ("apps", "replicasets"): ("status.replicas",),
    ("batch", "jobs"): ("status.successful",),
    ("certificates.k8s.io", "certificatesigningrequests"): ("spec.signerName",),
}
_ABSENT = {"status.replicas": "0", "spec.hostNetwork": "false", "spec.unschedulable": "false", "status.successful": "0"}


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """One comparison of a field selector."""

    path: str
    value: str
    equal: bool


def parse_fields(
    text: str, storage: tuple[str, str], extra: Iterable[str] = (), *, custom: bool = False
) -> tuple[FieldTerm, ...]:
    """The terms of a field selector; 400 when it doesn't parse or names a field that can't be selected."""
    if not text or not text.strip():
        return ()
    allowed = {*_ALWAYS, *_BUILT_IN.get(storage, ()), *extra}
    terms = field_terms(text)
    for term in terms:
        if term.path not in allowed:
            raise _unsupported(term.path, storage, custom=custom)
    return terms


def field_terms(text: str) -> tuple[FieldTerm, ...]:
    """The terms of a field selector, whatever fields they name; 400 when it doesn't parse."""
    terms: list[FieldTerm] = []
    for part in re.split(r"(?<!\\),", text):
        if not part:
            continue
        for operator in ("!=", "==", "="):
            path, found, value = part.partition(operator)
            if found:
                break
        else:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        terms.append(FieldTerm(path.strip(), re.sub(r"\\([\\,=])", r"\1", value), operator != "!="))
    return tuple(terms)


def _unsupported(path: str, storage: tuple[str, str], *, custom: bool) -> StatusError:
    if storage == ("batch", "jobs"):
        return bad_request(f'field label "{path}" not supported for Job')
    if custom or (storage in _BUILT_IN and storage[0] != "apps"):
        return bad_request(f"field label not supported: {path}")
    return bad_request(f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"')


def fields_match(terms: Iterable[FieldTerm], manifest: Mapping[str, Any]) -> bool:
    return all((field_value(manifest, term.path) == term.value) is term.equal for term in terms)


def field_value(manifest: Mapping[str, Any], path: str) -> str:
    """The text a field selector compares; "" for an absent field."""
    if path == "source" and isinstance(manifest.get("source"), Mapping):
        return str(manifest["source"].get("component", "") or manifest.get("reportingComponent", ""))
    if path.startswith("regarding.") and "involvedObject" in manifest:
        path = "involvedObject" + path[len("regarding") :]
    if path == "reportingController":
        path = "reportingComponent"
    if path == "status.successful":
        path = "status.succeeded"
    value: Any = manifest
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return _ABSENT.get(path, "")
        value = value[step]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
