"""A Bucket's artifact follows the objects of a cloud's store, read by keys, by signatures and as identities.

Blob Storage is Azurite, S3 is moto; nobody has built Google's store, of which the test kit has a stand-in.
"""

from __future__ import annotations

import json
import logging
import re
import tarfile

import pytest

from shared.api import codec
from shared.api.source import BucketSTS
from shared.loop.verdict import Stalled
from source_controller.buckets import access, azure
from source_controller.buckets.store import BucketError
from tests.kit.azurite import ACCOUNT_KEY, Azurite
from tests.kit.clouds import key_of_google, said
from tests.kit.internet import Asked, Reply
from tests.kit.s3 import LDAP_KEY, S3
from tests.source_controller.conftest import condition
from tests.source_controller.test_cloud_logins import AZURE, GATE, GCP, PROVIDER, ROLE, SUBJECT

KIND = "Bucket"
FILES = {"a.yaml": b"a: 1", "deep/b.yaml": b"b: 1", "z z+ü%.yaml": b"z: 1"}


@pytest.fixture
def people():
    with S3() as made:
        made.buckets["app"], made.keys["app"] = {"a.yaml": b"a: 1"}, LDAP_KEY
        made.people["ada"] = "pa55word"
        yield made


def blobs(**more):
    return {"bucketName": "app", "endpoint": f"https://{Azurite.host}", "provider": "azure", **more}


def gcs(**more):
    return {"bucketName": "app", "endpoint": "storage.googleapis.com", "provider": "gcp", **more}


def s3(**more):
    return {"bucketName": "app", "endpoint": "s3.eu-west-1.amazonaws.com", "provider": "aws", "region": "eu-west-1",
            **more}  # fmt: skip


def contents(file):
    with tarfile.open(file) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}


async def stored(world, name="s"):
    return contents(world.stored(await world.ready(name, kind=KIND)))


async def shown(world, caplog):
    """All that this controller says; the test's own servers and clients say more."""
    own = [record.getMessage() for record in caplog.records if not record.name.startswith(("urllib3", "werkzeug"))]
    return "\n".join(own) + json.dumps(await world.read("s", KIND)) + json.dumps(await world.events("s"))


async def message(world, reason, name="s"):
    return condition(await world.failed(name, reason, KIND), "Ready", "message")


# Azure


@pytest.mark.parametrize("how", ["accountKey", "sasKey"])
async def test_a_container_is_read_with_the_accounts_key_or_a_signature(controller, azurite, how, caplog):
    caplog.set_level(logging.DEBUG)
    azurite.put("app", FILES)
    secret = {"accountKey": ACCOUNT_KEY, "sasKey": "?" + azurite.shared_access()}[how]
    await controller.secret("login", {how: secret})
    await controller.put("s", blobs(secretRef={"name": "login"}), KIND)
    assert await stored(controller) == FILES
    assert secret.rpartition("sig=")[2] not in await shown(controller, caplog)


async def test_a_service_principal_reads_a_container(controller, azurite, entra):
    azurite.put("app", FILES)
    entra.secrets["client"] = "s3cret"
    principal = {"tenantId": "tenant", "clientId": "client", "clientSecret": "s3cret"}
    await controller.secret("login", principal)
    await controller.put("s", blobs(secretRef={"name": "login"}), KIND)
    assert await stored(controller) == FILES
    await controller.secret("wrong", principal | {"clientSecret": "wr0ng"})
    await controller.put("wrong", blobs(secretRef={"name": "wrong"}), KIND)
    told = await message(controller, "AuthenticationFailed", "wrong")
    assert "failed to create token credential from 'default/wrong' secret" in told
    assert "wr0ng" not in told


async def test_a_container_is_read_as_an_account(world, azurite, entra, internet):
    azurite.put("app", FILES)
    entra.subjects["client"] = SUBJECT
    await world.start(GATE)
    await world.account("app", AZURE)
    await world.put("s", blobs(serviceAccountName="app"), KIND)
    assert await stored(world) == FILES
    assert all(asked.headers["Authorization"].startswith("Bearer ") for asked in internet.to(Azurite.host))


async def test_the_controllers_identity_reads_a_container(controller, azurite, entra, monkeypatch):
    azurite.put("app", FILES)
    entra.secrets["client"] = "s3cret"
    for name, value in {"TENANT_ID": "tenant", "CLIENT_ID": "client", "CLIENT_SECRET": "s3cret"}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    await controller.put("s", blobs(), KIND)
    assert await stored(controller) == FILES


