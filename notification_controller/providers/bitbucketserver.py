"""Bitbucket Server, and Data Center: build statuses of commits."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from notification_controller.providers import bitbucket, git, web
from notification_controller.providers.base import Connection, InvalidProvider, Provider
from notification_controller.providers.git import Status, Statuses
from notification_controller.providers.web import get_request, json_request
from shared.http import Http, origin

_MARK = "/scm/"
_HEADERS = {"x-atlassian-token": "no-check", "x-requested-with": "XMLHttpRequest"}


def connect(connection: Connection, http: Http) -> Provider:
    """bitbucketserver: needs the HTTP(S) address that one clones from, and a token, or username and password."""
    at = base(connection)
    username, password = connection.username, connection.password
    if not connection.token and not (username and password):
        raise InvalidProvider("invalid credentials, expected to be one of username/password or API Token")
    login = web.bearer(connection.token) or web.basic(username, password)
    return Statuses(
        connection,
        http,
        git.always({**login, **_HEADERS}),
        look=lambda new: get_request(f"{at}/{new.commit}/builds?key={bitbucket.key(new)}", 404),
        is_said=is_said,
        say=lambda new: json_request(f"{at}/{new.commit}/builds", {**payload(new), "url": connection.address}),
    )


def base(connection: Connection) -> str:
    """The API's address of the repository's commits. What stands before /scm/ is where the server's pages begin."""
    address = connection.url("Git address")
    context, mark, name = urlsplit(address).path.removesuffix(".git").rpartition(_MARK)
    if not mark:
        raise InvalidProvider("could not parse git address: it is not the http(s) address that one clones from")
    parts = name.split("/")
    if len(parts) != 2 or not all(part.strip(".") for part in parts):
        raise InvalidProvider(f'could not parse git address: invalid repository id "{name}"')
    return f"{origin(address)}{context}/rest/api/latest/projects/{parts[0]}/repos/{parts[1]}/commits"


def payload(new: Status) -> dict[str, Any]:
    """The new status, without its link."""
    return {
        "key": bitbucket.key(new),
        "state": bitbucket.state(new),
        "description": new.description,
        "name": f"{new.name} [{new.description}]",
    }


def is_said(new: Status, found: Any) -> bool:
    """Whether the status under our key is the same."""
    return isinstance(found, dict) and all(found.get(field) == value for field, value in payload(new).items())
