"""Datadog: an event."""

from __future__ import annotations

from typing import Any

from notification_controller.event import Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, json_request
from shared.http import Http, origin

_LONGEST = 4000
"""Characters of a text that Datadog takes."""


def connect(connection: Connection, http: Http) -> Provider:
    """datadog: needs the address of a site, of which only the host counts, and an API key."""
    connection.url("DataDog API URL")
    connection.require("token", "DataDog API key")
    return Web(connection, http, requests, failure="failed to post event to DataDog")


def requests(connection: Connection, notification: Notification) -> list[Request]:
    url = f"{origin(connection.address)}/api/v1/events"
    return [json_request(url, posted(notification.event), {"DD-API-KEY": connection.token})]


def posted(event: Event) -> dict[str, Any]:
    """Tags are in small letters, as Datadog makes them anyway."""
    involved = event.involved_object
    tags = [
        ("flux_reporting_controller", event.reporting_controller),
        ("flux_reason", event.reason),
        ("kube_kind", involved.kind),
        ("kube_name", involved.name),
        ("kube_namespace", involved.namespace),
        *texts.fields(event),
    ]
    return {
        "title": f"Events from the {involved.kind} {involved.name}/{involved.namespace}",
        "text": texts.cut(event.message, _LONGEST),
        "alert_type": "error" if texts.is_error(event) else "info",
        "source_type_name": "fluxcd",
        "date_happened": texts.seconds(event),
        "tags": [f"{key}:{value}".lower() for key, value in tags],
    }
