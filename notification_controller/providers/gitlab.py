"""GitLab: commit statuses, and comments on merge requests."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from notification_controller.event import INFO
from notification_controller.providers import git
from notification_controller.providers.base import Connection, Provider
from notification_controller.providers.git import COMMENTS, Comments, Headers, Status, Statuses
from notification_controller.providers.web import get_request, json_request
from shared.http import Http


def connect(connection: Connection, http: Http) -> Provider:
    """gitlab: needs a repository's address, and a token or a password in the Secret."""
    at = base(connection)
    return Statuses(
        connection,
        http,
        _login(connection),
        look=lambda new: get_request(f"{at}/repository/commits/{new.commit}/statuses?name={quote(new.id, safe='')}"),
        is_said=is_said,
        say=lambda new: json_request(f"{at}/statuses/{new.commit}", payload(new)),
    )


def connect_comments(connection: Connection, http: Http) -> Provider:
    """gitlabmergerequestcomment: as gitlab."""
    at = base(connection)

    def notes(number: int) -> str:
        return f"{at}/merge_requests/{number}/notes"

    return Comments(
        connection,
        http,
        _login(connection),
        mark="flux-mr-comment-key",
        me=git.user(connection, http, f"{at.rpartition('/projects/')[0]}/user", "username"),
        look=lambda number: get_request(f"{notes(number)}?order_by=created_at&per_page={COMMENTS}&sort=asc"),
        author=lambda note: (note.get("author") or {}).get("username"),
        edit=lambda number, id_, body: json_request(f"{notes(number)}/{id_}", {"body": body}, method="PUT"),
        create=lambda number, body: json_request(notes(number), {"body": body}),
    )


def base(connection: Connection) -> str:
    """The API's address of the project, whose path is one part of it: slashes and dots are escaped."""
    at = git.repository(connection.address)
    return f"{at.host}/api/v4/projects/{quote('/'.join(at.path), safe='').replace('.', '%2E')}"


def payload(new: Status) -> dict[str, Any]:
    """The new status."""
    return {"state": "success" if new.state == INFO else "failed", "name": new.id, "description": new.description}


def is_said(new: Status, found: Any) -> bool:
    """Whether the same status of this commit is there; GitLab gives the latest of each name."""
    wanted = payload(new)
    said = {"sha": new.commit, "status": wanted["state"], "name": new.id, "description": new.description}
    return any(all(old.get(field) == value for field, value in said.items()) for old in git.items(found))


def _login(connection: Connection) -> Headers:
    return git.always({"PRIVATE-TOKEN": git.require_token(connection, "gitlab"), "User-Agent": "fluvial"})