async def test_a_container_is_followed_in_pages_and_only_listed_while_it_stays(
    controller, azurite, internet, monkeypatch
):
    monkeypatch.setattr(azure, "_PAGE", "2")
    azurite.put("app", FILES | {f"n{number}": b"" for number in range(5)})
    await controller.secret("login", {"accountKey": ACCOUNT_KEY})
    await controller.put("s", blobs(secretRef={"name": "login"}), KIND)
    before = await controller.ready("s", kind=KIND)
    assert len(contents(controller.stored(before))) == 8
    internet.asked.clear()
    asked = await controller.ask("s", KIND)
    after = await controller.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == asked, KIND)
    assert after["status"]["artifact"] == before["status"]["artifact"]
    assert [each.query.get("comp") for each in internet.to(Azurite.host)] == ["list"] * 4
    azurite.put("app", {"a.yaml": b"a: 2"})
    await controller.ask("s", KIND)
    await controller.until("s", lambda obj: obj["status"]["artifact"] != before["status"]["artifact"], KIND)
    assert (await stored(controller))["a.yaml"] == b"a: 2"


async def test_the_prefix_and_the_ignore_rules_of_a_container_count(controller, azurite):
    azurite.put("app", FILES | {"deep/c.md": b"c", ".sourceignore": b"*.md\n"})
    await controller.secret("login", {"accountKey": ACCOUNT_KEY})
    await controller.put("s", blobs(secretRef={"name": "login"}, prefix="deep/"), KIND)
    assert list(await stored(controller)) == ["deep/b.yaml"]


async def test_failures_of_azure_name_what_to_fix(controller, azurite):
    azurite.put("app", FILES)
    await controller.secret("right", {"accountKey": ACCOUNT_KEY})
    await controller.secret("wrong", {"accountKey": "d3JvbmcgLSB3cm9uZw=="})
    await controller.secret("garbage", {"accountKey": "no base64!"})
    await controller.secret("other", {"password": "x"})
    cases = {
        "missing": (
            blobs(bucketName="absent", secretRef={"name": "right"}),
            "BucketOperationFailed",
            "'absent' not found",
        ),
        "wrong": (blobs(secretRef={"name": "wrong"}), "BucketOperationFailed", "InvalidAuthenticationInfo"),
        "garbage": (blobs(secretRef={"name": "garbage"}), "BucketOperationFailed", "the account's key is no base64"),
        "other": (blobs(secretRef={"name": "other"}), "AuthenticationFailed", "requires a 'clientId' or 'accountKey'"),
        "gone": (blobs(secretRef={"name": "absent"}), "AuthenticationFailed", "failed to get secret 'default/absent'"),
        "nobody": (blobs(), "BucketOperationFailed", "asked without a login: the controller can't log in at azure"),
    }
    for name, (wanted, _, _) in cases.items():
        await controller.put(name, wanted, KIND)
    for name, (_, reason, text) in cases.items():
        assert text in await message(controller, reason, name), name


@pytest.mark.parametrize(
    ("endpoint", "account"),
    [
        ("https://devstoreaccount1.blob.core.windows.net", "devstoreaccount1"),
        ("https://account.privatelink.blob.core.windows.net/", "account"),
        ("http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
        ("http://localhost:10000/devstoreaccount1/", "devstoreaccount1"),
        ("https://example.com", None),
        ("http://127.0.0.1:10000", None),
    ],
)
def test_an_endpoint_says_whose_account_it_is(endpoint, account):
    container = azure.Container("app", endpoint)
    if account is not None:
        assert container.account == account
    else:
        with pytest.raises(BucketError, match="account's name"):
            _ = container.account


# Google


async def test_a_key_of_google_reads_a_bucket(controller, google, internet):
    google.buckets["app"], google.tokens["given"] = dict(FILES), "robot"
    google.readers.add("robot")
    internet.hosts_of["oauth2.googleapis.com"] = lambda asked: said(200, {"access_token": "given", "expires_in": 3600})
    await controller.secret("key", {"serviceaccount": key_of_google()})
    await controller.put("s", gcs(secretRef={"name": "key"}), KIND)
    assert await stored(controller) == FILES


async def test_an_account_reads_a_bucket_of_google_until_it_may_not(world, google, internet):
    google.buckets["app"] = dict(FILES)
    google.subjects[f"//iam.googleapis.com/{PROVIDER}"] = SUBJECT
    google.readers.add(SUBJECT)
    await world.start(GATE)
    await world.account("app", GCP)
    await world.put("s", gcs(serviceAccountName="app"), KIND)
    assert await stored(world) == FILES
    before = await world.read("s", KIND)
    google.buckets["app"]["a.yaml"] = b"a: 2"
    await world.ask("s", KIND)
    await world.until("s", lambda obj: obj["status"]["artifact"] != before["status"]["artifact"], KIND)
    assert (await stored(world))["a.yaml"] == b"a: 2"
    google.readers.clear()
    await world.ask("s", KIND)
    told = await message(world, "BucketOperationFailed")
    assert "403" in told
    assert f"{SUBJECT} may not read app" in told
    assert not [given for given in google.tokens if given in json.dumps(await world.read("s", KIND))]


async def test_an_object_that_changes_while_google_is_read_is_taken_as_it_is_now(controller, google, internet):
    google.buckets["app"], google.tokens["given"] = dict(FILES), "robot"
    google.readers.add("robot")
    internet.hosts_of["oauth2.googleapis.com"] = lambda asked: said(200, {"access_token": "given", "expires_in": 3600})
    inner, changes = internet.hosts_of["storage.googleapis.com"], [b"a: 2"]

    def answer(asked):
        if changes and "a.yaml?alt=media" in asked.path:
            google.buckets["app"]["a.yaml"] = changes.pop()
        return inner(asked)

    internet.hosts_of["storage.googleapis.com"] = answer
    await controller.secret("key", {"serviceaccount": key_of_google()})
    await controller.put("s", gcs(secretRef={"name": "key"}), KIND)
    assert (await stored(controller))["a.yaml"] == b"a: 2"
    source = await controller.read("s", KIND)
    asked = await controller.ask("s", KIND)
    after = await controller.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == asked, KIND)
    assert after["status"]["artifact"] == source["status"]["artifact"], "the revision is of what was taken"


