"""Webex: a bot's message into a room."""

from __future__ import annotations

from notification_controller.event import Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, bearer, json_request
from shared.http import Http

_LONGEST = 7439
"""Bytes of a message that Webex takes."""


def connect(connection: Connection, http: Http) -> Provider:
    """webex: needs the address of the messages API, a bot's token and a room's id as channel."""
    connection.url("Webex hook URL")
    return Web(connection, http, requests)


def requests(connection: Connection, notification: Notification) -> list[Request]:
    room = {"roomId": connection.channel} if connection.channel else {}
    payload = {**room, "markdown": markdown(notification.event)}
    return [json_request(connection.address, payload, bearer(connection.token))]


def markdown(event: Event) -> str:
    """Webex refuses what is too long, so the event's own message is cut."""
    sign = "💣" if texts.is_error(event) else "✅"
    heading = f"{sign} **{texts.subject(event)}**\n"
    metadata = "".join(f">**{key}**: {value}\n" for key, value in texts.fields(event))
    left = _LONGEST - len((heading + metadata).encode()) - 1
    return f"{heading}{_fitting(event.message, left)}\n{metadata}"


def _fitting(text: str, size: int) -> str:
    """At most `size` bytes of a text."""
    data = text.encode()
    if len(data) <= size:
        return text
    return data[: max(size - len(texts.ELLIPSIS.encode()), 0)].decode(errors="ignore") + texts.ELLIPSIS
