"""Google Pub/Sub: the event as a message of a topic, by the REST API."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from urllib.parse import quote

from notification_controller.event import Event, encode
from notification_controller.providers import identity
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, bearer, json_request, send
from shared.http import Http

API = "https://pubsub.googleapis.com"
EMULATOR = "PUBSUB_EMULATOR_HOST"
"""The variable that Google's libraries read, too: an emulator's host and port, which wants no login."""
_SCOPE = "https://www.googleapis.com/auth/pubsub"


def connect(connection: Connection, http: Http) -> Provider:
    """googlepubsub: needs a project's id as address and a topic's as channel. It logs in with the token, which is the
    JSON of a key, or else with the identity of the ServiceAccount."""
    connection.require("address", "GCP project ID")
    connection.require("channel", "GCP Pub/Sub topic ID")
    return _PubSub(connection, http, os.environ.get(EMULATOR, ""))


@dataclass(frozen=True)
class _PubSub:
    connection: Connection
    http: Http
    emulator: str

    async def post(self, notification: Notification) -> None:
        token = "" if self.emulator else await self._token()
        url = f"http://{self.emulator}" if self.emulator else API
        topic = f"projects/{self.connection.address}/topics/{self.connection.channel}"
        request = published(f"{url}/v1/{quote(topic)}:publish", notification.event, self.connection, token)
        await send(self.http, request, self.connection, f"error publishing to GCP Pub/Sub topic {topic}")

    async def _token(self) -> str:
        if self.connection.token:
            return await identity.gcp_key(self.connection, _SCOPE)
        return await identity.gcp(self.connection)


def published(url: str, event: Event, connection: Connection, token: str) -> Request:
    """The Secret's headers are the message's attributes."""
    attributes = {"attributes": dict(connection.headers)} if connection.headers else {}
    message = {"data": base64.b64encode(encode(event)).decode(), **attributes}
    return json_request(url, {"messages": [message]}, bearer(token))
