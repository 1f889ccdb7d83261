"""Each service gets exactly what upstream sends it. `requests.json` holds requests that upstream was seen to make."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import re
from urllib.parse import parse_qs

import pytest
from msgspec.structs import replace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from notification_controller.providers import Connection, DeliveryFailed, Notification, msteams
from tests.kit.hooks import Hooks, Reply
from tests.notification_controller.providers.services import (
    ALERT,
    DATA,
    EVENTS,
    TOKEN,
    post,
    reach,
)

OURS = {"host", "accept", "accept-encoding", "content-length", "user-agent"}
CHANNELS = {
    "slack": "general",
    "rocket": "general",
    "webex": "room",
    "matrix": "!room:example.org",
    "zulip": "ops/flux",
    "pagerduty": "routing",
}
SUFFIXES = {"discord": "/slack", "zoom": "?format=full", "pagerduty": "/v2/enqueue"}
"""What of a seen path the service itself adds to the address."""


def seen(case: dict) -> dict:
    """The Provider's fields with which upstream made the requests of a case."""
    type_, request = case["provider"], case["requests"][0]
    path = "" if type_ == "matrix" else request["path"].removesuffix(SUFFIXES.get(type_, ""))
    fields = {"address": path, "channel": CHANNELS.get(type_, ""), "token": "tok"}
    if "X-Extra" in request["headers"]:
        fields["headers"] = {"X-Extra": "1"}
    match type_, case.get("variant"):
        case "slack", "bot":
            fields |= {"token": "xoxb", "username": "bot"}
        case "slack", _:
            fields["token"] = ""
        case "generic-hmac", _:
            fields["token"] = "secret"
        case "zulip", _:
            fields |= {"username": "bot@example.org", "password": "key"}
    return fields


def unordered(value):
    """Metadata are a set of pairs, whose order upstream doesn't keep: neither of lists nor of lines is looked at."""
    if isinstance(value, dict):
        return {key: unordered(part) for key, part in value.items()}
    if isinstance(value, list):
        return sorted(map(unordered, value), key=lambda part: json.dumps(part, sort_keys=True))
    return sorted(value.split("\n")) if isinstance(value, str) else value


def of_body(type_: str, body: str | bytes):
    if type_ == "zulip":
        return parse_qs(body if isinstance(body, str) else body.decode())
    return body if isinstance(body, (dict, list)) else json.loads(body)


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda it: f"{it['provider']}-{it.get('variant', '')}{it['event']}")
async def test_the_requests_are_those_that_upstream_makes(case, hooks, trusted, monkeypatch):
    type_ = case["provider"]
    fields = {**dict.fromkeys(("username", "password", "headers"), ""), "headers": {}, **seen(case)}
    service = reach(type_, hooks.url, trusted, monkeypatch, **fields)
    await post(service, case["event"])
    assert len(hooks.requests) == len(case["requests"])
    for got, wanted in zip(hooks.requests, case["requests"], strict=True):
        assert (got.method, got.target) == (wanted["method"], wanted["path"])
        assert {name: value for name, value in got.headers.items() if name not in OURS} == {
            name.lower(): value for name, value in wanted["headers"].items()
        }
        body, expected = of_body(type_, got.body), of_body(type_, wanted["body"])
        if type_ == "opsgenie":  # made with the UID of upstream's Provider
            of = "p1/Kustomization/flux-system/apps/" + EVENTS[case["event"]].reason
            expected = {**expected, "alias": hashlib.sha256(of.encode()).hexdigest()}
        assert unordered(body) == unordered(expected)
        if type_ == "generic-hmac":
            assert got.body.decode() == wanted["rawBody"]


@pytest.mark.parametrize("key", [b"key\n", b"\x00\xff any bytes"])
async def test_a_signature_is_made_with_the_key_as_it_is(key, hooks, trusted, monkeypatch):
    service = reach("generic-hmac", hooks.url, trusted, monkeypatch)
    await post(dataclasses.replace(service, secret={"token": key}))
    (request,) = hooks.requests
    assert request.headers["x-signature"] == "sha256=" + hmac.digest(key, request.body, "sha256").hex()


async def test_sentry_is_told_no_time_that_is_none(hooks, trusted, monkeypatch):
    await post(reach("sentry", hooks.url, trusted, monkeypatch), timestamp=None)
    told = json.loads(hooks.requests[0].body.splitlines()[-1])
    assert told["timestamp"] > "2026"


READ_BY_PEOPLE = ["slack", "discord", "rocket", "msteams", "googlechat", "telegram", "matrix", "lark", "webex", "zoom"]


