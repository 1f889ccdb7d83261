"""Events as they come in and go out, and which of them repeat each other."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from notification_controller import event as events
from notification_controller.inbox import Repeats
from shared.api.codec import DecodeError

GROUP = "source.toolkit.fluxcd.io"


def body(**fields: Any) -> bytes:
    involved = {"apiVersion": f"{GROUP}/v1", "kind": "GitRepository", "namespace": "apps", "name": "app", "uid": "1"}
    event = {
        "involvedObject": involved,
        "severity": "info",
        "timestamp": "2026-01-02T03:04:05Z",
        "message": "stored",
        "reason": "NewArtifact",
        "reportingController": "source-controller",
    }
    return json.dumps(event | fields).encode()


def test_an_event_goes_out_as_it_came_in() -> None:
    given = body(reportingInstance="source-controller-0", metadata={f"{GROUP}/revision": "main@sha1:1"})
    assert json.loads(events.encode(events.decode(given))) == json.loads(given)


def test_what_is_empty_is_written_where_upstream_writes_it() -> None:
    assert json.loads(events.encode(events.decode(b"{}"))) == {
        "involvedObject": {},
        "severity": "",
        "timestamp": None,
        "message": "",
        "reason": "",
        "reportingController": "",
    }


def test_metadata_are_written_in_the_order_of_their_keys() -> None:
    given = events.decode(body(metadata={f"{GROUP}/{key}": "1" for key in ("b", "a", "C")}))
    assert rb'/C":"1","' in events.encode(given)
    assert list(json.loads(events.encode(given))["metadata"]) == [f"{GROUP}/C", f"{GROUP}/a", f"{GROUP}/b"]


def test_an_event_is_written_as_upstream_writes_json() -> None:
    written = events.encode(events.decode(body(message="a < b && c > d \u2028 ü")))
    assert rb'"a \u003c b \u0026\u0026 c \u003e d \u2028 ' + "ü".encode() in written


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("2026-01-02T05:04:05.999+02:00", "2026-01-02T03:04:05Z"),
        (None, None),
    ],
)
def test_times_are_written_in_utc_and_whole_seconds(given: str | None, written: str | None) -> None:
    assert events.decode(body(timestamp=given)).timestamp == written


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"{not json",
        b"[]",
        b"null",
        b'{"message": 1}',
        b'{"metadata": {"a": 1}}',
        b'{"timestamp": "yesterday"}',
        b'{"involvedObject": "app"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_event_is_refused(given: bytes) -> None:
    with pytest.raises(DecodeError):
        events.decode(given)


def test_only_metadata_of_the_object_and_of_annotations_is_kept() -> None:
    metadata = {
        f"{GROUP}/revision": "1",
        f"{GROUP}/Checksum": "2",
        f"{GROUP}/DIGEST": "3",
        "event.toolkit.fluxcd.io/team": "blue",
        "event.toolkit.fluxcd.io/checksum": "kept: it is the user's",
        "kustomize.toolkit.fluxcd.io/revision": "4",
        "revision": "5",
    }
    assert set(events.decode(body(metadata=metadata)).metadata) == {
        f"{GROUP}/revision",
        "event.toolkit.fluxcd.io/team",
        "event.toolkit.fluxcd.io/checksum",
    }


def test_the_token_tells_repeats_apart_and_goes_no_further() -> None:
    one, two = (events.decode(body(metadata={f"{GROUP}/token": token})) for token in "12")
    assert events.rate_key(one) != events.rate_key(two)
    assert events.without_token(one).metadata == {}


@pytest.mark.parametrize(
    ("fields", "repeats"),
    [
        ({"severity": "error"}, True),
        ({"reason": "Other"}, True),
        ({"timestamp": "2027-01-01T00:00:00Z"}, True),
        ({"metadata": {f"{GROUP}/other": "1"}}, True),
        ({"metadata": {"event.toolkit.fluxcd.io/revision": "1"}}, True),
        ({"message": "stored again"}, False),
        ({"metadata": {f"{GROUP}/revision": "1"}}, False),
        ({"metadata": {f"{GROUP}/revision": ""}}, False),
        ({"metadata": {f"{GROUP}/originRevision": "1"}}, False),
    ],
)
def test_what_makes_an_event_another(fields: dict[str, Any], repeats: bool) -> None:
    first, second = events.decode(body()), events.decode(body(**fields))
    assert (events.rate_key(first) == events.rate_key(second)) is repeats


def test_the_key_of_an_event_is_upstreams() -> None:
    import hashlib

    event = events.decode(body(metadata={f"{GROUP}/{key}": key for key in ("token", "revision", "originRevision")}))
    text = (
        "event/name=app/namespace=apps/kind=GitRepository/message=stored"
        "/originRevision=originRevision/revision=revision/token=token"
    )
    assert events.rate_key(event) == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("metadata", "revision"),
    [
        ({}, ""),
        ({"revision": "r"}, "r"),
        ({"revision": "r", "originRevision": "o"}, "o"),
        ({"revision": "r", "originRevision": "o", "commit": "c"}, "c"),
    ],
)
def test_which_revision_an_event_is_about(metadata: dict[str, str], revision: str) -> None:
    assert msgspec.structs.replace(events.decode(b"{}"), metadata=metadata).revision == revision


def test_the_interval_begins_with_the_first_of_equal_events() -> None:
    repeats = Repeats(300.0)
    assert repeats.seen("a", 0.0) == 0
    assert repeats.seen("a", 200.0) == 100
    assert repeats.seen("b", 200.0) == 0
    assert repeats.seen("a", 300.0) == 0  # the repeat at 200 didn't lengthen it
    assert repeats.seen("a", 301.0) > 0


def test_an_event_that_was_not_taken_after_all_is_no_repeat() -> None:
    repeats = Repeats(300.0)
    repeats.seen("a", 0.0)
    repeats.forget("a")
    assert repeats.seen("a", 1.0) == 0


def test_repeats_are_remembered_within_a_limit() -> None:
    repeats = Repeats(300.0, limit=10)
    for number in range(1000):
        repeats.seen(str(number), 0.0)
    assert len(repeats._until) <= 11
    assert repeats.seen("999", 1.0) > 0


def test_no_interval_means_no_limit() -> None:
    repeats = Repeats(0.0)
    assert [repeats.seen("a", 0.0), repeats.seen("a", 0.0)] == [0, 0]
