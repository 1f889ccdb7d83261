"""Opsgenie: an alert, one for each object and reason."""

from __future__ import annotations

import hashlib
from typing import Any

from notification_controller.event import Event
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, json_request
from shared.http import Http


def connect(connection: Connection, http: Http) -> Provider:
    """opsgenie: needs the address of the alerts API and an API key."""
    connection.url("Opsgenie hook URL")
    connection.require("token", "Opsgenie apikey/token")
    return Web(connection, http, requests)


def requests(connection: Connection, notification: Notification) -> list[Request]:
    headers = {"Authorization": f"GenieKey {connection.token}"}
    return [json_request(connection.address, alert(notification.event, connection.uid), headers)]


def alert(event: Event, provider_uid: str) -> dict[str, Any]:
    """The alias holds the Provider's UID: objects of two clusters with the same name are two alerts."""
    involved = event.involved_object
    of = f"{provider_uid}/{involved}/{event.reason}"
    return {
        "message": f"{involved.kind}/{involved.name}",
        "alias": hashlib.sha256(of.encode()).hexdigest(),
        "description": event.message,
        "details": {**event.metadata, "severity": event.severity},
    }
