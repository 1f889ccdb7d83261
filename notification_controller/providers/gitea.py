"""Gitea, and Forgejo: commit statuses, and comments on pull requests."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from notification_controller.event import ERROR, INFO, PROGRESSING
from notification_controller.providers import git
from notification_controller.providers.base import Connection, Provider
from notification_controller.providers.git import COMMENTS, Headers, Status, Statuses
from notification_controller.providers.web import get_request, json_request
from shared.http import Http

_STATES = {INFO: "success", ERROR: "failure", PROGRESSING: "pending"}
_STATUSES = 50


def connect(connection: Connection, http: Http) -> Provider:
    """gitea: needs a repository's address, and a token or a password in the Secret. Tells progress, too."""
    at = base(connection)
    return Statuses(
        connection,
        http,
        _login(connection),
        look=lambda new: get_request(f"{at}/commits/{new.commit}/statuses?limit={_STATUSES}&page=1"),
        is_said=is_said,
        say=lambda new: json_request(f"{at}/statuses/{new.commit}", payload(new)),
        tells_progress=True,
    )


def connect_comments(connection: Connection, http: Http) -> Provider:
    """giteapullrequestcomment: as gitea."""
    at = base(connection)
    me = git.user(connection, http, f"{at.rpartition('/repos/')[0]}/user", "login")
    return git.issues(connection, http, _login(connection), me, at, f"limit={COMMENTS}&page=1")


def base(connection: Connection) -> str:
    """The API's address of the repository."""
    at = git.repository(connection.address, 2)
    return f"{at.host}/api/v1/repos/{'/'.join(quote(part, safe='') for part in at.path)}"


def payload(new: Status) -> dict[str, Any]:
    """The new status."""
    return {"state": _STATES[new.state], "target_url": "", "description": new.description, "context": new.id}


def is_said(new: Status, found: Any) -> bool:
    """Whether the latest status with our context is the same; Gitea calls its state a status there."""
    said = {"status": _STATES[new.state], "description": new.description, "context": new.id}
    return git.is_latest(said, found, lambda each: each.get("context"))


def _login(connection: Connection) -> Headers:
    token = git.require_token(connection, "gitea")
    return git.always({"Authorization": f"token {token}", "User-Agent": "fluvial"})
