"""Zulip: a bot's message to a topic of a channel."""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit, urlunsplit

from notification_controller.providers import texts
from notification_controller.providers.base import Connection, InvalidProvider, Notification, Provider
from notification_controller.providers.web import Request, Web, basic
from shared.http import Http


def connect(connection: Connection, http: Http) -> Provider:
    """zulip: needs the server's address, <channel>/<topic> as channel, and a bot's e-mail address and key."""
    connection.url("Zulip endpoint URL")
    channel, _, topic = connection.channel.partition("/")
    if not channel or not topic:
        raise InvalidProvider(f"invalid Zulip channel format, expected <channel>/<topic>, got '{connection.channel}'")
    return Web(connection, http, requests, failure="")


def requests(connection: Connection, notification: Notification) -> list[Request]:
    """Whatever the address's path is, the API's is used."""
    channel, _, topic = connection.channel.partition("/")
    url = urlunsplit(urlsplit(connection.address)._replace(path="/api/v1/messages"))
    content = texts.markdown(notification.event)
    body = urlencode({"content": content, "to": channel, "topic": topic, "type": "stream"}).encode()
    login = basic(connection.username, connection.password) if connection.username or connection.password else {}
    return [Request(url, body, {"Content-Type": "application/x-www-form-urlencoded", **login})]