async def test_failures_of_google_name_what_to_fix(controller, google, internet):
    google.tokens["given"] = "robot"
    google.readers.add("robot")
    internet.hosts_of["oauth2.googleapis.com"] = lambda asked: said(200, {"access_token": "given", "expires_in": 3600})
    await controller.secret("key", {"serviceaccount": key_of_google()})
    await controller.secret("broken", {"serviceaccount": '{"type": "service_account", "private_key": "s3cret-key"}'})
    await controller.secret("other", {"password": "x"})
    cases = {
        "missing": (gcs(secretRef={"name": "key"}), "BucketOperationFailed", "bucket 'app' not found"),
        "broken": (gcs(secretRef={"name": "broken"}), "AuthenticationFailed", "it is no complete key"),
        "other": (gcs(secretRef={"name": "other"}), "AuthenticationFailed", "required fields 'serviceaccount'"),
        "nobody": (gcs(), "AuthenticationFailed", "the controller can't log in at gcp"),
    }
    for name, (wanted, _, _) in cases.items():
        await controller.put(name, wanted, KIND)
    for name, (_, reason, text) in cases.items():
        told = await message(controller, reason, name)
        assert text in told, name
        assert "s3cret-key" not in told


# Amazon


async def test_an_account_reads_a_bucket_of_amazon_with_the_keys_of_its_role(world, aws):
    given = []
    sts, everything = "sts.eu-west-1.amazonaws.com", aws.hosts_of["*.amazonaws.com"]

    def exchange(asked):
        reply = everything(asked)
        given.append(re.findall(rb"<(?:AccessKeyId|SessionToken)>([^<]+)<", reply.body))
        return reply

    aws.hosts_of[sts] = exchange
    files = {name: data for name, data in FILES.items() if " " not in name}
    region = (
        b"<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
    )
    for path, body in {"/": region, **{f"/{name}": data for name, data in files.items()}}.items():
        assert everything(Asked("app.s3.eu-west-1.amazonaws.com", "PUT", path, {}, body)).status == 200
    await world.start(GATE)
    await world.account("app", ROLE)
    await world.put("s", s3(serviceAccountName="app"), KIND)
    assert await stored(world) == files
    access, session = (each.decode() for each in given[0])
    for asked in aws.to("app.s3.eu-west-1.amazonaws.com"):
        assert f"Credential={access}/" in asked.headers["Authorization"]
        assert asked.headers["x-amz-security-token"] == session
    assert session not in json.dumps(await world.read("s", KIND))


async def test_the_endpoint_of_amazons_token_service_may_be_chosen(world, aws):
    await world.start(GATE)
    await world.account("app", ROLE)
    endpoint = "https://sts-fips.us-east-1.amazonaws.com"
    await world.put("s", s3(serviceAccountName="app", sts={"provider": "aws", "endpoint": endpoint}), KIND)
    await message(world, "BucketOperationFailed")  # there is no such bucket
    assert [asked.host for asked in aws.asked if asked.host.startswith("sts")] == ["sts-fips.us-east-1.amazonaws.com"]


