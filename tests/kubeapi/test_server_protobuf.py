"""Bodies as Go clients send them: recorded from kubectl, each beside what kubectl says the object is."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from kubeapi import protobuf
from kubeapi.errors import StatusError
from tests.kubeapi.server_kit import Api

BODIES = json.loads(Path(__file__).with_name("protobuf_bodies.json").read_text())


def said(value: Any) -> Any:
    """A value without what says nothing: nulls, empty texts, zeros, and what is then empty."""
    if isinstance(value, dict):
        kept = {key: said(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one not in (None, "", 0, False, {}, [])}
    return [said(one) for one in value] if isinstance(value, list) else value


def body(kind: str) -> bytes:
    return base64.b64decode(BODIES[kind]["body"])


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_a_recorded_body_is_the_object_that_was_sent(kind: str):
    assert said(protobuf.decode(body(kind))) == said(BODIES[kind]["object"])


@pytest.mark.parametrize("cut", [1, 5, 20, 60, 150])
def test_a_body_that_ends_too_early_is_refused(cut: int):
    with pytest.raises(StatusError, match="isn't an object in protobuf") as caught:
        protobuf.decode(body("Deployment")[:-cut])
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"{}", "doesn't begin with the bytes"),
        (b"k8s\x00", 'no kind ""'),
        (b"k8s\x00" + b"\xff" * 40, "a number is too long"),
        (b"k8s\x00\x0a\x0b\x0a\x02v1\x12\x05Thing", 'no kind "Thing" is known in version "v1"'),
        (b"k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x02\x0a\x7f", "ends too early"),
        (b"k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x02\x08\x01", "a number stands where bytes should"),
        (b"k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x05\x0a\x03\x0a\x01\xff", "utf-8"),
    ],
)
def test_a_hostile_body_is_refused_with_its_problem(data: bytes, problem: str):
    with pytest.raises(StatusError, match=problem):
        protobuf.decode(data)


def test_a_message_nested_without_end_is_refused():
    def varint(value: int) -> bytes:
        return (bytes([value & 0x7F | 0x80]) + varint(value >> 7)) if value >= 0x80 else bytes([value])

    def wrap(inner: bytes, field: int) -> bytes:
        return varint(field << 3 | 2) + varint(len(inner)) + inner

    schema = b""
    for _ in range(500):
        schema = wrap(schema, 28)  # JSONSchemaProps.not
    spec = wrap(wrap(wrap(schema, 1), 4), 7)  # CustomResourceDefinitionSpec.versions[].schema.openAPIV3Schema
    type_meta = wrap(b"apiextensions.k8s.io/v1", 1) + wrap(b"CustomResourceDefinition", 2)
    with pytest.raises(StatusError, match="nested too deeply"):
        protobuf.decode(b"k8s\x00" + wrap(type_meta, 1) + wrap(wrap(spec, 2), 2))


async def test_an_object_sent_in_protobuf_is_stored_like_one_sent_in_json(api: Api):
    path = "/apis/apps/v1/namespaces/default/deployments"
    made = await api.send("POST", path, body("Deployment"), content_type=protobuf.MEDIA_TYPE)
    sent = BODIES["Deployment"]["object"]
    sent["metadata"]["name"] = "same"
    other = await api.post(path, sent)
    assert made["spec"] == other["spec"]
    assert made["metadata"]["labels"] == other["metadata"]["labels"]
