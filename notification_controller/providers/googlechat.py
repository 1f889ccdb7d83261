"""Google Chat: a card to a webhook."""

from __future__ import annotations

from typing import Any

from notification_controller.event import Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, json_request
from shared.http import Http


def connect(connection: Connection, http: Http) -> Provider:
    """googlechat: needs a webhook."""
    connection.url("Google Chat hook URL")
    return Web(connection, http, requests)


def requests(connection: Connection, notification: Notification) -> list[Request]:
    return [json_request(connection.address, card(notification.event))]


def card(event: Event) -> dict[str, Any]:
    text = f'<font color="#ff0000">{event.message}</font>' if texts.is_error(event) else event.message
    sections = [{"header": "", "widgets": [{"textParagraph": {"text": text}, "keyValue": None}]}]
    if event.metadata:
        pairs = [{"textParagraph": None, "keyValue": _pair(key, value)} for key, value in texts.fields(event)]
        sections.append({"header": "", "widgets": pairs})
    header = {
        "title": texts.subject(event),
        "subtitle": event.reporting_controller,
        "imageUrl": None,
        "imageStyle": None,
    }
    return {"cards": [{"header": header, "sections": sections}]}


def _pair(key: str, value: str) -> dict[str, Any]:
    return {"topLabel": key, "content": value, "contentMultiline": False, "bottomLabel": None, "icon": None}
