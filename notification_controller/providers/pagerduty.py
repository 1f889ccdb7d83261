"""PagerDuty: an incident for an error, its end and a change event for an informational one."""

from __future__ import annotations

from typing import Any

from notification_controller.event import INFO, PROGRESSING, Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, json_request
from shared.http import Http, origin


def connect(connection: Connection, http: Http) -> Provider:
    """pagerduty: needs the address of the Events API, of which only the host counts, and a routing key as channel."""
    connection.url("PagerDuty endpoint URL")
    return Web(connection, http, requests, failure="failed sending event")


def requests(connection: Connection, notification: Notification) -> list[Request]:
    """An object's incidents share its UID as key: what succeeds ends what failed. What only begins says nothing."""
    event, at, key = notification.event, origin(connection.address), connection.channel
    if event.reason == PROGRESSING:
        return []
    sent = [json_request(f"{at}/v2/enqueue", incident(event, key))]
    if event.severity == INFO:
        sent.append(json_request(f"{at}/v2/change/enqueue", change(event, key)))
    return sent


def incident(event: Event, routing_key: str) -> dict[str, Any]:
    """Opens one for an error, and closes it else."""
    payload: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": "trigger" if texts.is_error(event) else "resolve",
        **({"dedup_key": event.involved_object.uid} if event.involved_object.uid else {}),
    }
    if texts.is_error(event):
        involved = event.involved_object
        more = {"severity": event.severity, "component": involved.name, "group": involved.kind}
        payload["payload"] = {**_told(event), **more}
    return payload


def change(event: Event, routing_key: str) -> dict[str, Any]:
    return {"routing_key": routing_key, "payload": _told(event)}


def _told(event: Event) -> dict[str, Any]:
    name, description = texts.titled(event)
    return {
        "summary": f"{description}: {name}",
        "source": f"Flux {event.reporting_controller}",
        "timestamp": event.timestamp or texts.NO_TIME,
        "custom_details": {"message": event.message, "metadata": event.metadata or None},
    }
