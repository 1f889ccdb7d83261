"""What the API answers when it refuses: one exception that is a metav1.Status.

Every refusal in `kubeapi` is a StatusError; the server turns it into the response body, in-process callers read its
fields. Messages and reasons are those of a real API server, because clients match on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that is wrong: `message` starts with the kind of wrongness ("Required value", "Invalid value: …")."""

    reason: str
    message: str
    field: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


_WITH_DETAILS = (
    "NotFound",
    "AlreadyExists",
    "Conflict",
    "Invalid",
    "Forbidden",
    "MethodNotAllowed",
    "NotAcceptable",
)
"""Reasons whose Status has details, be they empty."""


class StatusError(Exception):
    """A refusal: HTTP code, machine-readable reason, message, and details as in metav1.Status."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        name: str = "",
        group: str = "",
        kind: str = "",
        uid: str = "",
        causes: Sequence[Cause] = (),
        retry_after: int = 0,
    ):
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.name = name
        self.group = group
        self.kind = kind
        self.uid = uid
        self.causes = tuple(causes)
        self.retry_after = retry_after
        self.warnings: list[str] = []
        """What the client is warned of although it is refused."""

    def status(self) -> dict[str, Any]:
        """The metav1.Status body."""
        details: dict[str, Any] = {}
        for key in ("name", "group", "kind", "uid"):
            value = getattr(self, key)
            if value:
                details[key] = value
        if self.causes:
            details["causes"] = [
                {k: v for k, v in (("reason", c.reason), ("message", c.message), ("field", c.field)) if v}
                for c in self.causes
            ]
        if self.retry_after:
            details["retryAfterSeconds"] = self.retry_after
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if details or self.reason in _WITH_DETAILS:
            body["details"] = details
        body["code"] = self.code
        return body


def group_resource(group: str, plural: str) -> str:
    """`deployments.apps`; `pods` in the core group: how messages name a resource."""
    return f"{plural}.{group}" if group else plural


def shown_name(metadata: Mapping[str, Any]) -> str:
    """How a refusal names an object, whose name may not be generated yet."""
    return str(metadata.get("name") or metadata.get("generateName") or "Unknown")


def not_found(group: str, plural: str, name: str) -> StatusError:
    message = f'{group_resource(group, plural)} "{name}" not found'
    return StatusError(404, "NotFound", message, name=name, group=group, kind=plural)


def already_exists(group: str, plural: str, name: str, *, deleting: bool = False) -> StatusError:
    """409: `deleting` when what is there is on its way out."""
    message = f'{group_resource(group, plural)} "{name}" already exists'
    if deleting:
        message = f"object is being deleted: {message}"
    return StatusError(409, "AlreadyExists", message, name=name, group=group, kind=plural)


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(group: str, plural: str, name: str, problem: str = MODIFIED, causes: Sequence[Cause] = ()) -> StatusError:
    message = f'Operation cannot be fulfilled on {group_resource(group, plural)} "{name}": {problem}'
    return StatusError(409, "Conflict", message, name=name, group=group, kind=plural, causes=causes)


def invalid(group: str, kind: str, name: str, causes: Iterable[Cause]) -> StatusError:
    """422: the object breaks rules; `kind` is the Kind, not the plural."""
    causes = list(causes)
    texts = list(dict.fromkeys(str(c) for c in causes))
    problem = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    named = f"{kind}.{group}" if group else kind
    message = f'{named} "{name}" is invalid: {problem}' if texts else f'{named} "{name}" is invalid'
    return StatusError(422, "Invalid", message, name=name, group=group, kind=kind, causes=causes)


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def forbidden(group: str, plural: str, name: str, problem: str, causes: Sequence[Cause] = ()) -> StatusError:
    named = group_resource(group, plural)
    if name:
        message = f'{named} "{name}" is forbidden: {problem}'
    elif plural:
        message = f"{named} is forbidden: {problem}"
    else:
        message = f"forbidden: {problem}"
    return StatusError(403, "Forbidden", message, name=name, group=group, kind=plural, causes=causes)


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def no_such_resource() -> StatusError:
    """404 of a path below a served version that leads nowhere."""
    return StatusError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed() -> StatusError:
    return StatusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def unsupported_media_type(content_type: str, accepted: Sequence[str]) -> StatusError:
    message = (
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
        if content_type
        else "the body of the request has no Content-Type"
    )
    return StatusError(415, "UnsupportedMediaType", message)


def not_acceptable(accepted: Sequence[str]) -> StatusError:
    return StatusError(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {', '.join(accepted)}")


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


def too_large(limit: int) -> StatusError:
    message = f"Request entity too large: limit is {limit}"
    return StatusError(413, "RequestEntityTooLarge", message)


def not_implemented(what: str) -> StatusError:
    """501: what this server knowingly does not do. Never answered with something that looks like success."""
    return StatusError(501, "NotImplemented", f"the embedded Kubernetes API does not implement {what}")


def internal(message: str) -> StatusError:
    return StatusError(500, "InternalError", f"Internal error occurred: {message}", causes=[Cause("", message, "")])
