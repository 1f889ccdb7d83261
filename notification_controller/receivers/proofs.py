"""Proofs: how each type of sender proves a webhook. One function a type; what it proves is in its first line.

    Receiver + its Secret + webhook → Proven, or Refused

Secrets are compared in constant time. Where upstream takes an empty token for "no proof wanted" so do we: a signature
made with an empty key proves no more than none.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec

from notification_controller.receivers import cdevents
from notification_controller.receivers.webhook import Proven, Refused, Webhook, json_value, shown
from shared.api.notification import ReceiverSpec

Secret = Mapping[str, bytes]
Proof = Callable[[ReceiverSpec, Secret, Webhook], Proven]

_ALGORITHMS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha512": hashlib.sha512}
_JSON, _FORM = "application/json", "application/x-www-form-urlencoded"


def generic(spec: ReceiverSpec, secret: Secret, webhook: Webhook) -> Proven:
    """Nothing: who knows the path is believed."""
    return Proven(webhook.body)


def generic_hmac(spec: ReceiverSpec, secret: Secret, webhook: Webhook) -> Proven:
    """The body is signed with the token, in X-Signature."""
    _require_signature(webhook.header("X-Signature"), secret["token"], webhook.body)
    return Proven(webhook.body)


def github(spec: ReceiverSpec, secret: Secret, webhook: Webhook) -> Proven:
    """The body is signed with the token, in X-Hub-Signature-256, or X-Hub-Signature of older servers."""
    payload = _signed_payload(secret, webhook)
    return Proven(payload, _require_event(spec, webhook, "X-GitHub-Event"))


def bitbucket(spec: ReceiverSpec, secret: Secret, webhook: Webhook) -> Proven:
    """As github; the event is named in another header."""
    payload = _signed_payload(secret, webhook)
    return Proven(payload, _require_event(spec, webhook, "X-Event-Key"))


def gitlab(spec: ReceiverSpec, secret: Secret, webhook: Webhook) -> Proven:
    """The sender knows the token, and sends it in X-Gitlab-Token."""
    _require_token(webhook, "X-Gitlab-Token", secret)
    return Proven(webhook.body, _require_event(spec, webhook, "X-Gitlab-Event"))


def harbor(spec: ReceiverSpec, secret: Secret, webhook: Webhook) -> Proven:
    """The sender knows the token, and sends it in Authorization, without a scheme."""
    _require_token(webhook, "Authorization", secret)
    return Proven(webhook.body)


def nexus(spec: ReceiverSpec, secret: Secret, webhook: Webhook) -> Proven:
    """The body is signed with the token by SHA-1, in X-Nexus-Webhook-Signature; and it is what Nexus sends."""
    expected = hmac.digest(secret["token"], webhook.body, hashlib.sha1).hex()
    if not _same(webhook.header("X-Nexus-Webhook-Signature"), expected):
        raise Refused("the X-Nexus-Webhook-Signature header does not match the body")
    payload = _shaped(webhook.body, _Nexus, whole=True)
    return Proven(webhook.body, payload.repository_name or "")


def dockerhub(spec: ReceiverSpec, secret: Secret, webhook: Webhook) -> Proven:
    """Nothing but that the body is what Docker Hub sends."""
    payload = _shaped(webhook.body, _DockerHub)
    return Proven(webhook.body, payload.repository.repo_url or "" if payload.repository else "")


def quay(spec: ReceiverSpec, secret: Secret, webhook: Webhook) -> Proven:
    """Nothing but that the body is what Quay sends."""
    return Proven(webhook.body, _shaped(webhook.body, _Quay).docker_url or "")


def acr(spec: ReceiverSpec, secret: Secret, webhook: Webhook) -> Proven:
    """Nothing but that the body is what Azure Container Registry sends."""
    payload = _shaped(webhook.body, _Acr)
    return Proven(webhook.body, payload.target.repository or "" if payload.target else "")


def events(spec: ReceiverSpec, secret: Secret, webhook: Webhook) -> Proven:
    """Nothing but that the body is a CDEvent."""
    try:
        cdevents.require_valid(webhook.body)
    except ValueError as error:
        raise Refused(f"the body is no CDEvent: {error}") from error
    return Proven(webhook.body, _require_event(spec, webhook, "Ce-Type"))


PROOFS: Mapping[str, Proof] = {
    "generic": generic,
    "generic-hmac": generic_hmac,
    "github": github,
    "gitlab": gitlab,
    "bitbucket": bitbucket,
    "harbor": harbor,
    "dockerhub": dockerhub,
    "quay": quay,
    "nexus": nexus,
    "acr": acr,
    "cdevents": events,
}
"""By type; those that ask an issuer's keys are in `oidc`."""


