"""Bitbucket: build statuses of commits, at bitbucket.org."""

from __future__ import annotations

import hashlib
import os
from typing import Any
from urllib.parse import quote

from notification_controller.event import INFO
from notification_controller.providers import git, web
from notification_controller.providers.base import Connection, InvalidProvider, Provider
from notification_controller.providers.git import Status, Statuses
from notification_controller.providers.web import get_request, json_request
from shared.http import Http

API = "https://api.bitbucket.org/2.0"
API_VARIABLE = "BITBUCKET_API_BASE_URL"
"""The environment's word on where the API is, as upstream's library takes it."""


def connect(connection: Connection, http: Http) -> Provider:
    """bitbucket: needs a repository's address, and as token a user and an app password, joined by a colon."""
    token = git.require_token(connection, "bitbucket")
    user, colon, password = token.partition(":")
    if not colon or ":" in password:
        raise InvalidProvider("invalid token format, expected to be <user>:<password>")
    owner, repo = (quote(part, safe="") for part in git.repository(connection.address, 2).path)
    at = f"{os.environ.get(API_VARIABLE) or API}/repositories/{owner}/{repo}/commit"
    return Statuses(
        connection,
        http,
        git.always(web.basic(user, password)),
        look=lambda new: get_request(f"{at}/{new.commit}/statuses/build/{key(new)}", 404),
        is_said=is_said,
        say=lambda new: json_request(f"{at}/{new.commit}/statuses/build", payload(new)),
    )


def payload(new: Status) -> dict[str, Any]:
    """The new status."""
    return {
        "state": state(new),
        "key": key(new),
        "name": new.name,
        "description": new.description,
        "url": "https://bitbucket.org",
    }


def is_said(new: Status, found: Any) -> bool:
    """Whether the status under our key is the same."""
    said = found if isinstance(found, dict) else {}
    return (said.get("state"), said.get("description")) == (state(new), new.description)


def state(new: Status) -> str:
    return "SUCCESSFUL" if new.state == INFO else "FAILED"


def key(new: Status) -> str:
    """The id in at most 40 characters."""
    return hashlib.sha1(new.id.encode(), usedforsecurity=False).hexdigest()