@pytest.mark.parametrize("type_", READ_BY_PEOPLE)
async def test_people_read_the_summary_first(type_, hooks, trusted, monkeypatch):
    await post(reach(type_, hooks.url, trusted, monkeypatch), "info", metadata={"a": "first", "summary": "second"})
    text = hooks.requests[0].body.decode()
    assert 0 < text.index("second") < text.index("first")


async def test_telegram_gets_markdown_in_which_nothing_of_the_event_is_markup(hooks, trusted, monkeypatch):
    service = reach("telegram", hooks.url, trusted, monkeypatch, channel="-155:7")
    await post(service, "error", message="a_b [c](d) \\ 1.", metadata={"a-b": "c!"})
    (request,) = hooks.requests
    assert (request.method, request.target) == ("POST", f"/bot{TOKEN}/sendMessage")
    assert request.json == {
        "chat_id": "-155",
        "message_thread_id": "7",
        "parse_mode": "MarkdownV2",
        "text": "*🚨 kustomization/apps/flux\\-system*\na\\_b \\[c\\]\\(d\\) \\\\ 1\\.\n\\- *a\\-b*: c\\!\n",
    }


async def test_telegram_is_asked_where_it_is_in_the_world(trusted, certificates):
    """Through a proxy, which leads to a counterpart that is nobody's friend: the name is what counts."""
    with Hooks(certificates.context()) as there, Hooks(behind=there.host) as proxy:
        service = Connection(type="telegram", token=TOKEN, channel="@flux", proxy=f"http://{proxy.host}", tls=trusted)
        with pytest.raises(DeliveryFailed, match=r"api\.telegram\.org: tls"):
            await post(service)
        assert proxy.requests[0].target == "api.telegram.org:443"
        assert not there.requests


async def test_sentry_gets_an_event_for_an_error(hooks, trusted, monkeypatch):
    await post(reach("sentry", hooks.url, trusted, monkeypatch, channel="production"))
    (request,) = hooks.requests
    assert request.target == "/api/42/envelope/"
    assert "sentry_key=public-key" in request.headers["x-sentry-auth"]
    about, item, payload = map(json.loads, request.body.rstrip(b"\n").split(b"\n"))
    assert item == {"type": "event", "length": len(request.body.split(b"\n")[2])}
    assert about["event_id"] == payload["event_id"]
    assert re.fullmatch("[0-9a-f]{32}", payload["event_id"])
    wanted = {
        "level": "error",
        "message": "health check failed\nDeployment/x",
        "environment": "production",
        "server_name": "kustomize-controller",
        "transaction": "Kustomization: flux-system/apps",
        "timestamp": "2024-01-02T03:04:05Z",
        "contexts": {"metadata": EVENTS["error"].metadata},
    }
    assert {key: payload.get(key) for key in wanted} == wanted


async def test_sentry_gets_a_transaction_for_what_is_no_error(hooks, trusted, monkeypatch):
    await post(reach("sentry", hooks.url, trusted, monkeypatch), "info")
    _, item, payload = map(json.loads, hooks.requests[0].body.rstrip(b"\n").split(b"\n"))
    assert (item["type"], payload["type"]) == ("transaction", "transaction")
    assert payload["tags"] == {
        "flux_involved_object_kind": "Kustomization",
        "flux_involved_object_namespace": "flux-system",
        "flux_involved_object_name": "apps",
        "flux_reporting_controller": "kustomize-controller",
        "flux_reporting_instance": "kustomize-controller-xyz",
        "flux_reason": "ReconciliationSucceeded",
        **EVENTS["info"].metadata,
    }
    (span,) = payload["spans"]
    assert span["trace_id"] == payload["contexts"]["trace"]["trace_id"]
    assert span["start_timestamp"] == span["timestamp"] == "2024-01-02T03:04:05Z"


async def test_sentry_gets_nothing_of_another_severity(hooks, trusted, monkeypatch):
    await post(reach("sentry", hooks.url, trusted, monkeypatch), "info", severity="trace")
    assert not hooks.requests


@pytest.mark.parametrize("type_", ["pagerduty", "incident.io"])
async def test_what_only_begins_opens_and_closes_no_incident(type_, hooks, trusted, monkeypatch):
    await post(reach(type_, hooks.url, trusted, monkeypatch), "info", reason="Progressing")
    assert not hooks.requests


