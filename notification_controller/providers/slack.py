"""Slack, and the services that take Slack's messages: Discord and Rocket.Chat."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from notification_controller.event import Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Refusal, Request, Web, answered, bearer, json_request
from shared.http import Answer, Http

_PASSES = {"fatal_error", "internal_error", "ratelimited", "request_timeout", "service_unavailable"}
"""What Slack's API answers when another try may work."""


def connect(connection: Connection, http: Http) -> Provider:
    """slack: needs a webhook, or the address of chat.postMessage and a bot's token."""
    connection.url("Slack hook URL")
    return Web(connection, http, requests)


def connect_discord(connection: Connection, http: Http) -> Provider:
    """discord: needs a webhook, which has a form for Slack's messages."""
    connection.url("Discord hook URL")
    return Web(connection, http, discord_requests)


def connect_rocket(connection: Connection, http: Http) -> Provider:
    """rocket: needs a webhook."""
    connection.url("Rocket hook URL")
    return Web(connection, http, rocket_requests)


def requests(connection: Connection, notification: Notification) -> list[Request]:
    event = notification.event
    first = event.message.split("\n", 1)[0]
    attachment = _attachment(event, "danger" if texts.is_error(event) else "good")
    attachment["fallback"] = f"{texts.subject(event)}: {first}"
    payload = _message(connection.channel, connection.username or event.reporting_controller, attachment)
    answers = _refusal if urlsplit(connection.address).path == "/api/chat.postMessage" else None
    return [json_request(connection.address, payload, bearer(connection.token), refusal=answers)]


def discord_requests(connection: Connection, notification: Notification) -> list[Request]:
    """The webhook has a channel of its own, so none is sent."""
    event = notification.event
    attachment = _attachment(event, "danger" if texts.is_error(event) else "good")
    payload = _message("", connection.username or event.reporting_controller, attachment)
    return [json_request(_discord(connection.address), payload)]


def rocket_requests(connection: Connection, notification: Notification) -> list[Request]:
    attachment = _attachment(notification.event, "#FF0000" if texts.is_error(notification.event) else "#0076D7")
    return [json_request(connection.address, _message(connection.channel, connection.username, attachment))]


def _message(channel: str, username: str, attachment: dict[str, Any]) -> dict[str, Any]:
    return {
        "channel": channel,
        "username": username,
        "icon_url": "",
        "icon_emoji": "",
        "attachments": [attachment],
    }


def _attachment(event: Event, color: str) -> dict[str, Any]:
    return {
        "fallback": "",
        "color": color,
        "author_name": texts.subject(event),
        "text": event.message,
        "mrkdwn_in": ["text"],
        "fields": [{"title": key, "value": value, "short": False} for key, value in texts.fields(event)],
    }


def _discord(address: str) -> str:
    """The webhook's form for Slack's messages; a query, such as a thread's id, stays."""
    if address.endswith("/slack"):
        return address
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/slack"))


def _refusal(answer: Answer) -> Refusal | None:
    """The API answers 200 to whatever it is asked."""
    said = answered(answer)
    if said.get("ok") is not False:
        return None
    error = str(said.get("error", ""))
    return Refusal(f"Slack responded with error: {error}", may_pass=error in _PASSES)
