"""OpenTelemetry: the event as a span, by OTLP over HTTP."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, SpanFlags, Status

from notification_controller.event import REVISION, Event, encode
from notification_controller.providers import texts
from notification_controller.providers.base import AlertName, Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, basic, bearer
from shared.http import Http

_CONVENTIONS = "https://opentelemetry.io/schemas/1.34.0"
_SAMPLED = 1
_SKIPPED = "HelmRepository"
"""A kind that no delivery begins with."""


def connect(connection: Connection, http: Http) -> Provider:
    """otel: needs the address of an OTLP/HTTP receiver; headers, username and password, or a token beside headers."""
    connection.url("OTLP endpoint URL")
    return Web(connection, http, requests, failure="failed to export the span")


def requests(connection: Connection, notification: Notification) -> list[Request]:
    if notification.event.involved_object.kind == _SKIPPED:
        return []
    parts = urlsplit(connection.address)
    url = connection.address if parts.path else urlunsplit(parts._replace(path="/v1/traces"))
    headers = {"Content-Type": "application/x-protobuf", **login(connection)}
    body = trace(notification.event, notification.alert, time.time_ns())
    return [Request(url, body, headers)]


def login(connection: Connection) -> Mapping[str, str]:
    """The Secret's headers, and a login where they hold none. A token alone is sent beside headers only, as Flux has
    it; username and password are sent always."""
    if any(name.lower() == "authorization" for name in connection.headers):
        return connection.headers
    secret = connection.token or connection.password
    if connection.username and secret:
        return {**connection.headers, **basic(connection.username, secret)}
    return {**connection.headers, **(bearer(secret) if connection.headers else {})}


def trace(event: Event, alert: AlertName, now: int) -> bytes:
    """One span, of the trace that all events of an Alert and a revision share. `now`, in nanoseconds, is its end."""
    begin = texts.seconds(event) * 10**9 if event.timestamp else now
    span = Span(
        trace_id=hashlib.sha256(f"{alert.uid}:{revision(event.metadata)}".encode()).digest()[:16],
        span_id=hashlib.sha256(encode(event)).digest()[:8],
        flags=_SAMPLED | SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK,
        name=_name(event),
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=begin,
        end_time_unix_nano=max(begin, now),
        attributes=_attributes(_about(event)),
        status=_status(event),
    )
    service = {
        "service.name": f"{alert.namespace}/{alert.name}",
        "service.namespace": alert.namespace,
        "service.instance.id": alert.uid,
    }
    scope = ScopeSpans(scope=InstrumentationScope(name="flux:notification-controller"), spans=[span])
    spans = ResourceSpans(
        resource=Resource(attributes=_attributes(service)), scope_spans=[scope], schema_url=_CONVENTIONS
    )
    data: bytes = ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString(deterministic=True)
    return data


def revision(metadata: Mapping[str, str]) -> str:
    """What a trace is about; charts and images of one delivery agree on it by version and digest."""
    if "oci-digest" in metadata and "app-version" in metadata:
        return f"{metadata['app-version']}@{metadata['oci-digest']}"
    return metadata.get(REVISION, "unknown")


def _name(event: Event) -> str:
    involved = event.involved_object
    return f"{involved.kind}: {involved.namespace}/{involved.name}"


def _about(event: Event) -> dict[str, str]:
    involved = event.involved_object
    return {
        "object.uid": involved.uid,
        "object.kind": involved.kind,
        "object.name": involved.name,
        "object.namespace": involved.namespace,
        **event.metadata,
    }


def _status(event: Event) -> Status:
    """Only an error's message is said, which is what a status has one for."""
    if texts.is_error(event):
        return Status(code=Status.STATUS_CODE_ERROR, message=event.message)
    return Status(code=Status.STATUS_CODE_OK)


def _attributes(pairs: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in pairs.items()]
