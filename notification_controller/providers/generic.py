"""Generic webhooks: the event as JSON, signed where a key is given."""

from __future__ import annotations

import hashlib
import hmac

from notification_controller.event import encode
from notification_controller.providers.base import Connection, InvalidProvider, Notification, Provider
from notification_controller.providers.web import JSON, Request, Web
from shared.http import Http


def connect(connection: Connection, http: Http) -> Provider:
    """generic: needs an address; sends the Secret's headers."""
    connection.url("hook URL")
    return Web(connection, http, requests)


def connect_signed(connection: Connection, http: Http) -> Provider:
    """generic-hmac: generic, and the token is the key of a signature over the body."""
    connection.url("hook URL")
    if not connection.secret.get("token"):
        raise InvalidProvider("HMAC key is empty: it is the key 'token' of the Secret of secretRef")
    return Web(connection, http, signed_requests)


def requests(connection: Connection, notification: Notification) -> list[Request]:
    """The Secret's headers win over ours."""
    return [_request(connection, notification, {})]


def signed_requests(connection: Connection, notification: Notification) -> list[Request]:
    """Like `requests`, with the header X-Signature, over which no other header wins. The key is the token to the byte,
    with the line's end that a file may have left in it: so the receiver has it, too."""
    digest = hmac.digest(connection.secret["token"], encode(notification.event), hashlib.sha256).hex()
    return [_request(connection, notification, {"X-Signature": f"sha256={digest}"})]


def _request(connection: Connection, notification: Notification, signature: dict[str, str]) -> Request:
    event = notification.event
    headers = {"Content-Type": JSON, "gotk-component": event.reporting_controller}
    for added in (connection.headers, signature):
        names = {name.lower() for name in added}
        headers = {name: value for name, value in headers.items() if name.lower() not in names} | dict(added)
    return Request(connection.address, encode(event), headers)