def pubsub_message(body: bytes) -> tuple[bytes, str]:
    """The registry's message that Pub/Sub wraps, as JSON for filters, and what it is about."""
    wrapped = _shaped(body, _PubSub).message
    try:
        data = base64.b64decode((wrapped and wrapped.data) or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("message.data is not base64") from error
    inner = _shaped(data, _Gcr, whole=True)
    return msgspec.json.encode(
        {"action": inner.action or "", "digest": inner.digest or "", "tag": inner.tag or ""}
    ), inner.tag or ""


# What more than one type needs


def _signed_payload(secret: Secret, webhook: Webhook) -> bytes:
    """The payload of a signed request: its body, or the field `payload` of a form."""
    signature = webhook.header("X-Hub-Signature-256") or webhook.header("X-Hub-Signature")
    if webhook.media_type not in (_JSON, _FORM):
        raise Refused(f"the content type is neither {_JSON} nor {_FORM}")
    if secret["token"] or signature:
        _require_signature(signature, secret["token"], webhook.body)
    if webhook.media_type == _JSON:
        return webhook.body
    try:
        fields = parse_qs(webhook.body.decode(errors="surrogateescape"), errors="surrogateescape", max_num_fields=100)
    except ValueError as error:
        raise Refused("the form has too many fields") from error
    return fields.get("payload", [""])[0].encode(errors="surrogateescape")


def _require_signature(signature: str, key: bytes, body: bytes) -> None:
    """`<algorithm>=<hex HMAC of the body>`."""
    name, _, given = signature.partition("=")
    algorithm = _ALGORITHMS.get(name)
    if algorithm is None:
        raise Refused("the signature is missing, or not made by sha1, sha256 or sha512")
    if not _same(given.lower(), hmac.digest(key, body, algorithm).hex()):
        raise Refused("the signature does not match the body")


def _require_token(webhook: Webhook, header: str, secret: Secret) -> None:
    if not _same(webhook.header(header), secret["token"]):
        raise Refused(f"the {header} header does not match the token")


def _require_event(spec: ReceiverSpec, webhook: Webhook, header: str) -> str:
    """The event that a header names, which must be one that the Receiver wants."""
    event = webhook.header(header)
    if spec.events and event.casefold() not in {name.casefold() for name in spec.events}:
        raise Refused(f"the event {shown(event)!r} is not in spec.events")
    return event


def _same(given: str, expected: str | bytes) -> bool:
    """Are they equal? Takes the same time wherever they differ."""
    wanted = expected if isinstance(expected, bytes) else expected.encode()
    return hmac.compare_digest(given.encode(errors="surrogateescape"), wanted)


# What registries send, as far as upstream looks at it


class _Nexus(msgspec.Struct, rename="camel"):
    action: str | None = None
    repository_name: str | None = None


class _PushData(msgspec.Struct):
    tag: str | None = None


class _Repository(msgspec.Struct):
    repo_url: str | None = None


class _DockerHub(msgspec.Struct):
    push_data: _PushData | None = None
    repository: _Repository | None = None


class _Quay(msgspec.Struct):
    docker_url: str | None = None
    updated_tags: list[str | None] | None = None


class _Target(msgspec.Struct):
    repository: str | None = None
    tag: str | None = None


class _Acr(msgspec.Struct):
    action: str | None = None
    target: _Target | None = None


class _Message(msgspec.Struct, rename="camel"):
    data: str | None = None
    message_id: str | None = None
    publish_time: datetime | None = None
    subscription: str | None = None


class _PubSub(msgspec.Struct):
    message: _Message | None = None


class _Gcr(msgspec.Struct):
    action: str | None = None
    digest: str | None = None
    tag: str | None = None


def _shaped(body: bytes, shape: type[Any], *, whole: bool = False) -> Any:
    """The body as what a registry sends. A null is an empty one."""
    try:
        value = json_value(body, whole=whole)
        return msgspec.convert({} if value is None else value, shape)
    except ValueError as error:  # msgspec's names the field and its type, never the value
        raise Refused(f"the body is not as this sender's: {error}") from error
