"""Providers log in at clouds as their ServiceAccounts, by what the clouds' own libraries ask of the clouds' hosts."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from notification_controller import __main__ as notification_controller
from tests.kit.clouds import Entra, Google, claims, key_of_google, said
from tests.kit.hooks import Hooks
from tests.kit.internet import Asked, Internet, Reply
from tests.notification_controller.telling import Telling, until

GATE = "--feature-gates=ObjectLevelWorkloadIdentity=true"
POOL = "projects/1/locations/global/workloadIdentityPools/pool/providers/cluster"
SUBJECT = "system:serviceaccount:default:sender"
PUBSUB, HUB, DEVOPS = "pubsub.googleapis.com", "ns.servicebus.windows.net", "dev.azure.com"
COMMIT = "a" * 40


@pytest.fixture
async def telling(api: Any, tmp_path: Path, internet: Internet) -> AsyncIterator[Telling]:
    made = Telling(api, tmp_path / "world")
    await made.install()
    yield made
    await made.close()


async def account(telling: Telling, **annotations: str) -> None:
    metadata = {"name": "sender", "namespace": telling.namespace, "annotations": annotations}
    await telling.kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}, field_manager="test")


async def happens(telling: Telling) -> None:
    await telling.alert()
    await telling.known()
    await telling.happens("fine", metadata={"kustomize.toolkit.fluxcd.io/revision": f"main@sha1:{COMMIT}"})


def only_for(is_known: Callable[[Asked], bool]) -> Callable[[Asked], Reply]:
    """A service that answers those whom it knows."""
    return lambda asked: said(200, {}) if is_known(asked) else said(401, {"message": "who are you?"})


def messages(asked: list[Asked]) -> list[str]:
    return [
        json.loads(base64.b64decode(message["data"]))["message"]
        for one in asked
        for message in json.loads(one.body)["messages"]
    ]


async def test_pubsub_by_the_key_in_a_secret(telling: Telling, internet: Internet) -> None:
    def token(asked: Asked) -> Reply:
        about = claims(asked.form["assertion"])
        assert (about["iss"], about["scope"]) == (
            "robot@project.iam.gserviceaccount.com",
            "https://www.googleapis.com/auth/pubsub",
        )
        return said(200, {"access_token": "of-the-key", "expires_in": 3600, "token_type": "Bearer"})

    internet.hosts_of["oauth2.googleapis.com"] = token
    internet.hosts_of[PUBSUB] = only_for(lambda asked: asked.headers["Authorization"] == "Bearer of-the-key")
    await telling.secret("key", token=key_of_google().decode(), headers="team: blue\n")
    await telling.provider(type_="googlepubsub", address="project", channel="topic", secretRef={"name": "key"})
    await telling.start()
    await happens(telling)
    await telling.happens("fine again")
    await until(lambda: len(internet.to(PUBSUB)) == 2)
    first = internet.to(PUBSUB)[0]
    assert first.path == "/v1/projects/project/topics/topic:publish"
    assert json.loads(first.body)["messages"][0]["attributes"] == {"team": "blue"}
    assert messages(internet.to(PUBSUB)) == ["fine", "fine again"]
    assert len(internet.to("oauth2.googleapis.com")) == 1  # a token is kept
    labels = 'kind="Provider",name="chat",namespace="default",operation="post"'
    told = prometheus_client.generate_latest().decode()
    for what in ("cache_miss", "cache_hit"):
        assert f'gotk_token_cache_events_total{{event_type="{what}",{labels}}} 1.0' in told


async def test_pubsub_by_the_identity_of_a_service_account(
    telling: Telling, internet: Internet, google: Google
) -> None:
    google.subjects[f"//iam.googleapis.com/{POOL}"] = SUBJECT
    internet.hosts_of[PUBSUB] = only_for(lambda asked: google.whose(asked) == SUBJECT)
    await account(telling, **{"gcp.auth.fluxcd.io/workload-identity-provider": POOL})
    await telling.provider(type_="googlepubsub", address="project", channel="topic", serviceAccountName="sender")
    await telling.start(GATE)
    await happens(telling)
    await until(lambda: internet.to(PUBSUB))
    assert messages(internet.to(PUBSUB)) == ["fine"]


async def azure_account(telling: Telling, entra: Entra) -> None:
    entra.subjects["client"] = SUBJECT
    await account(
        telling, **{"azure.workload.identity/client-id": "client", "azure.workload.identity/tenant-id": "tenant"}
    )


async def test_an_event_hub_by_the_identity_of_a_service_account(
    telling: Telling, internet: Internet, entra: Entra
) -> None:
    def is_known(asked: Asked) -> bool:
        about = claims(asked.headers["Authorization"].removeprefix("Bearer "))
        return (about["appid"], about["aud"]) == ("client", "https://eventhubs.azure.net/")

    internet.hosts_of[HUB] = only_for(is_known)
    await azure_account(telling, entra)
    await telling.provider(type_="azureeventhub", address="hub", channel="ns", serviceAccountName="sender")
    await telling.start(GATE)
    await happens(telling)
    await until(lambda: internet.to(HUB))
    (asked,) = internet.to(HUB)
    assert asked.path == "/hub/messages?api-version=2014-01"
    assert json.loads(asked.body)["message"] == "fine"


async def test_azure_devops_by_the_account_that_the_flag_names(
    telling: Telling, internet: Internet, entra: Entra
) -> None:
    def answer(asked: Asked) -> Reply:
        user, _, token = base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
        assert (user, claims(token)["appid"]) == ("", "client")
        return said(200, {"count": 0, "value": []}) if asked.method == "GET" else said(201, {})

    internet.hosts_of[DEVOPS] = answer
    await azure_account(telling, entra)
    await telling.provider(type_="azuredevops", address=f"https://{DEVOPS}/org/project/_git/repo")
    await telling.start(GATE, "--default-service-account=sender")
    await telling.alert()
    await telling.known()
    commit = {"event.toolkit.fluxcd.io/commit": f"sha1:{COMMIT}"}
    await telling.happens("fine", metadata=commit)
    await until(lambda: len(internet.to(DEVOPS)) == 2)
    assert json.loads(internet.to(DEVOPS)[1].body)["state"] == "succeeded"


async def test_an_account_that_is_nobody_there_is_named_on_the_alert(telling: Telling, internet: Internet) -> None:
    await account(telling)
    await telling.provider(
        type_="azureeventhub", address="hub", channel="ns", serviceAccountName="sender", timeout="1s"
    )
    await telling.start(GATE)
    await happens(telling)
    warning = await telling.warning("failed to get token")
    assert "service account 'default/sender'" in warning["message"]
    assert "azure.workload.identity/tenant-id" in warning["message"]
    assert internet.to(HUB) == []


async def test_a_refused_login_tells_no_token_and_keeps_no_other_waiting(telling: Telling, entra: Entra) -> None:
    await azure_account(telling, entra)
    entra.subjects.clear()
    await telling.provider(
        type_="azureeventhub", address="hub", channel="ns", serviceAccountName="sender", timeout="1s"
    )
    with Hooks() as hooks:
        await telling.provider("other", hooks.url)
        await telling.alert("other", "other")
        await telling.start(GATE)
        await happens(telling)
        await until(lambda: hooks.requests)
        warning = await telling.warning("AADSTS700213")
        assert "eyJ" not in warning["message"]


def test_a_default_account_needs_the_gate(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        notification_controller.options(["--default-service-account=sender"])
    assert "ObjectLevelWorkloadIdentity" in capsys.readouterr().err
