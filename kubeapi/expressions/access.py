"""CEL's `authorizer`: expressions ask what the user of the request may do.

authorizer.group("apps").resource("deployments").namespace("a").check("update").allowed()
authorizer.path("/metrics").check("get").allowed()
authorizer.requestResource.check("bypass").allowed()
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kubeapi import identity
from kubeapi.authorization import Attributes
from kubeapi.identity import User
from shared.text.cel import Function

Decide = Callable[[User, Attributes], tuple[bool, str]]

_USER, _GROUP, _PATH, _RESOURCE, _DECISION = "authorizer", "groupCheck", "pathCheck", "resourceCheck", "decision"
_decide: ContextVar[Decide] = ContextVar("decide")


@contextmanager
def deciding(decide: Decide) -> Iterator[None]:
    """Expressions that are evaluated within ask `decide`."""
    token = _decide.set(decide)
    try:
        yield
    finally:
        _decide.reset(token)


def of(user: User) -> dict[str, Any]:
    """`authorizer` for a user."""
    return {_USER: user.info()}


def of_resource(user: User, asked: Attributes) -> dict[str, Any]:
    """`authorizer.requestResource` for a user and the resource that the request is about."""
    fields = ("group", "resource", "subresource", "namespace", "name")
    return {_RESOURCE: {**of(user), **{field: getattr(asked, field) for field in fields}}}


def _part(given: Any, kind: str) -> dict[str, Any]:
    if not isinstance(given, dict) or kind not in given:
        raise ValueError("no such overload")
    found: dict[str, Any] = given[kind]
    return found


def _group(given: Any, group: str) -> Any:
    return {_GROUP: {_USER: _part(given, _USER), "group": group}}


def _resource(given: Any, resource: str) -> Any:
    return {_RESOURCE: {**_part(given, _GROUP), "resource": resource}}


def _path(given: Any, path: str) -> Any:
    if not path:
        raise ValueError("path must not be empty")
    return {_PATH: {_USER: _part(given, _USER), "path": path}}


def _with(field: str) -> Callable[[Any, str], Any]:
    return lambda given, value: {_RESOURCE: {**_part(given, _RESOURCE), field: value}}


def _account(given: Any, namespace: str, name: str) -> Any:
    _part(given, _USER)
    return of(identity.of_service_account(namespace, name))


def _check(given: Any, verb: str) -> Any:
    asked = dict(_part(given, _PATH if isinstance(given, dict) and _PATH in given else _RESOURCE))
    info = asked.pop(_USER)
    extra = {key: tuple(values) for key, values in (info.get("extra") or {}).items()}
    user = User(info["username"], tuple(info.get("groups") or ()), info.get("uid") or "", extra)
    allowed, reason = _decide.get()(user, Attributes(verb, **asked))
    return {_DECISION: {"allowed": allowed, "reason": reason}}


FUNCTIONS = [
    Function("group", ("dyn", "string"), "dyn", _group),
    Function("path", ("dyn", "string"), "dyn", _path),
    Function("serviceAccount", ("dyn", "string", "string"), "dyn", _account),
    Function("resource", ("dyn", "string"), "dyn", _resource),
    *(Function(field, ("dyn", "string"), "dyn", _with(field)) for field in ("subresource", "namespace", "name")),
    # Selectors narrow what an authorizer that knows them allows; RBAC doesn't, and decides as without.
    Function("fieldSelector", ("dyn", "string"), "dyn", lambda given, text: {_RESOURCE: _part(given, _RESOURCE)}),
    Function("labelSelector", ("dyn", "string"), "dyn", lambda given, text: {_RESOURCE: _part(given, _RESOURCE)}),
    Function("check", ("dyn", "string"), "dyn", _check),
    Function("allowed", ("dyn",), "bool", lambda given: _part(given, _DECISION)["allowed"]),
    Function("reason", ("dyn",), "string", lambda given: _part(given, _DECISION)["reason"]),
    Function("errored", ("dyn",), "bool", lambda given: not _part(given, _DECISION)),
    Function("error", ("dyn",), "string", lambda given: str(_part(given, _DECISION) and "")),
]
