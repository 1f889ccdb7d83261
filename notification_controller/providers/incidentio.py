"""incident.io: an alert that fires for an error and resolves else, one for each object."""

from __future__ import annotations

from typing import Any

from notification_controller.event import PROGRESSING, Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, bearer, json_request
from shared.http import Http


def connect(connection: Connection, http: Http) -> Provider:
    """incident.io: needs the address of an HTTP alert source and its token."""
    connection.url("incident.io alert source URL")
    connection.require("token", "incident.io API token")
    return Web(connection, http, requests)


def requests(connection: Connection, notification: Notification) -> list[Request]:
    """What only begins neither fires nor resolves."""
    if notification.event.reason == PROGRESSING:
        return []
    return [json_request(connection.address, alert(notification.event), bearer(connection.token))]


def alert(event: Event) -> dict[str, Any]:
    controller = {"reportingController": event.reporting_controller} if event.reporting_controller else {}
    return {
        "title": f"{texts.subject(event)}: {event.reason}",
        "status": "firing" if texts.is_error(event) else "resolved",
        "deduplication_key": event.involved_object.uid,
        **({"description": event.message} if event.message else {}),
        "metadata": {**event.metadata, "severity": event.severity, "reason": event.reason, **controller},
    }
