"""A Bucket's artifact follows its objects; keys can't leave it; what goes wrong says what to fix."""

from __future__ import annotations

import tarfile
from datetime import UTC, datetime

import pytest

from shared.auth import Keys
from source_controller import bucket
from source_controller.buckets import s3
from tests.kit.s3 import S3
from tests.source_controller.conftest import condition

KIND = "Bucket"


@pytest.fixture
def store():
    with S3(page=2) as made:
        made.buckets["app"] = {"a.yaml": b"a: 1", "deep/b.yaml": b"b: 1", "deep/": b"", "z z+ü.yaml": b"z: 1"}
        yield made


def spec(store, **more):
    return {"bucketName": "app", "endpoint": store.endpoint, "insecure": True, **more}


def names(file):
    with tarfile.open(file) as archive:
        return sorted(member.name for member in archive.getmembers() if member.isfile())


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ("lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ],
)
def test_requests_are_signed_as_in_amazons_examples(query, signature):
    keys = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    when = datetime(2013, 5, 24, tzinfo=UTC)
    headers = s3.sign(keys, "us-east-1", "examplebucket.s3.amazonaws.com", "/", query, when)
    assert headers["Authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("index", "text"),
    [
        ({}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ({"a.yaml": "etag1"}, "5fea54f679044fde51ed27bf95a9a4f2625c6fe8b4b7a9b85012a467a0bf4730"),
        (
            {"b/c.yaml": '"e2"', "a.yaml": "e1", "a-1.yaml": "e3"},
            "d82537f90d4103867961c8bc8891986a477597f86af0f9b16b135c8503df8d13",
        ),
    ],
)
def test_the_revision_is_of_all_keys_and_etags(index, text):
    assert bucket.revision_of(index) == f"sha256:{text}"


async def test_all_pages_of_objects_become_files(controller, store):
    await controller.put("s", spec(store), KIND)
    source = await controller.ready("s", kind=KIND)
    assert names(controller.stored(source)) == ["a.yaml", "deep/b.yaml", "z z+ü.yaml"]


async def test_an_unchanged_bucket_is_only_listed(controller, store):
    await controller.put("s", spec(store, prefix="deep"), KIND)
    await controller.ready("s", kind=KIND)
    await controller.put("s", spec(store), KIND)
    before = await controller.ready("s", kind=KIND)
    store.requests.clear()
    token = await controller.ask("s", KIND)
    after = await controller.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == token, KIND)
    assert after["status"]["artifact"] == before["status"]["artifact"]
    assert {path.partition("?")[0] for path, _ in store.requests} == {"/app"}


async def test_the_region_is_what_the_store_says(controller, store):
    store.region, store.keys["app"] = "eu-central-1", "AKIA"
    await controller.secret("keys", {"accesskey": "AKIA", "secretkey": "s3cret"})
    await controller.put("s", spec(store, secretRef={"name": "keys"}), KIND)
    await controller.ready("s", kind=KIND)
    await controller.put("other", spec(store, secretRef={"name": "keys"}, region="us-west-2"), KIND)
    failed = await controller.failed("other", "BucketOperationFailed", KIND)
    assert "the bucket is in region 'eu-central-1': set spec.region" in condition(failed, "Ready", "message")


async def test_an_object_that_goes_while_it_is_fetched_is_left_out(controller, store):
    store.gone = {"deep/b.yaml"}
    await controller.put("s", spec(store), KIND)
    source = await controller.ready("s", kind=KIND)
    assert names(controller.stored(source)) == ["a.yaml", "z z+ü.yaml"]


@pytest.mark.parametrize(
    ("objects", "problem"),
    [
        ({"../evil": b"x"}, "can't be a file's path"),
        ({"a//b": b"x"}, "can't be a file's path"),
        ({"/etc/passwd": b"x"}, "can't be a file's path"),
        ({"a": b"x", "a/b": b"y"}, "another object"),
    ],
)
async def test_keys_that_are_no_paths_are_refused(controller, store, objects, problem):
    store.buckets["app"] = objects
    await controller.put("s", spec(store), KIND)
    failed = await controller.failed("s", "BucketOperationFailed", KIND)
    assert problem in condition(failed, "Ready", "message")


async def test_failures_name_what_to_fix(controller, store):
    store.keys["app"] = "AKIA"
    store.buckets["open"] = {"a": b"1"}
    await controller.secret("half", {"accesskey": "AKIA"})
    await controller.secret("wrong", {"accesskey": "OTHER", "secretkey": "s3cret-key"})
    cases = {
        "missing": ({"bucketName": "absent"}, "BucketOperationFailed", "bucket 'absent' not found"),
        "anonymous": ({}, "BucketOperationFailed", "403 Forbidden (AccessDenied"),
        "wrong": ({"secretRef": {"name": "wrong"}}, "BucketOperationFailed", "AccessDenied"),
        "half": ({"secretRef": {"name": "half"}}, "AuthenticationFailed", "'accesskey' and 'secretkey'"),
        "absent": ({"secretRef": {"name": "absent"}}, "AuthenticationFailed", "failed to get secret 'default/absent'"),
        "cert": ({"certSecretRef": {"name": "half"}}, "AuthenticationFailed", "neither 'ca.crt' nor"),
        "host": ({"endpoint": "127.0.0.1:1"}, "BucketOperationFailed", "dial tcp 127.0.0.1:1: connect"),
    }
    for name, (more, _, _) in cases.items():
        await controller.put(name, spec(store, **more), KIND)
    for name, (_, reason, text) in cases.items():
        message = condition(await controller.failed(name, reason, KIND), "Ready", "message")
        assert text in message, name
        assert "s3cret-key" not in message


@pytest.mark.parametrize("body", [b"<html>", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"])
async def test_an_answer_that_is_no_listing_says_so(controller, store, monkeypatch, body):
    monkeypatch.setattr("tests.kit.s3._Handler._list", lambda self, objects, query: self.reply(200, body), raising=True)
    await controller.put("s", spec(store), KIND)
    failed = await controller.failed("s", "BucketOperationFailed", KIND)
    assert "the store's answer is no" in condition(failed, "Ready", "message")
