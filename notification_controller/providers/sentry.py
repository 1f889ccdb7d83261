"""Sentry: an event for an error, a transaction for an informational one, in Sentry's envelopes."""

from __future__ import annotations

import hashlib
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec

from notification_controller.event import ERROR, INFO, Event, encode
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, InvalidProvider, Notification, Provider
from notification_controller.providers.web import Request, Web
from shared.api.meta import format_time
from shared.http import Http

_CLIENT = "fluvial/1"


def connect(connection: Connection, http: Http) -> Provider:
    """sentry: needs a DSN (https://<key>@<host>/<project>) as address; the channel is the environment."""
    if not connection.address:
        raise InvalidProvider("DSN cannot be empty")
    connection.url("Sentry DSN")
    parts = urlsplit(connection.address)
    if not parts.username or not parts.path.rpartition("/")[2].isalnum():
        raise InvalidProvider("invalid Sentry DSN: it must be <scheme>://<public key>@<host>/<project>")
    return Web(connection, http, requests, failure="failed to send to Sentry")


def requests(connection: Connection, notification: Notification) -> list[Request]:
    """Nothing is sent for other severities than info and error."""
    event = notification.event
    if event.severity not in (INFO, ERROR):
        return []
    kind, payload = ("event", error(event)) if texts.is_error(event) else ("transaction", transaction(event))
    payload["environment"] = connection.channel or "production"
    parts = urlsplit(connection.address)
    folder, _, project = parts.path.rpartition("/")
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{folder}/api/{project}/envelope/"
    secret = f", sentry_secret={parts.password}" if parts.password else ""
    headers = {
        "Content-Type": "application/x-sentry-envelope",
        "X-Sentry-Auth": f"Sentry sentry_version=7, sentry_client={_CLIENT}, sentry_key={parts.username}{secret}",
    }
    return [Request(url, envelope(kind, payload), headers)]


def envelope(kind: str, payload: dict[str, Any]) -> bytes:
    """Three lines: what the envelope is about, what its one item is, and the item."""
    item = msgspec.json.encode(payload)
    about = msgspec.json.encode({"event_id": payload["event_id"]})
    return b"\n".join([about, msgspec.json.encode({"type": kind, "length": len(item)}), item, b""])


def error(event: Event) -> dict[str, Any]:
    return {
        **_told(event),
        "level": event.severity,
        "server_name": event.reporting_controller,
        "contexts": {"metadata": event.metadata},
    }


def transaction(event: Event) -> dict[str, Any]:
    """A moment: it begins and ends with the event, and its one span is itself."""
    involved, digest = event.involved_object, _digest(event)
    tags = {
        "flux_involved_object_kind": involved.kind,
        "flux_involved_object_namespace": involved.namespace,
        "flux_involved_object_name": involved.name,
        "flux_reporting_controller": event.reporting_controller,
        "flux_reporting_instance": event.reporting_instance,
        "flux_reason": event.reason,
        **event.metadata,
    }
    trace = {"trace_id": digest[:32], "span_id": digest[32:48], "op": "event"}
    told = _told(event)
    moment = {"start_timestamp": told["timestamp"], "timestamp": told["timestamp"]}
    return {
        **told,
        **moment,
        "type": "transaction",
        "contexts": {"trace": trace},
        "tags": tags,
        "spans": [{**trace, **moment, "tags": tags}],
    }


def _told(event: Event) -> dict[str, Any]:
    involved = event.involved_object
    return {
        "event_id": _digest(event)[-32:],
        "platform": "other",
        "sdk": {"name": "fluvial", "version": _CLIENT.partition("/")[2]},
        "timestamp": event.timestamp or format_time(time.time()),  # Sentry takes nothing that is old
        "transaction": f"{involved.kind}: {involved.namespace}/{involved.name}",
        "message": event.message,
    }


def _digest(event: Event) -> str:
    """Ids are made of the event: what is sent twice counts once."""
    return hashlib.sha256(encode(event)).hexdigest()
