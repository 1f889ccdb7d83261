"""Parse what strangers wrote into values that can be asked without surprises. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from source_controller.signatures.errors import SignatureError


def json_object(data: bytes | str) -> Mapping[str, Any]:
    """A JSON object. SignatureError when it is none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SignatureError("the signature is no JSON") from error
    if not isinstance(found, dict):
        raise SignatureError("the signature is no JSON object")
    return found


def member(parent: Any, name: str) -> Mapping[str, Any]:
    """A member that is an object itself; an empty one when it isn't, or isn't there."""
    found = parent.get(name) if isinstance(parent, Mapping) else None
    return found if isinstance(found, dict) else {}


def base64_bytes(text: Any, *, url: bool = False) -> bytes:
    """The bytes; of base64url, with or without padding, when `url`. SignatureError when it is no base64."""
    try:
        if not isinstance(text, str):
            raise TypeError
        if url:
            return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise SignatureError("the signature holds what should be base64 and is none") from error
