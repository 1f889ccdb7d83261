"""Microsoft Teams: an Adaptive Card to a workflow, or a message card to a connector, which Microsoft retires."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from notification_controller.event import Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, json_request
from shared.http import Http


def connect(connection: Connection, http: Http) -> Provider:
    """msteams: needs a webhook; its host says which of the two it is."""
    connection.url("MS Teams webhook URL")
    return Web(connection, http, requests)


def requests(connection: Connection, notification: Notification) -> list[Request]:
    host = urlsplit(connection.address).hostname or ""
    make = message_card if host.endswith(".webhook.office.com") else adaptive_card
    return [json_request(connection.address, make(notification.event))]


def adaptive_card(event: Event) -> dict[str, Any]:
    """Version 1.4 is the newest that Teams shows."""
    message: dict[str, Any] = {"type": "TextBlock", "text": event.message, "wrap": True}
    if texts.is_error(event):
        message["color"] = "attention"
    facts = [{"title": key, "value": value} for key, value in texts.fields(event)]
    items = [
        {"type": "TextBlock", "text": texts.subject(event), "size": "large", "weight": "bolder", "wrap": True},
        message,
        {"type": "FactSet", **({"facts": facts} if facts else {})},
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "Container", "items": items}],
        "msteams": {"width": "Full"},
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


def message_card(event: Event) -> dict[str, Any]:
    section = {
        "activityTitle": event.message,
        "activitySubtitle": texts.subject(event),
        "facts": [{"name": key, "value": value} for key, value in texts.fields(event)],
    }
    return {
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": "FF0000" if texts.is_error(event) else "0076D7",
        "summary": texts.subject(event),
        "sections": [section],
    }
