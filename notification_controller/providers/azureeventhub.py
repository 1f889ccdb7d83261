"""Azure Event Hubs: the event as a message of a hub, by the REST API (HTTPS, port 443)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import time
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, quote_plus, urlsplit

from notification_controller.event import encode
from notification_controller.providers import identity
from notification_controller.providers.base import Connection, InvalidProvider, Notification, Provider
from notification_controller.providers.web import Request, bearer, send
from shared.auth import azure
from shared.http import Http

_SIGNED_FOR = 3600
"""Seconds for which a signature is good."""
_DOMAINS = {
    "chinacloudapi.cn": "servicebus.chinacloudapi.cn",
    "microsoftonline.us": "servicebus.usgovcloudapi.net",
}
"""Of clouds for a country, by what AZURE_AUTHORITY_HOST contains."""


class SharedKey(NamedTuple):
    """What a connection string of a shared access policy holds."""

    host: str
    hub: str
    name: str
    key: str


def connect(connection: Connection, http: Http) -> Provider:
    """azureeventhub: needs a connection string with a shared access key as address; or a hub's name as address and the
    namespace as channel. Then it logs in with the token, which is a JWT, or else with the ServiceAccount's identity."""
    if not connection.address:
        raise _wrong("endpoint URL cannot be empty")
    if "SharedAccessKey" in connection.address:
        if connection.service_account_name:
            raise _wrong("serviceAccountName and SAS authentication cannot be set at the same time")
        if connection.token:
            raise _wrong("jwt token and SAS authentication cannot be set at the same time")
        return _EventHub(connection, http, shared_key(connection.address))
    if connection.service_account_name and connection.token:
        raise _wrong("serviceAccountName and jwt token authentication cannot be set at the same time")
    connection.require("channel", "Event Hubs namespace")
    return _EventHub(connection, http, None)


@dataclass(frozen=True)
class _EventHub:
    connection: Connection
    http: Http
    shared: SharedKey | None

    async def post(self, notification: Notification) -> None:
        if self.shared:
            host, hub = self.shared.host, self.shared.hub
            login = {"Authorization": signature(self.shared, int(time.time()) + _SIGNED_FOR)}
        else:
            host, hub = namespace(self.connection.channel), self.connection.address
            login = bearer(self.connection.token or await identity.azure(self.connection, azure.EVENT_HUBS))
        headers = {"Content-Type": "application/atom+xml;type=entry;charset=utf-8", **login}
        url = f"https://{host}/{quote(hub)}/messages?api-version=2014-01"
        request = Request(url, encode(notification.event), headers)
        await send(self.http, request, self.connection, "failed to send msg")


def shared_key(text: str) -> SharedKey:
    """What a connection string says: Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…;EntityPath=…"""
    parts = dict(part.strip().partition("=")[::2] for part in text.split(";") if part.strip())
    for key in ("Endpoint", "SharedAccessKeyName", "SharedAccessKey", "EntityPath"):
        if not parts.get(key):
            raise InvalidProvider(f"failed to create a eventhub using SAS: the connection string has no {key}")
    if parts.get("UseDevelopmentEmulator", "").lower() == "true":
        raise InvalidProvider("failed to create a eventhub using SAS: the emulator has no REST API; use a real hub")
    try:
        host = urlsplit(parts["Endpoint"]).netloc
    except ValueError:
        host = ""
    if not host:
        raise InvalidProvider("failed to create a eventhub using SAS: the connection string's Endpoint is no URL")
    return SharedKey(host, parts["EntityPath"], parts["SharedAccessKeyName"], parts["SharedAccessKey"])


def signature(shared: SharedKey, expires: int) -> str:
    """A token that is good for the hub until a time, in seconds since 1970."""
    resource = quote_plus(f"https://{shared.host}/{shared.hub}".lower())
    digest = hmac.digest(shared.key.encode(), f"{resource}\n{expires}".encode(), hashlib.sha256)
    sign = quote_plus(base64.b64encode(digest))
    return f"SharedAccessSignature sr={resource}&sig={sign}&se={expires}&skn={quote_plus(shared.name)}"


def namespace(name: str) -> str:
    """The host of a namespace, which may be whole already."""
    if ".servicebus." in name:
        return name
    authority = os.environ.get("AZURE_AUTHORITY_HOST", "")
    domain = next((domain for part, domain in _DOMAINS.items() if part in authority), "servicebus.windows.net")
    return f"{name}.{domain}"


def _wrong(what: str) -> InvalidProvider:
    return InvalidProvider(f"invalid authentication options: {what}")
