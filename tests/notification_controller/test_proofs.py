"""Each type of sender proves its webhooks in its own way, and nothing else passes for a proof."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from notification_controller.receivers import cdevents
from notification_controller.receivers.proofs import PROOFS, pubsub_message
from notification_controller.receivers.webhook import Refused, Webhook
from shared.api.meta import LocalObjectReference
from shared.api.notification import ReceiverResource, ReceiverSpec

TOKEN = b"s3cr3t"
JSON = {"Content-Type": "application/json"}
BODY = b'{"ref": "refs/heads/main"}'


def spec(type_, *events):
    return ReceiverSpec(
        type=type_,
        events=list(events),
        resources=[ReceiverResource(kind="GitRepository", name="app")],
        secret_ref=LocalObjectReference(name="token"),
    )


def sign(body=BODY, key=TOKEN, algorithm="sha256"):
    return f"{algorithm}={hmac.new(key, body, algorithm).hexdigest()}"


def prove(type_, headers=None, body=BODY, *, events=(), token=TOKEN):
    return PROOFS[type_](spec(type_, *events), {"token": token}, Webhook(CIMultiDict(headers or {}), body))


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_a_signature_of_each_algorithm_proves_the_body(algorithm):
    assert prove("generic-hmac", {"X-Signature": sign(algorithm=algorithm)}).body == BODY


GOOD = sign()
NO_SIGNATURES = {
    "missing": None,
    "empty": "",
    "no algorithm": GOOD.partition("=")[2],
    "an unknown algorithm": "md5=" + hashlib.md5(BODY).hexdigest(),
    "an algorithm in capitals": GOOD.replace("sha256", "SHA256"),
    "another algorithm's name": GOOD.replace("sha256", "sha512"),
    "truncated": GOOD[:-1],
    "nothing but the algorithm": "sha256=",
    "longer": GOOD + "0",
    "of another body": sign(b"other"),
    "of another key": sign(key=b"other"),
    "unicode": "sha256=" + "é" * 64,
    "digits of another script": "sha256=" + "\u0660" * 64,
    "half a character": "sha256=\udcff",
    "a null": "sha256=\0",
}


@pytest.mark.parametrize("signature", NO_SIGNATURES.values(), ids=NO_SIGNATURES)
@pytest.mark.parametrize(
    ("type_", "header"),
    [("generic-hmac", "X-Signature"), ("github", "X-Hub-Signature-256"), ("bitbucket", "X-Hub-Signature")],
)
def test_what_is_no_signature_of_the_body_is_refused(type_, header, signature):
    headers = JSON | ({} if signature is None else {header: signature})
    with pytest.raises(Refused):
        prove(type_, headers)


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_text_passes_for_a_signature(text):
    for type_, header in (
        ("generic-hmac", "X-Signature"),
        ("github", "X-Hub-Signature"),
        ("nexus", "X-Nexus-Webhook-Signature"),
    ):
        with pytest.raises(Refused):
            prove(type_, JSON | {header: text})


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_no_body_breaks_a_proof(body):
    for type_ in PROOFS:
        for content_type in ("application/json", "application/x-www-form-urlencoded", ""):
            headers = {"Content-Type": content_type, "X-Signature": sign(body), "X-Hub-Signature-256": sign(body),
                       "X-Gitlab-Token": "s3cr3t", "Authorization": "s3cr3t",
                       "X-Nexus-Webhook-Signature": hmac.new(TOKEN, body, "sha1").hexdigest()}  # fmt: skip
            try:
                prove(type_, headers, body)
            except Refused:
                continue


def test_the_stronger_signature_counts_when_there_are_two():
    weak = {"X-Hub-Signature": sign(algorithm="sha1")}
    assert prove("github", JSON | weak)
    with pytest.raises(Refused):
        prove("github", JSON | weak | {"X-Hub-Signature-256": sign(b"other")})


def test_githubs_form_is_signed_whole_and_its_payload_is_seen():
    body = b"payload=%7B%22a%22%3A1%7D&other=x"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Hub-Signature-256": sign(body)}
    assert prove("github", headers, body).body == b'{"a":1}'


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/xml", "json"])
def test_github_sends_json_or_a_form(content_type):
    with pytest.raises(Refused, match="content type"):
        prove("github", {"Content-Type": content_type, "X-Hub-Signature-256": sign()})


@pytest.mark.parametrize("type_", ["github", "bitbucket"])
def test_without_a_token_nothing_needs_to_be_signed_but_a_signature_must_be_right(type_):
    assert prove(type_, JSON, token=b"").body == BODY
    with pytest.raises(Refused):
        prove(type_, JSON | {"X-Hub-Signature-256": sign(key=b"other")}, token=b"")


@pytest.mark.parametrize(("type_", "header"), [("gitlab", "X-Gitlab-Token"), ("harbor", "Authorization")])
def test_a_token_must_be_the_same_to_the_byte(type_, header):
    assert prove(type_, {header: "s3cr3t"})
    for wrong in ("", "s3cr3", "s3cr3t ", "S3CR3T", "Bearer s3cr3t", "s3cr3té", "s3cr3t\udc80"):
        with pytest.raises(Refused) as refused:
            prove(type_, {header: wrong})
        assert "s3cr3t" not in str(refused.value)
    with pytest.raises(Refused):
        prove(type_, {})


def test_a_token_may_hold_any_byte():
    assert prove("gitlab", {"X-Gitlab-Token": b"p\xff".decode(errors="surrogateescape")}, token=b"p\xff")


@pytest.mark.parametrize(
    ("type_", "header", "headers"),
    [
        ("github", "X-GitHub-Event", JSON | {"X-Hub-Signature-256": GOOD}),
        ("bitbucket", "X-Event-Key", JSON | {"X-Hub-Signature": GOOD}),
        ("gitlab", "X-Gitlab-Event", {"X-Gitlab-Token": "s3cr3t"}),
    ],
)
def test_only_wanted_events_pass_whatever_their_case(type_, header, headers):
    assert prove(type_, headers | {header: "PUSH"}, events=["ping", "push"]).event == "PUSH"
    assert prove(type_, headers | {header: "anything"}).event == "anything"
    assert prove(type_, headers).event == ""
    for event in ("release", "", "push "):
        with pytest.raises(Refused, match=r"not in spec\.events"):
            prove(type_, headers | {header: event}, events=["ping", "push"])


def test_nexus_signs_with_sha1_and_sends_json():
    body = b'{"action": "UPDATED", "repositoryName": "docker"}'

    def headers(text):
        return {"X-Nexus-Webhook-Signature": hmac.new(TOKEN, text, "sha1").hexdigest()}

    assert prove("nexus", headers(body), body).event == "docker"
    for wrong in (b"no json", body + b"x", b'{"action": 1}', b"[]"):
        with pytest.raises(Refused, match="the body is not"):
            prove("nexus", headers(wrong), wrong)


@pytest.mark.parametrize(
    ("type_", "good", "wrong"),
    [
        ("dockerhub", {"push_data": {"tag": "v1"}, "repository": {"repo_url": "u"}}, {"push_data": {"tag": 1}}),
        ("quay", {"docker_url": "quay.io/org/app", "updated_tags": ["v1"]}, {"updated_tags": "v1"}),
        ("acr", {"action": "push", "target": {"repository": "app", "tag": "v1"}}, {"target": []}),
    ],
)
def test_a_registrys_body_has_its_shape(type_, good, wrong):
    assert prove(type_, body=json.dumps(good).encode())
    assert prove(type_, body=json.dumps(good).encode() + b"\n{}"), "what follows the first value doesn't count"
    assert prove(type_, body=b"{}")
    assert prove(type_, body=b"null")
    for text in (json.dumps(wrong).encode(), b"not json", b"", b"[]", b"NaN", b"[" * 100_000, gzip.compress(b"{}")):
        with pytest.raises(Refused):
            prove(type_, body=text)


def test_what_a_sender_says_is_not_shown_raw():
    with pytest.raises(Refused) as refused:
        prove("gitlab", {"X-Gitlab-Token": "s3cr3t", "X-Gitlab-Event": "\x1b[2J" + "x" * 5000}, events=["push"])
    assert "\x1b" not in str(refused.value)
    assert len(str(refused.value)) < 300


def pubsub(message):
    return json.dumps({"message": {"data": base64.b64encode(message).decode(), "messageId": "1"}}).encode()


def test_filters_see_what_pubsub_wraps():
    body, event = pubsub_message(pubsub(b'{"action": "INSERT", "tag": "gcr.io/app:1", "more": 1}'))
    assert json.loads(body) == {"action": "INSERT", "digest": "", "tag": "gcr.io/app:1"}
    assert event == "gcr.io/app:1"
    for wrong in (b"{}", b'{"message": {"data": "!"}}', pubsub(b"x"), pubsub(b'{"tag": 1}'), b""):
        with pytest.raises(Refused):
            pubsub_message(wrong)


def event(type_="dev.cdevents.change.merged.0.2.0", subject="change", content=None, **context):
    about = {"version": "0.4.1", "id": "1", "source": "github", "timestamp": "2026-01-02T03:04:05Z", "type": type_}
    return {"context": about | context, "subject": {"type": subject, "id": "1", "content": content or {}}}


REF = {"id": "1", "source": "/x"}
EVENTS = {
    "an older version of the specification": event(version="0.3.0"),
    "content that is known": event(content={"repository": REF}),
    "content that isn't": event(content={"more": 1}),
    "a subject written otherwise": event("dev.cdevents.pipelinerun.started.0.2.0", "pipelineRun"),
    "a service": event(
        "dev.cdevents.service.deployed.0.2.0", "service", {"environment": REF, "artifactId": "pkg:oci/app@sha256:1"}
    ),
    "a test": event("dev.cdevents.testcaserun.finished.0.2.0", "testCaseRun", {"outcome": "pass", "environment": REF}),
    "a custom event": event("dev.cdeventsx.tool-thing.done.0.1.0", "thing", {"a": 1}),
    "links": event(links=[{"linkType": "PATH", "from": {"contextId": "1"}}]),
    "custom data": event() | {"customData": {"a": 1}},
}
NO_EVENTS = {
    "no JSON": None,
    "an empty context": {"context": {}},
    "an unknown type": event("dev.cdevents.change.eaten.0.2.0"),
    "another major version": event("dev.cdevents.change.merged.1.0.0"),
    "another version": event("dev.cdevents.change.merged.0.1.2"),
    "a subject of another kind": event(subject="branch"),
    "no id": event(id=""),
    "no source": event(source=""),
    "no version": event(version=""),
    "no time": event(timestamp="yesterday"),
    "a schema of one's own": event(schemaUri="https://example.com/schema"),
    "a reference without id": event(content={"repository": {"source": "x"}}),
    "content that is no object": event() | {"subject": {"type": "change", "id": "1", "content": []}},
    "a service without artifact": event("dev.cdevents.service.deployed.0.2.0", "service", {"environment": REF}),
    "an outcome that isn't one": event(
        "dev.cdevents.testcaserun.finished.0.2.0", "testCaseRun", {"outcome": "maybe", "environment": REF}
    ),
    "a link that isn't one": event(links=[{"linkType": "OTHER"}]),
    "custom data that is a list": event() | {"customData": []},
}


@pytest.mark.parametrize("given_", EVENTS.values(), ids=EVENTS)
def test_a_cdevent_passes(given_):
    cdevents.require_valid(json.dumps(given_).encode())


@pytest.mark.parametrize("given_", NO_EVENTS.values(), ids=NO_EVENTS)
def test_what_is_no_cdevent_is_refused(given_):
    with pytest.raises(Refused, match="no CDEvent"):
        prove("cdevents", body=b"{" if given_ is None else json.dumps(given_).encode())


def test_cdevents_are_chosen_by_their_header():
    body = json.dumps(event()).encode()
    assert prove("cdevents", {"Ce-Type": "cd.change.merged.v1"}, body, events=["CD.change.merged.v1"])
    with pytest.raises(Refused):
        prove("cdevents", {}, body, events=["cd.change.merged.v1"])
