"""HTTP as all answers share it: reading a bounded body, and writing objects, refusals and warnings."""

from __future__ import annotations

import orjson
from aiohttp import web

from kubeapi import bodies
from kubeapi.errors import StatusError
from kubeapi.handlers import Answer


async def read_body(http: web.BaseRequest) -> bytes:
    """The whole body; 413 when it is too large."""
    chunks: list[bytes] = []
    size = 0
    while True:
        chunk = await http.content.readany()
        if not chunk:
            return b"".join(chunks)
        size += len(chunk)
        if size > bodies.LIMIT:
            raise bodies.body_too_large()
        chunks.append(chunk)


def of_answer(answer: Answer) -> web.Response:
    """The response of a handler's answer."""
    response = web.Response(status=answer.code, body=answer.body, content_type=answer.content_type)
    for warning in dict.fromkeys(answer.warnings):
        response.headers.add("Warning", warning_text(warning))
    response.headers["Cache-Control"] = "no-cache, private"
    return response


def warning_text(text: str) -> str:
    """A Warning header's value: code 299, no agent, quoted text without control characters."""
    clean = "".join(c if c.isprintable() and ord(c) < 128 else " " for c in text)[:4096]
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'


def refused(error: StatusError) -> web.Response:
    """The response of a refusal: its Status."""
    response = web.Response(status=error.code, body=orjson.dumps(error.status()), content_type="application/json")
    if error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    for warning in dict.fromkeys(error.warnings):
        response.headers.add("Warning", warning_text(warning))
    return response


def of_json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def unavailable() -> web.Response:
    """503 of a group that another server is said to serve."""
    return web.Response(status=503, text="service unavailable\n")


def missing() -> web.Response:
    """404 of a path that nobody serves: a text, for it isn't the API that answers."""
    return web.Response(status=404, text="404 page not found\n")
