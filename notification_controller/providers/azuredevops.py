"""Azure DevOps: commit statuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from notification_controller.event import INFO, SUMMARY
from notification_controller.providers import git, identity, web
from notification_controller.providers.base import Connection, InvalidProvider, Notification, Provider
from notification_controller.providers.git import Status, Statuses
from notification_controller.providers.web import get_request, json_request
from shared.auth import azure
from shared.http import Http

GENRE = "fluxcd"
_ACCEPT = {"Accept": "application/json;api-version=5.0"}
"""The version that Azure DevOps Server 2019 and all newer ones have."""


def connect(connection: Connection, http: Http) -> Provider:
    """azuredevops: needs a repository's address, and a personal access token, or the ServiceAccount's identity."""
    if not connection.token and connection.clouds is None:
        raise InvalidProvider("azure devops token cannot be empty: it is taken from the Secret of secretRef")
    return _AzureDevOps(connection, http, base(connection))


class _AzureDevOps:
    """The genre of a status depends on the event's summary, so each notification has statuses of its own."""

    def __init__(self, connection: Connection, http: Http, at: str) -> None:
        self._connection, self._http, self._at = connection, http, at

    async def post(self, notification: Notification) -> None:
        genre = genre_of(notification)
        await Statuses(
            self._connection,
            self._http,
            self._login,
            look=lambda new: get_request(f"{self._at}/{new.commit}/statuses", headers=_ACCEPT),
            is_said=lambda new, found: is_said(new, genre, found),
            say=lambda new: json_request(f"{self._at}/{new.commit}/statuses", payload(new, genre), _ACCEPT),
        ).post(notification)

    async def _login(self) -> Mapping[str, str]:
        return web.basic("", self._connection.token or await identity.azure(self._connection, azure.DEVOPS))


def base(connection: Connection) -> str:
    """The API's address of the repository's commits: <host>/<organisation>/<project>/_git/<repository>."""
    at = git.repository(connection.address, 4)
    organisation, project, _, repo = (quote(part, safe="") for part in at.path)
    return f"{at.host}/{organisation}/{project}/_apis/git/repositories/{repo}/commits"


def genre_of(notification: Notification) -> str:
    """What keeps statuses of one id apart: the summary, if there is one."""
    summary = notification.event.metadata.get(SUMMARY)
    return GENRE if summary is None else f"{GENRE}:{summary}"


def payload(new: Status, genre: str) -> dict[str, Any]:
    """The new status."""
    state = "succeeded" if new.state == INFO else "error"
    return {"state": state, "description": new.description, "context": {"genre": genre, "name": new.id}}


def is_said(new: Status, genre: str, found: Any) -> bool:
    """Whether the latest status of our genre and name is the same."""
    return git.is_latest(_flat(payload(new, genre)), statuses(found), lambda each: (each["genre"], each["name"]))


def statuses(found: Any) -> list[dict[str, Any]]:
    """The statuses in an answer, each with its context's fields among its own."""
    said = found.get("value") if isinstance(found, dict) else None
    return [_flat(each) for each in git.items(said)]


def _flat(status: Mapping[str, Any]) -> dict[str, Any]:
    context = status.get("context")
    told = {"state": status.get("state"), "description": status.get("description")}
    return told | {key: (context or {}).get(key) for key in ("genre", "name")}
