"""Telegram: a bot's message to a chat, a channel or a thread of a forum."""

from __future__ import annotations

import re

from notification_controller.event import Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Request, Web, json_request
from shared.http import Http

API = "https://api.telegram.org"
_LONGEST = 4000
"""Characters of a message without the marks of Markdown: Telegram takes 4096, of which some characters count twice."""


def connect(connection: Connection, http: Http) -> Provider:
    """telegram: needs a bot's token and a channel; the address is not looked at."""
    connection.require("channel", "Telegram channel")
    connection.require("token", "Telegram token")
    return Web(connection, http, requests, failure="")


def requests(connection: Connection, notification: Notification) -> list[Request]:
    chat, _, thread = connection.channel.partition(":")
    payload = {
        "chat_id": chat,
        **({"message_thread_id": thread} if thread else {}),
        "text": message(notification.event),
        "parse_mode": "MarkdownV2",
    }
    return [json_request(f"{API}/bot{connection.token}/sendMessage", payload)]


def message(event: Event) -> str:
    """In MarkdownV2. Telegram refuses what is too long, so the event's own message is cut."""
    sign = "🚨" if texts.is_error(event) else "💫"
    involved = event.involved_object
    heading = f"{sign} {involved.kind.lower()}/{involved.name}/{involved.namespace}"
    metadata = texts.fields(event)
    rest = len(heading) + sum(len(key) + len(value) + 5 for key, value in metadata) + 2
    said = texts.cut(event.message, max(_LONGEST - rest, 1))
    lines = "".join(f"\\- *{escaped(key)}*: {escaped(value)}\n" for key, value in metadata)
    return f"*{escaped(heading)}*\n{escaped(said)}\n{lines}"


def escaped(text: str) -> str:
    """A text as MarkdownV2 that shows it."""
    return re.sub(r"([\\._\[\]()~>`#+=|{}!*-])", r"\\\1", text)
