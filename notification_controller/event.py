"""Event: what a controller tells about one of its objects, as it comes in and as providers post it on.

    body → decode → event with the metadata that counts → (an Alert adds its own) → encode → provider

The wire is upstream's: what is missing is empty, unknown fields are skipped, times are RFC 3339 in UTC. An event is a
value: nothing changes one, `msgspec.structs.replace` makes another.
"""

from __future__ import annotations

import hashlib

import msgspec

from shared.api import codec
from shared.api.codec import DecodeError
from shared.api.meta import Manifest, Part, format_time, parse_time

GROUP = "event.toolkit.fluxcd.io"
"""The prefix of metadata keys that come from an object's annotations."""

TRACE, INFO, ERROR = "trace", "info", "error"
"""The severities."""

# Keys of an event's metadata, without the group that stands before them on the way in.
REVISION = "revision"
ORIGIN_REVISION = "originRevision"
CHECKSUM = "checksum"
DIGEST = "digest"
TOKEN = "token"  # noqa: S105  (the name of a key)
COMMIT = "commit"
COMMIT_STATUS = "commit_status"
COMMIT_STATUS_UPDATE = "update"
CHANGE_REQUEST = "change_request"
SUMMARY = "summary"

PROGRESSING = "Progressing"
"""The reason of an event that only says that work has begun."""


class InvolvedObject(Part, kw_only=True):
    """The object that an event is about."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""
    resource_version: str = ""
    field_path: str = ""

    @property
    def group(self) -> str:
        """The API group, "" for the core group and for an API version that names none."""
        group, slash, version = self.api_version.partition("/")
        return group if slash and "/" not in version else ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


class Event(Part, kw_only=True):
    """One event. Metadata keys carry their group as the event comes in, and no longer once an Alert took it."""

    involved_object: InvolvedObject = msgspec.field(default_factory=InvolvedObject)
    severity: str = ""
    """trace, info or error."""
    timestamp: str | None = None
    """When it was recorded, RFC 3339 in UTC and whole seconds; None when the sender didn't say."""
    message: str = ""
    reason: str = ""
    metadata: dict[str, str] = {}  # noqa: RUF012  (msgspec gives each object its own copy of an empty default)
    reporting_controller: str = ""
    reporting_instance: str = ""

    @property
    def revision(self) -> str:
        """The revision that this event is about, from the metadata that an Alert made: what the user set wins over the
        origin's, that over the artifact's. "" when there is none."""
        return next((self.metadata[key] for key in (COMMIT, ORIGIN_REVISION, REVISION) if key in self.metadata), "")

    def annotation(self, key: str) -> str | None:
        """What the object's annotations say under a key, of an event that no Alert took yet."""
        return self.metadata.get(f"{GROUP}/{key}")

    def own(self, key: str) -> str | None:
        """What the controller says under a key, of an event that no Alert took yet."""
        return self.metadata.get(f"{self.involved_object.group}/{key}")


def decode(body: bytes | str) -> Event:
    """The event in a request's body, with the metadata of the object's group and of annotations only.

    DecodeError when it isn't one; the error names the field, never a value.
    """
    event = codec.decode_json(Event, body)
    return msgspec.structs.replace(event, timestamp=_time(event.timestamp), metadata=_kept(event))


def _time(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return format_time(parse_time(text))
    except ValueError as problem:
        raise DecodeError(Event.__name__, "timestamp", "expected a time such as 2026-01-31T12:00:00Z") from problem


def _kept(event: Event) -> dict[str, str]:
    group = event.involved_object.group
    dropped = {f"{group}/{key}".casefold() for key in (CHECKSUM, DIGEST)}
    prefixes = (f"{GROUP}/", f"{group}/")
    return {
        key: value
        for key, value in event.metadata.items()
        if key.startswith(prefixes) and key.casefold() not in dropped
    }


def read(body: bytes) -> Event:
    """The event that `encode` wrote."""
    return codec.decode_json(Event, body)


def without_token(event: Event) -> Event:
    """The event without the key that only tells repeats apart: no Alert and no receiver sees it."""
    token = f"{event.involved_object.group}/{TOKEN}"
    return msgspec.structs.replace(event, metadata={k: v for k, v in event.metadata.items() if k != token})


def rate_key(event: Event) -> str:
    """What two events share when one of them repeats the other, as a hex digest. Severity and reason don't count."""
    involved = event.involved_object
    parts = [
        "event",
        f"name={involved.name}",
        f"namespace={involved.namespace}",
        f"kind={involved.kind}",
        f"message={event.message}",
    ]
    values = ((key, event.own(key)) for key in (ORIGIN_REVISION, REVISION, TOKEN))
    parts += [f"{key}={value}" for key, value in values if value is not None]
    return hashlib.sha256("/".join(parts).encode()).hexdigest()


def manifest(event: Event) -> Manifest:
    """The event as plain JSON values, in the wire's order: what CEL expressions and payloads are made of."""
    return {
        "involvedObject": msgspec.to_builtins(event.involved_object),
        "severity": event.severity,
        "timestamp": event.timestamp,
        "message": event.message,
        "reason": event.reason,
        **({"metadata": dict(sorted(event.metadata.items()))} if event.metadata else {}),
        "reportingController": event.reporting_controller,
        **({"reportingInstance": event.reporting_instance} if event.reporting_instance else {}),
    }


_ESCAPES = ((b"&", b"\\u0026"), (b"<", b"\\u003c"), (b">", b"\\u003e"),
            ("\u2028".encode(), b"\\u2028"), ("\u2029".encode(), b"\\u2029"))  # fmt: skip


def encode(event: Event) -> bytes:
    """The event as JSON, byte for byte as upstream writes it: signatures and digests are made over it."""
    text = msgspec.json.encode(manifest(event))
    for plain, escaped in _ESCAPES:
        text = text.replace(plain, escaped)
    return text
