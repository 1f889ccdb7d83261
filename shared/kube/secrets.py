"""Secrets: what one holds, read from the API each time; nothing of it is kept here or printed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from shared.kube.client import Client
from shared.kube.errors import Invalid


async def read(client: Client, namespace: str, name: str) -> Mapping[str, bytes]:
    """The data of a Secret. NotFound when there is none, another ApiError when it can't be read."""
    manifest = await client.get("v1", "Secret", name, namespace)
    try:
        return {key: base64.b64decode(value) for key, value in (manifest.get("data") or {}).items()}
    except (binascii.Error, ValueError, TypeError) as error:
        raise Invalid(f"secret '{namespace}/{name}' holds data that is not base64") from error
