"""Grafana: an annotation."""

from __future__ import annotations

from typing import Any

from notification_controller.event import Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, basic, bearer, json_request
from shared.http import Http


def connect(connection: Connection, http: Http) -> Provider:
    """grafana: needs the address of the annotations API; a token, or username and password, log in."""
    connection.url("Grafana URL")
    return Web(connection, http, requests)


def requests(connection: Connection, notification: Notification) -> list[Request]:
    """A token wins over username and password."""
    login = bearer(connection.token)
    if not login and connection.username and connection.password:
        login = basic(connection.username, connection.password)
    return [json_request(connection.address, annotation(notification.event), login)]


def annotation(event: Event) -> dict[str, Any]:
    """A ":" parts a tag's name from its value, so it is written as "|" in both."""
    involved = event.involved_object
    metadata = [f"{key.replace(':', '|')}: {value.replace(':', '|')}" for key, value in texts.fields(event)]
    about = [f"kind: {involved.kind}", f"name: {involved.name}", f"namespace: {involved.namespace}"]
    return {
        "when": texts.seconds(event),
        "text": texts.subject(event),
        "tags": ["flux", event.reporting_controller, *metadata, *about],
    }
