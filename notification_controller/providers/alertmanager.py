"""Prometheus Alertmanager: a firing alert, which Alertmanager ends after its own resolve_timeout."""

from __future__ import annotations

from typing import Any

from notification_controller.event import SUMMARY, Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, basic, bearer, json_request
from shared.http import Http


def connect(connection: Connection, http: Http) -> Provider:
    """alertmanager: needs the address of the alerts API; a token, or username and password, log in."""
    connection.url("Alertmanager URL")
    return Web(connection, http, requests)


def requests(connection: Connection, notification: Notification) -> list[Request]:
    """Username and password win over a token."""
    login = bearer(connection.token)
    if connection.username and connection.password:
        login = basic(connection.username, connection.password)
    return [json_request(connection.address, [alert(notification.event)], login)]


def alert(event: Event) -> dict[str, Any]:
    """The metadata are labels, which ours win over; the summary is an annotation."""
    involved = event.involved_object
    summary = {SUMMARY: event.metadata[SUMMARY]} if SUMMARY in event.metadata else {}
    return {
        "status": "firing",
        "labels": {
            **{key: value for key, value in event.metadata.items() if key != SUMMARY},
            "alertname": f"Flux{involved.kind}{texts.capitalized(event.reason)}",
            "severity": event.severity,
            "reason": event.reason,
            "kind": involved.kind,
            "name": involved.name,
            "namespace": involved.namespace,
            "reportingcontroller": event.reporting_controller,
        },
        "annotations": {"message": event.message, **summary},
        "startsAt": event.timestamp or texts.NO_TIME,
        "endsAt": texts.NO_TIME,
    }
