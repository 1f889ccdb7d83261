"""Google Pub/Sub and Azure Event Hubs: what they are sent, and as whom."""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import unquote_plus

import pytest

from notification_controller.event import encode
from notification_controller.providers import Connection, InvalidProvider
from notification_controller.providers.azureeventhub import SharedKey, namespace, shared_key
from tests.kit.clouds import said
from tests.kit.hooks import Hooks, Reply
from tests.notification_controller.providers.services import EVENTS, KEY, post, reach

SHARED = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=a=b=;EntityPath=hub"


async def test_pubsub_gets_a_message_whose_attributes_are_the_headers(hooks, trusted, monkeypatch):
    await post(reach("googlepubsub", hooks.url, trusted, monkeypatch, headers={"team": "blue"}))
    (request,) = hooks.requests
    assert (request.method, request.target) == ("POST", "/v1/projects/project/topics/topic:publish")
    assert request.headers["authorization"] == "Bearer gcp token of a key for https://www.googleapis.com/auth/pubsub"
    (message,) = request.json["messages"]
    assert base64.b64decode(message["data"]) == encode(EVENTS["error"])
    assert message["attributes"] == {"team": "blue"}


async def test_pubsub_takes_the_identity_of_the_service_account_without_a_key(hooks, trusted, monkeypatch):
    await post(reach("googlepubsub", hooks.url, trusted, monkeypatch, token="", service_account_name="sender"))
    assert hooks.requests[0].headers["authorization"] == "Bearer gcp token of flux-system/sender"
    assert "attributes" not in hooks.requests[0].json["messages"][0]


async def test_pubsubs_emulator_wants_no_login(monkeypatch):
    with Hooks() as emulator:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.host)
        await post(Connection(type="googlepubsub", address="project", channel="topic"))
        assert emulator.requests[0].target == "/v1/projects/project/topics/topic:publish"
        assert "authorization" not in emulator.requests[0].headers


async def test_an_event_hub_gets_the_event_signed_by_the_policys_key(hooks, trusted, monkeypatch):
    hooks.answers = [Reply(201)]
    await post(reach("azureeventhub", hooks.url, trusted, monkeypatch))
    (request,) = hooks.requests
    assert (request.method, request.target) == ("POST", "/hub/messages?api-version=2014-01")
    assert request.body == encode(EVENTS["error"])
    scheme, _, rest = request.headers["authorization"].partition(" ")
    signed = dict(part.split("=", 1) for part in rest.split("&"))
    assert (scheme, signed["skn"]) == ("SharedAccessSignature", "send")
    assert unquote_plus(signed["sr"]) == f"https://{hooks.host}/hub"
    mac = hmac.new(KEY.encode(), f"{signed['sr']}\n{signed['se']}".encode(), hashlib.sha256).digest()
    assert base64.b64decode(unquote_plus(signed["sig"])) == mac


@pytest.mark.parametrize(
    ("fields", "authorization"),
    [
        ({"token": "a.j.wt"}, "Bearer a.j.wt"),
        (
            {"service_account_name": "sender"},
            "Bearer azure token of flux-system/sender for https://eventhubs.azure.net//.default",
        ),
    ],
)
async def test_an_event_hub_is_logged_in_at_by_a_token(fields, authorization, internet, monkeypatch):
    internet.hosts_of["ns.servicebus.windows.net"] = lambda asked: said(201, {})
    await post(reach("azureeventhub", "", None, monkeypatch, channel="ns", **fields))
    (asked,) = internet.asked
    assert asked.path == "/hub/messages?api-version=2014-01"
    assert asked.headers["Authorization"] == authorization


def test_a_connection_string_names_hub_and_policy():
    assert shared_key(SHARED) == SharedKey("ns.servicebus.windows.net", "hub", "send", "a=b=")


@pytest.mark.parametrize(
    ("authority", "name", "host"),
    [
        ("", "ns", "ns.servicebus.windows.net"),
        ("https://login.chinacloudapi.cn/", "ns", "ns.servicebus.chinacloudapi.cn"),
        ("https://login.microsoftonline.us/", "ns", "ns.servicebus.usgovcloudapi.net"),
        ("https://login.microsoftonline.us/", "ns.servicebus.windows.net", "ns.servicebus.windows.net"),
    ],
)
def test_a_namespace_is_in_the_cloud_of_the_controller_unless_it_says_where(authority, name, host, monkeypatch):
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", authority)
    assert namespace(name) == host


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"type": "googlepubsub", "channel": "topic"}, "GCP project ID"),
        ({"type": "googlepubsub", "address": "project"}, "GCP Pub/Sub topic ID"),
        ({"type": "azureeventhub"}, "endpoint URL cannot be empty"),
        ({"type": "azureeventhub", "address": "hub"}, "Event Hubs namespace"),
        ({"address": SHARED, "token": "jwt"}, "jwt token and SAS authentication cannot be set at the same time"),
        ({"address": SHARED, "service_account_name": "x"}, "serviceAccountName and SAS authentication cannot be set"),
        (
            {"address": "hub", "channel": "ns", "token": "jwt", "service_account_name": "x"},
            "serviceAccountName and jwt token authentication cannot be set at the same time",
        ),
        ({"address": SHARED.replace("EntityPath=hub", "")}, "the connection string has no EntityPath"),
        ({"address": SHARED.replace("sb://", "")}, "Endpoint is no URL"),
        ({"address": f"{SHARED};UseDevelopmentEmulator=true"}, "use a real hub"),
    ],
)
async def test_what_is_wrong_with_a_provider_is_named_without_its_key(fields, problem):
    with pytest.raises(InvalidProvider, match=problem) as failed:
        await post(Connection(**{"type": "azureeventhub", **fields}))
    assert "a=b=" not in str(failed.value)
