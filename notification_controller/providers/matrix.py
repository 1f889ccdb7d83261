"""Matrix: a text message into a room."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from notification_controller.event import Event, encode
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, bearer, json_request
from shared.http import Http


def connect(connection: Connection, http: Http) -> Provider:
    """matrix: needs the homeserver's address, an access token and a room's id as channel."""
    connection.url("Matrix homeserver URL")
    return Web(connection, http, requests)


def requests(connection: Connection, notification: Notification) -> list[Request]:
    """The transaction id is made of the event: a repeated message is one message."""
    event = notification.event
    transaction = hashlib.sha1(encode(event), usedforsecurity=False).hexdigest()
    room = quote(connection.channel, safe="!:@$")
    path = f"/_matrix/client/r0/rooms/{room}/send/m.room.message/{transaction}"
    url = connection.address.rstrip("/") + path
    return [json_request(url, {"body": body(event), "msgtype": "m.text"}, bearer(connection.token), "PUT")]


def body(event: Event) -> str:
    sign = "🚨" if texts.is_error(event) else "💫"
    metadata = "".join(f"- {key}: {value}\n" for key, value in texts.fields(event))
    return f"{sign} {texts.subject(event)}\n{event.message}\n{metadata}"
