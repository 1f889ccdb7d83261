"""GitHub: commit statuses, comments on pull requests, and events for workflows (repository dispatch)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from notification_controller import event as events
from notification_controller.event import INFO
from notification_controller.providers import git, identity, web
from notification_controller.providers.base import Connection, DeliveryFailed, InvalidProvider, Notification, Provider
from notification_controller.providers.git import COMMENTS, Headers, Status, Statuses
from notification_controller.providers.web import get_request, json_request
from shared.auth import github
from shared.auth.github import App, GitHubError
from shared.http import Http

API = "https://api.github.com"
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "fluvial"}
_STATUSES = 50


def connect(connection: Connection, http: Http) -> Provider:
    """github: needs a repository's address, and a token, a password or a GitHub App in the Secret."""
    at = base(connection)
    return Statuses(
        connection,
        http,
        _login(connection),
        look=lambda new: get_request(f"{at}/commits/{new.commit}/statuses?per_page={_STATUSES}"),
        is_said=is_said,
        say=lambda new: json_request(f"{at}/statuses/{new.commit}", payload(new)),
    )


def connect_comments(connection: Connection, http: Http) -> Provider:
    """githubpullrequestcomment: as github."""
    at, app = base(connection), _app(connection)
    me = _bot(connection, app) if app else git.user(connection, http, f"{at.rpartition('/repos/')[0]}/user", "login")
    first = f"direction=asc&per_page={COMMENTS}&sort=created"
    return git.issues(connection, http, _login(connection), me, at, first)


def _bot(connection: Connection, app: App) -> git.Me:
    """Who an App is in comments."""
    tokens = identity.tokens(connection)

    async def me(headers: Mapping[str, str]) -> str:
        try:
            tls, seconds = connection.tls, connection.timeout
            slug = await github.slug(tokens, app, tls=tls, proxy=connection.proxy, seconds=seconds)
        except GitHubError as error:
            raise DeliveryFailed(f"failed to get authenticated user info: {connection.masked(str(error))}") from error
        return f"{slug}[bot]"

    return me


def connect_dispatch(connection: Connection, http: Http) -> Provider:
    """githubdispatch: as github."""
    return _Dispatch(connection, http, base(connection), _login(connection))


@dataclass(frozen=True)
class _Dispatch:
    connection: Connection
    http: Http
    at: str
    headers: Headers

    async def post(self, notification: Notification) -> None:
        request = json_request(f"{self.at}/dispatches", dispatched(notification), await self.headers())
        await web.send(self.http, request, self.connection, "could not send github repository dispatch webhook")


# What decides


def base(connection: Connection) -> str:
    """The API's address of the repository: github.com's own, or that of an enterprise's server."""
    at = git.repository(connection.address, 2)
    host = urlsplit(at.host).hostname or ""
    path = "/".join(quote(part, safe="") for part in at.path)
    if host == "github.com":
        return f"{API}/repos/{path}"
    is_api = host.startswith("api.") or ".api." in host
    return f"{at.host}{'' if is_api else '/api/v3'}/repos/{path}"


def payload(new: Status) -> dict[str, Any]:
    """The new status."""
    state = "success" if new.state == INFO else "failure"
    return {"state": state, "context": new.id, "description": new.description}


def is_said(new: Status, found: Any) -> bool:
    """Whether the latest status with our context is the same."""
    return git.is_latest(payload(new), found, lambda each: each.get("context"))


def dispatched(notification: Notification) -> dict[str, Any]:
    """The event, under a type that a workflow can wait for."""
    involved = notification.event.involved_object
    return {
        "event_type": f"{involved.kind}/{involved.name}.{involved.namespace}",
        "client_payload": events.manifest(notification.event),
    }


# Logging in


def _login(connection: Connection) -> Headers:
    token = connection.token or connection.password
    if token:
        return git.always({**_HEADERS, **web.bearer(token)})
    app = _app(connection)
    if app is None:
        raise InvalidProvider("github token or github app details must be specified in the Secret of secretRef")

    tokens = identity.tokens(connection)

    async def login() -> Mapping[str, str]:
        try:
            tls, seconds = connection.tls, connection.timeout
            made = await github.token(tokens, app, tls=tls, proxy=connection.proxy, seconds=seconds)
        except GitHubError as error:
            raise DeliveryFailed(f"failed to get a token of the App: {connection.masked(str(error))}") from error
        return {**_HEADERS, **web.bearer(made)}

    return login


def _app(connection: Connection) -> App | None:
    """The App in the Secret, if it has one, and no token that wins over it."""
    if connection.token or connection.password or "githubAppID" not in connection.secret:
        return None
    try:
        return github.from_secret(connection.secret)
    except GitHubError as error:
        raise InvalidProvider(f"invalid github app details in the Secret of secretRef: {error}") from error