def test_teams_connectors_that_are_old_get_an_old_card():
    card = msteams.message_card(EVENTS["error"])
    assert card == {
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": "FF0000",
        "summary": "kustomization/apps.flux-system",
        "sections": [
            {
                "activityTitle": "health check failed\nDeployment/x",
                "activitySubtitle": "kustomization/apps.flux-system",
                "facts": [
                    {"name": key, "value": EVENTS["error"].metadata[key]} for key in sorted(EVENTS["error"].metadata)
                ],
            }
        ],
    }
    old = Connection(type="msteams", address="https://contoso.webhook.office.com/webhookb2/1")
    (request,) = msteams.requests(old, Notification(EVENTS["error"], ALERT))
    assert json.loads(request.body) == card


def span_of(request) -> tuple[dict[str, str], Span]:
    sent = ExportTraceServiceRequest.FromString(request.body)
    (resource,) = sent.resource_spans
    (scope,) = resource.scope_spans
    assert scope.scope.name == "flux:notification-controller"
    (span,) = scope.spans
    return {it.key: it.value.string_value for it in resource.resource.attributes}, span


async def test_otel_gets_a_span_of_the_alerts_trace(hooks, trusted, monkeypatch):
    await post(reach("otel", hooks.url, trusted, monkeypatch))
    (request,) = hooks.requests
    assert (request.method, request.target) == ("POST", "/v1/traces")
    assert request.headers["content-type"] == "application/x-protobuf"
    service, span = span_of(request)
    assert service == {
        "service.name": "flux-system/alert",
        "service.namespace": "flux-system",
        "service.instance.id": ALERT.uid,
    }
    revision = EVENTS["error"].metadata["revision"]
    assert span.trace_id == hashlib.sha256(f"{ALERT.uid}:{revision}".encode()).digest()[:16]
    assert len(span.span_id) == 8
    assert not span.parent_span_id
    assert span.name == "Kustomization: flux-system/apps"
    assert span.start_time_unix_nano == 1704164645 * 10**9 < span.end_time_unix_nano
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, EVENTS["error"].message)
    assert {it.key: it.value.string_value for it in span.attributes} == {
        "object.uid": "7d0cdc51-ddcf-4743-b223-83ca5c699632",
        "object.kind": "Kustomization",
        "object.name": "apps",
        "object.namespace": "flux-system",
        **EVENTS["error"].metadata,
    }


async def test_otel_is_not_told_of_helm_repositories(hooks, trusted, monkeypatch):
    of = replace(EVENTS["info"].involved_object, kind="HelmRepository")
    await post(reach("otel", hooks.url, trusted, monkeypatch), "info", involved_object=of)
    assert not hooks.requests


@pytest.mark.parametrize(
    ("fields", "authorization"),
    [
        ({"username": "ada", "password": "pw"}, "Basic " + base64.b64encode(b"ada:pw").decode()),
        ({"token": "tok", "headers": {"X-Extra": "1"}}, "Bearer tok"),
        ({"token": "tok"}, None),
        ({"token": "tok", "headers": {"authorization": "Own"}}, "Own"),
        ({"headers": {"X-Extra": "1"}}, None),
    ],
)
async def test_otel_logs_in_as_its_secret_says(fields, authorization, hooks, trusted, monkeypatch):
    none = {"username": "", "password": "", "token": ""}
    await post(reach("otel", hooks.url, trusted, monkeypatch, **{**none, **fields}))
    assert hooks.requests[0].headers.get("authorization") == authorization


@pytest.mark.parametrize(
    ("type_", "answer", "is_final"),
    [
        ("slack", {"ok": False, "error": "channel_not_found"}, True),
        ("slack", {"ok": False, "error": "ratelimited"}, False),
        ("lark", {"code": 19001, "msg": "param invalid"}, True),
        ("lark", {"code": 9499, "msg": "too many"}, False),
    ],
)
async def test_a_failure_that_is_answered_with_200_is_one(type_, answer, is_final, hooks, trusted, monkeypatch):
    hooks.answers = [Reply(200, json.dumps(answer).encode())]
    with pytest.raises(DeliveryFailed, match="responded with") as failed:
        await post(reach(type_, hooks.url, trusted, monkeypatch))
    assert failed.value.is_final == is_final
    hooks.answers = [Reply(200, b'{"ok": true, "code": 0}')]
    await post(reach(type_, hooks.url, trusted, monkeypatch))


@pytest.mark.parametrize(("type_", "size"), [("telegram", 4096), ("webex", 7439), ("datadog", 4000)])
async def test_a_message_that_the_service_would_refuse_is_cut(type_, size, hooks, trusted, monkeypatch):
    await post(reach(type_, hooks.url, trusted, monkeypatch), message="é" * 20_000)
    payload = hooks.requests[0].json
    text = payload.get("text") or payload["markdown"]
    assert "…" in text
    assert (len(text.encode()) if type_ == "webex" else len(text)) <= size
    assert "revision" in str(payload)
