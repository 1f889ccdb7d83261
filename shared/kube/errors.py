"""What can go wrong between us and a Kubernetes API: every failure of a call is one of these classes.

A refused call carries the server's status, reason, message and details; a call that got no answer is `Unavailable`.
The transport translates each failure once, where the API is called, `from` the original. `str()` of an error is the
message meant for people.
"""

from __future__ import annotations

from typing import Any, Self


class ConfigError(ValueError):
    """The kubeconfig or the in-cluster environment can't be used; the message says what to fix."""


class ApiError(Exception):
    """A call to the Kubernetes API failed. `status` is the HTTP status, 0 when there was no answer."""

    default_status = 0
    default_reason = ""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str | None = None,
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = self.default_status if status is None else status
        self.reason = self.default_reason if reason is None else reason
        self.details: dict[str, Any] = details or {}
        self.retry_after = retry_after
        """Seconds the server asked to wait before the next try; None when it did not say."""

    @property
    def causes(self) -> list[dict[str, Any]]:
        """The server's list of single findings (`field`, `reason`, `message`), empty when it gave none."""
        causes = self.details.get("causes")
        return [c for c in causes if isinstance(c, dict)] if isinstance(causes, list) else []

    def with_message(self, message: str) -> Self:
        """The same error in other words (to name an object, or to hide a value)."""
        return type(self)(
            message, status=self.status, reason=self.reason, details=self.details, retry_after=self.retry_after
        )


class BadRequest(ApiError):
    """The server could not make sense of the request."""

    default_status, default_reason = 400, "BadRequest"


class Unauthorized(ApiError):
    """The server does not know who we are, also after the credentials were renewed."""

    default_status, default_reason = 401, "Unauthorized"


class Forbidden(ApiError):
    """The identity in use may not do this."""

    default_status, default_reason = 403, "Forbidden"


class NotFound(ApiError):
    """The object is not there."""

    default_status, default_reason = 404, "NotFound"


class NoMatch(NotFound):
    """The API server serves no such kind."""

    default_status, default_reason = 404, "NoKindMatch"

    @classmethod
    def of(cls, api_version: str, kind: str) -> NoMatch:
        return cls(f'no matches for kind "{kind}" in version "{api_version}"')


class Conflict(ApiError):
    """The object changed meanwhile, a precondition failed, or a field belongs to another manager."""

    default_status, default_reason = 409, "Conflict"


class AlreadyExists(Conflict):
    """An object of that name is there already."""

    default_status, default_reason = 409, "AlreadyExists"


class Gone(ApiError):
    """The resourceVersion or the continue token is too old: list again."""

    default_status, default_reason = 410, "Expired"


class Invalid(ApiError):
    """The server understood the object and refused its content."""

    default_status, default_reason = 422, "Invalid"


class TooManyRequests(ApiError):
    """The server asks us to slow down, also after the tries we make on our own."""

    default_status, default_reason = 429, "TooManyRequests"


class Unavailable(ApiError):
    """No answer, or none of use: refused, cut, timed out, or a status of 500 and above."""

    default_status, default_reason = 0, "ServiceUnavailable"


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: BadRequest,
    406: BadRequest,
    409: Conflict,
    410: Gone,
    415: BadRequest,
    422: Invalid,
    429: TooManyRequests,
}


def of_status(status: dict[str, Any], code: int, *, retry_after: float | None = None) -> ApiError:
    """The error that a `Status` object (or whatever came instead of one) stands for."""
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or "")
    details = status.get("details")
    if not message:
        message = f"the Kubernetes API answered {code} {reason}".rstrip()
    cls = _BY_STATUS.get(code)
    if cls is None:
        cls = Unavailable if code >= 500 else ApiError
    if reason == "AlreadyExists":
        cls = AlreadyExists
    elif reason in ("Expired", "Gone"):
        cls = Gone
    if retry_after is None and isinstance(details, dict):
        seconds = details.get("retryAfterSeconds")
        if isinstance(seconds, int) and seconds > 0:
            retry_after = float(seconds)
    return cls(
        message,
        status=code,
        reason=reason or cls.default_reason,
        details=details if isinstance(details, dict) else None,
        retry_after=retry_after,
    )
