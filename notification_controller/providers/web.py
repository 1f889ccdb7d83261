"""Web: what services over HTTP share: the requests that a notification makes are sent, the answers judged.

    notification → the service's requests → one after the other → delivered, or DeliveryFailed

A request is a value: what it holds is decided by a pure function of the service's module.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import msgspec

from notification_controller.providers.base import Connection, DeliveryFailed, Notification
from notification_controller.providers.texts import cut
from shared.http import Answer, Http, HttpError

JSON = "application/json"
_PUBLIC = {"content-type", "gotk-component"}
"""Headers that let nobody in."""
_ANSWER = 1 << 16
_SHOWN = 512
_LONGEST_WAIT = 3600.0


class Refusal(NamedTuple):
    """That a service didn't take a notification, though its answer has a good status."""

    said: str
    may_pass: bool = False
    """Whether it may take the same one later."""


@dataclass(frozen=True)
class Request:
    """What is sent to a server."""

    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    refusal: Callable[[Answer], Refusal | None] | None = None
    """Reads a good answer of a service that tells failures there."""
    limit: int = _ANSWER
    """Bytes of the answer that count; of a longer one only the beginning is read."""
    accepts: tuple[int, ...] = ()
    """Bad statuses that are an answer, too."""


Requests = Callable[[Connection, Notification], Sequence[Request]]


def json_request(
    url: str,
    payload: Any,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
    refusal: Callable[[Answer], Refusal | None] | None = None,
) -> Request:
    """A request that carries JSON."""
    return Request(url, msgspec.json.encode(payload), {"Content-Type": JSON, **(headers or {})}, method, refusal)


def get_request(url: str, *accepts: int, headers: Mapping[str, str] | None = None) -> Request:
    """A request that asks for what is there; bad statuses that are an answer, too, are accepted."""
    return Request(url, headers=headers or {}, method="GET", accepts=accepts)


def bearer(token: str) -> dict[str, str]:
    """The header that a token goes into; none without one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def basic(username: str, password: str) -> dict[str, str]:
    """The header that username and password go into."""
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}


@dataclass(frozen=True)
class Web:
    """A service to which a notification is one or more requests, all of which must be answered well."""

    connection: Connection
    http: Http
    requests: Requests
    failure: str = "postMessage failed"
    """What a failure's message begins with."""

    async def post(self, notification: Notification) -> None:
        for request in self.requests(self.connection, notification):
            await send(self.http, request, self.connection, self.failure)


async def send(http: Http, request: Request, connection: Connection, failure: str = "") -> Answer:
    """The good answer to a request; DeliveryFailed else, with what the server says."""
    begin = f"{failure}: " if failure else ""
    sent = [value.split()[-1] for name, value in request.headers.items() if value and name.lower() not in _PUBLIC]
    try:
        answer = await http.send(
            request.method, request.url, request.body, headers=request.headers, limit=request.limit
        )
    except HttpError as error:
        raise DeliveryFailed(
            f"{begin}failed to execute request: {connection.masked(str(error), *sent)}", is_final=error.is_final
        ) from error
    if not answer.is_good and answer.status not in request.accepts:
        # Masked before it is cut, or a half secret would stay.
        said = _shown(connection.masked(answer.body.decode(errors="replace"), *sent))
        raise DeliveryFailed(
            f"{begin}request failed: request failed with status code {answer.status}: {said}",
            is_final=not may_pass(answer.status),
            retry_after=retry_after(answer, datetime.now(UTC)),
        )
    if request.refusal and (refusal := request.refusal(answer)):
        said = _shown(connection.masked(refusal.said, *sent))
        raise DeliveryFailed(f"{begin}request failed: {said}", is_final=not refusal.may_pass)
    return answer


def answered(answer: Answer) -> dict[str, Any]:
    """The JSON object in an answer; an empty one when it holds none."""
    try:
        return msgspec.json.decode(answer.body, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def may_pass(status: int) -> bool:
    """Whether a bad answer may be a good one later: the server is busy or broken, not of another opinion."""
    return status in (408, 425, 429) or (status >= 500 and status != 501)


def retry_after(answer: Answer, now: datetime) -> float | None:
    """The seconds that an answer's Retry-After asks to wait, at most an hour; None when it doesn't."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), _LONGEST_WAIT)


def _shown(text: str) -> str:
    """The beginning of what a server says."""
    return cut("".join(mark if mark.isprintable() or mark in "\n\t" else "\ufffd" for mark in text), _SHOWN)
