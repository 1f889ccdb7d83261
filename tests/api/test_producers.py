"""Sources as those see them who only build from them."""

from __future__ import annotations

import pytest

from shared.api import codec, kinds
from shared.api.meta import Manifest
from shared.api.producers import PRODUCERS

ARTIFACT = {
    "path": "bucket/apps/web/1.tar.gz",
    "url": "http://source-controller/bucket/apps/web/1.tar.gz",
    "revision": "sha256:aa",
    "digest": "sha256:bb",
    "lastUpdateTime": "2026-01-31T12:00:00Z",
    "size": 12,
    "metadata": {"org.opencontainers.image.revision": "main@sha1:cc"},
}


def manifest(kind: str) -> Manifest:
    return {
        "apiVersion": PRODUCERS[kind].resource.api_version,
        "kind": kind,
        "metadata": {"name": "web", "namespace": "apps", "uid": "1", "resourceVersion": "7", "labels": {"a": "b"}},
        "spec": {"url": "https://example.org/apps.git"},
        "status": {"artifact": ARTIFACT, "conditions": [{"type": "Ready", "status": "True"}]},
    }


@pytest.mark.parametrize("kind", PRODUCERS)
def test_a_producer_has_the_identity_and_the_artifact_of_the_whole_object(kind: str) -> None:
    known = codec.decode(PRODUCERS[kind], manifest(kind))
    assert type(known).resource is kinds.find(type(known).resource.group, kind).resource
    assert (known.kind, known.metadata.namespace, known.metadata.name) == (kind, "apps", "web")
    assert (known.metadata.uid, known.metadata.resource_version) == ("1", "7")
    assert codec.encode(known)["status"]["artifact"] == ARTIFACT


@pytest.mark.parametrize("kind", PRODUCERS)
def test_another_kind_is_not_taken_for_a_producer(kind: str) -> None:
    with pytest.raises(codec.DecodeError, match=f"kind: expected {kind}, got Kustomization"):
        codec.decode(PRODUCERS[kind], {**manifest(kind), "kind": "Kustomization"})


def test_a_source_without_an_artifact_has_none() -> None:
    assert codec.decode(PRODUCERS["Bucket"], {**manifest("Bucket"), "status": {}}).status.artifact is None
