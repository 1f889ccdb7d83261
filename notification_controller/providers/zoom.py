"""Zoom Team Chat: a message to an incoming webhook."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from notification_controller.event import Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, json_request
from shared.http import Http


def connect(connection: Connection, http: Http) -> Provider:
    """zoom: needs a webhook and its verification token."""
    connection.url("Zoom incoming webhook URL")
    connection.require("token", "Zoom verification token")
    return Web(connection, http, requests)


def requests(connection: Connection, notification: Notification) -> list[Request]:
    """The token is sent as it is, without a scheme before it."""
    headers = {"Authorization": connection.token}
    return [json_request(_full(connection.address), message(notification.event), headers)]


def message(event: Event) -> dict[str, Any]:
    body: list[dict[str, Any]] = [{"type": "message", "text": event.message}]
    if event.metadata:
        items = [{"key": key, "value": value} for key, value in texts.fields(event)]
        body.append({"type": "fields", "items": items})
    return {"content": {"head": {"text": texts.subject(event), "sub_head": {"text": event.severity}}, "body": body}}


def _full(address: str) -> str:
    """The webhook's form for more than plain text, unless the address names one."""
    parts = urlsplit(address)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if any(value for key, value in query if key == "format"):
        return address
    kept = [(key, value) for key, value in query if key != "format"]
    return urlunsplit(parts._replace(query=urlencode(sorted([*kept, ("format", "full")]))))