# A store and a directory of one's own


@pytest.mark.parametrize("endpoint", ["http://[::1", "https://sts.example:port"])
def test_a_token_services_address_can_be_read(endpoint):
    with pytest.raises(Stalled, match="failed to parse STS endpoint") as told:
        access.require_fitting("generic", codec.decode(BucketSTS, {"provider": "ldap", "endpoint": endpoint}))
    assert told.value.reason == "URLInvalid"


@pytest.mark.parametrize(
    ("provider", "service", "problem"),
    [
        ("aws", {"provider": "aws"}, None),
        ("generic", {"provider": "ldap", "secretRef": {"name": "x"}, "certSecretRef": {"name": "x"}}, None),
        ("generic", {"provider": "aws"}, "STS provider 'aws' is not supported for 'generic' bucket provider"),
        ("aws", {"provider": "ldap"}, "STS provider 'ldap' is not supported for 'aws' bucket provider"),
        ("aws", {"provider": "aws", "secretRef": {"name": "x"}}, "spec.sts.secretRef is not required"),
        ("aws", {"provider": "aws", "certSecretRef": {"name": "x"}}, "spec.sts.certSecretRef is not required"),
    ],
)
def test_a_token_service_fits_its_store(provider, service, problem):
    given = codec.decode(BucketSTS, {"endpoint": "https://sts.example", **service})
    if problem is None:
        access.require_fitting(provider, given)
    else:
        with pytest.raises(Stalled, match=problem) as told:
            access.require_fitting(provider, given)
        assert told.value.reason == "InvalidSTSConfiguration"


async def test_a_name_of_a_directory_gets_keys_for_the_store(controller, people, caplog):
    caplog.set_level(logging.DEBUG)
    await controller.secret("ada", {"username": "ada", "password": "pa55word"})
    sts = {"provider": "ldap", "endpoint": people.address, "secretRef": {"name": "ada"}}
    wanted = {"bucketName": "app", "endpoint": people.endpoint, "insecure": True, "sts": sts}
    await controller.put("s", wanted, KIND)
    assert await stored(controller) == {"a.yaml": b"a: 1"}
    assert people.logins == ["ada"]
    asked = await controller.ask("s", KIND)
    await controller.until("s", lambda obj: obj["status"].get("lastHandledReconcileAt") == asked, KIND)
    assert people.logins == ["ada"], "the keys are kept"
    told = await shown(controller, caplog)
    assert not [secret for secret in ("pa55word", "a-session", "LDAPSECRET") if secret in told]


async def test_failures_of_a_token_service_name_what_to_fix(controller, people):
    await controller.secret("wrong", {"username": "ada", "password": "wr0ng"})
    await controller.secret("half", {"username": "ada"})
    base = {"bucketName": "app", "endpoint": people.endpoint, "insecure": True}
    cases = {
        "wrong": ({"endpoint": people.address, "secretRef": {"name": "wrong"}}, "it gives no keys: 403"),
        "half": ({"endpoint": people.address, "secretRef": {"name": "half"}}, "required fields username, password"),
        "gone": (
            {"endpoint": people.address, "secretRef": {"name": "absent"}},
            "failed to get STS secret 'default/absent'",
        ),
        "cert": ({"endpoint": people.address, "certSecretRef": {"name": "half"}}, "failed to get STS TLS config"),
        "host": ({"endpoint": "http://127.0.0.1:1"}, "dial tcp 127.0.0.1:1: connect"),
    }
    for name, (sts, _) in cases.items():
        await controller.put(name, {**base, "sts": {"provider": "ldap", **sts}}, KIND)
    for name, (_, text) in cases.items():
        told = await message(controller, "AuthenticationFailed", name)
        assert text in told, name
        assert "wr0ng" not in told


async def test_a_token_services_answer_without_keys_says_so(controller, people, internet):
    await controller.secret("ada", {"username": "ada", "password": "pa55word"})
    for number, body in enumerate((b"<x/>", b"no XML", b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>")):
        internet.hosts_of[f"sts{number}.example"] = lambda asked, body=body: Reply(200, body)
        sts = {"provider": "ldap", "endpoint": f"https://sts{number}.example", "secretRef": {"name": "ada"}}
        wanted = {"bucketName": "app", "endpoint": people.endpoint, "insecure": True, "sts": sts}
        await controller.put(f"s{number}", wanted, KIND)
        assert "failed to get keys from the STS endpoint" in await message(
            controller, "AuthenticationFailed", f"s{number}"
        )
