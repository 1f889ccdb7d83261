"""Lark (Feishu): a card to a bot's webhook."""

from __future__ import annotations

from typing import Any

from notification_controller.event import Event
from notification_controller.providers import texts
from notification_controller.providers.base import Connection, Notification, Provider
from notification_controller.providers.web import Refusal, Request, Web, answered, json_request
from shared.http import Answer, Http

_PASSES = {9499, 11232}
"""Codes of answers that say: too many messages at the moment."""


def connect(connection: Connection, http: Http) -> Provider:
    """lark: needs a webhook."""
    connection.url("Lark hook URL")
    return Web(connection, http, requests, failure="")


def requests(connection: Connection, notification: Notification) -> list[Request]:
    return [json_request(connection.address, card(notification.event), refusal=_refusal)]


def card(event: Event) -> dict[str, Any]:
    sign, template = ("🚨", "red") if texts.is_error(event) else ("💫", "turquoise")
    metadata = "".join(f"{key}: {value}\n" for key, value in texts.fields(event))
    text = {"tag": "lark_md", "content": f"**{event.message}**\n\n{metadata}"}
    title = {"tag": "plain_text", "content": f"{sign} {texts.subject(event)}"}
    return {
        "msg_type": "interactive",
        "card": {
            "config": {"wide_screen_mode": True},
            "header": {"title": title, "template": template},
            "elements": [{"tag": "div", "text": text}],
        },
    }


def _refusal(answer: Answer) -> Refusal | None:
    """Lark tells failures with status 200 and a code."""
    said = answered(answer)
    code = said.get("code", 0)
    if not isinstance(code, int) or code == 0:
        return None
    return Refusal(f"Lark responded with code {code}: {said.get('msg', '')}", may_pass=code in _PASSES)
