"""A chat of the demo's own, on the loopback interface: it takes Slack's webhooks and keeps what was said."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import msgspec
from aiohttp import web

from fluvial.loopback import listening

BODY_LIMIT = 1 << 20
"""Bytes of one message."""
_PATH = "/services/demo"


class Field(msgspec.Struct):
    """A detail below a message, such as the revision."""

    title: str = ""
    value: str = ""


class Attachment(msgspec.Struct):
    """The part of a message that has a colored bar beside it."""

    author_name: str = ""
    text: str = ""
    color: str = ""
    fields: list[Field] = []


class Post(msgspec.Struct):
    """What Slack takes at a webhook's address, as far as a chat shows it."""

    username: str = ""
    channel: str = ""
    attachments: list[Attachment] = []


@dataclass(frozen=True)
class Message:
    """Something that was said."""

    at: str
    """When it came, by this machine's clock: 14:05:09."""
    by: str
    channel: str
    about: str
    text: str
    is_bad: bool
    details: dict[str, str]


class Chat:
    """All that was said, oldest first."""

    def __init__(self, url: str) -> None:
        self.url = url
        """The webhook's address."""
        self.messages: list[Message] = []
        self._came = asyncio.Event()

    def take(self, body: bytes) -> None:
        """Keep a webhook's message. msgspec.DecodeError when it is none."""
        post = msgspec.json.decode(body, type=Post)
        at = time.strftime("%H:%M:%S")
        for one in post.attachments:
            details = {field.title: field.value for field in one.fields}
            said = Message(at, post.username, post.channel, one.author_name, one.text, one.color == "danger", details)
            self.messages.append(said)
        self._came.set()

    async def until(self, holds: Callable[[Message], bool], seconds: float) -> Message:
        """Wait for a message of which `holds` says so; that. TimeoutError."""
        async with asyncio.timeout(seconds):
            while (found := next(filter(holds, self.messages), None)) is None:
                self._came.clear()
                await self._came.wait()
        return found


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Chat]:
    """A chat that listens for as long as the block runs."""

    async def answer(request: web.Request) -> web.Response:
        try:
            chat.take(await request.read())
        except msgspec.DecodeError as error:
            return web.Response(status=400, text=f"invalid_payload: {error}")
        return web.Response(text="ok")

    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_post(_PATH, answer)
    async with listening(app) as address:
        chat = Chat(address + _PATH)
        yield chat
