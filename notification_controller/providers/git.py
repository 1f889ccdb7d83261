"""Git: what the services around repositories share: whose commit an event is about, and what is said of it.

    notification → commit, id, state and description → the statuses there are → one more, unless it is said already
    notification → number of the change request → our comment there, written anew, or a first one

What a service is asked and told is made by pure functions of its module; here they are called in their order.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from notification_controller.event import CHANGE_REQUEST, ERROR, INFO, PROGRESSING, Event
from notification_controller.providers import texts, web
from notification_controller.providers.base import Connection, DeliveryFailed, InvalidProvider, Notification
from notification_controller.providers.web import Request, get_request, json_request
from shared.http import Http

COMMENTS = 100
"""How many of a change request's comments are looked at, the oldest first: ours is among the first."""
_LIST = 4 << 20
_SCP = re.compile(r"(?:[^@/:\s]+@)?([^/:\s]+):(?!//)(.+)", re.ASCII)

Headers = Callable[[], Awaitable[Mapping[str, str]]]
"""Logs in; the headers that every request carries."""
Me = Callable[[Mapping[str, str]], Awaitable[str]]
"""Who we are to a service, given the headers of our login."""


@dataclass(frozen=True)
class Repository:
    """Where a repository is."""

    host: str
    """Scheme, host and port of the service's own pages."""
    path: tuple[str, ...]
    """The parts of its path, such as owner and name."""


def repository(address: str, parts: int | None = None) -> Repository:
    """The repository at an address: a URL, or SSH's short form. InvalidProvider unless its path has so many parts."""
    short = _SCP.fullmatch(address)
    try:
        url = urlsplit(f"ssh://{short[1]}/{short[2]}" if short else address)
        host = url.netloc.rpartition("@")[2]
        good = url.scheme in ("http", "https", "ssh", "git") and bool(url.hostname) and url.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"[\x00-\x20\x7f]", address):
        raise InvalidProvider("invalid address: it is no URL of a Git repository")
    path = tuple(unquote(part) for part in url.path.strip("/").removesuffix(".git").split("/"))
    if not all(path) or any(part in (".", "..") for part in path) or (parts is not None and len(path) != parts):
        raise InvalidProvider(f"invalid repository id: '{'/'.join(path)}'")
    return Repository(f"{'http' if url.scheme == 'http' else 'https'}://{host}", path)


def require_token(connection: Connection, service: str) -> str:
    """The token, or the password in its place."""
    token = connection.token or connection.password
    if not token:
        raise InvalidProvider(f"{service} token cannot be empty: it is taken from the Secret of secretRef")
    return token


def always(headers: Mapping[str, str]) -> Headers:
    """A login that needs nobody to be asked."""

    async def login() -> Mapping[str, str]:
        return headers

    return login


# Commit statuses


@dataclass(frozen=True)
class Status:
    """What is said of a commit."""

    commit: str
    id: str
    """Tells our statuses of the commit apart."""
    state: str
    """info, error, or Progressing."""
    name: str
    """What it is about: "kustomization/apps"."""
    description: str


def status(notification: Notification) -> Status:
    """What a notification says of a commit. DeliveryFailed when it names none, or says neither yes nor no."""
    event = notification.event
    name, description = texts.titled(event)
    commit = commit_of(event)
    if not notification.commit_status:
        raise DeliveryFailed("commit status cannot be empty", is_final=True)
    if event.reason != PROGRESSING and event.severity not in (INFO, ERROR):
        raise DeliveryFailed(f"a commit has no status '{event.severity}'", is_final=True)
    state = PROGRESSING if event.reason == PROGRESSING else event.severity
    return Status(commit, notification.commit_status, state, name, description)


def commit_of(event: Event) -> str:
    """The commit that an event is about: what follows the last colon, or else the last slash, of its revision."""
    revision = event.revision
    if not revision:
        raise DeliveryFailed("missing revision metadata", is_final=True)
    found = revision.rpartition(":")[2] if ":" in revision else revision.rpartition("/")[2]
    if not re.fullmatch(r"[0-9A-Za-z]{40}", found, re.ASCII):
        raise DeliveryFailed(f"failed to extract commit hash from '{revision}' revision", is_final=True)
    return found


@dataclass(frozen=True)
class Statuses:
    """A service that keeps statuses of commits."""

    connection: Connection
    http: Http
    headers: Headers
    look: Callable[[Status], Request]
    """Asks what is said of the commit."""
    is_said: Callable[[Status, Any], bool]
    """Whether the answer's JSON says it already: nothing is said twice."""
    say: Callable[[Status], Request]
    tells_progress: bool = False
    """Whether there is a state for what has only begun; nothing is said of it else."""

    async def post(self, notification: Notification) -> None:
        if notification.event.reason == PROGRESSING and not self.tells_progress:
            return
        new = status(notification)
        headers = await self.headers()
        found = await _asked(self.connection, self.http, self.look(new), headers, "could not list commit statuses")
        if found is None or not self.is_said(new, found):
            await _told(self, self.say(new), headers, "could not create commit status")


def is_latest(new: Mapping[str, Any], found: Any, key: Callable[[Mapping[str, Any]], Any]) -> bool:
    """Whether the latest of the statuses with the new one's key says the same in all its fields. The latest comes
    first; those that lack a field don't count."""
    for old in items(found):
        if any(not old.get(field) for field in new) or key(old) != key(new):
            continue
        return all(old[field] == value for field, value in new.items())
    return False


def items(found: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


# Comments on change requests


def number_of(event: Event) -> int:
    """The change request that an event belongs to."""
    text = event.metadata.get(CHANGE_REQUEST)
    if text is None:
        raise DeliveryFailed(f'missing "{CHANGE_REQUEST}" metadata key', is_final=True)
    if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
        raise DeliveryFailed(f'invalid "{CHANGE_REQUEST}" metadata value "{texts.cut(text, 40)}"', is_final=True)
    return int(text)


@dataclass(frozen=True)
class Comments:
    """A service with comments on change requests."""

    connection: Connection
    http: Http
    headers: Headers
    mark: str
    """What our comments are known by, beside their author."""
    me: Me
    look: Callable[[int], Request]
    author: Callable[[Mapping[str, Any]], Any]
    edit: Callable[[int, int, str], Request]
    """Of a change request, a comment's id and its new text."""
    create: Callable[[int, str], Request]

    async def post(self, notification: Notification) -> None:
        event = notification.event
        number, marker = number_of(event), self.marker(event)
        body = f"{marker}\n\n{texts.markdown(event)}"
        headers = await self.headers()
        me = await self.me(headers)
        found = items(await _asked(self.connection, self.http, self.look(number), headers, "failed to list comments"))
        ours = [each["id"] for each in found if self._is_ours(each, me, marker)]
        if ours:
            await _told(self, self.edit(number, ours[0], body), headers, "failed to update comment")
        else:
            await _told(self, self.create(number, body), headers, "failed to create comment")

    def marker(self, event: Event) -> str:
        """What nobody sees in a comment, and tells whose and about which object it is."""
        return f"<!-- {self.mark}:{self.connection.uid}/{event.involved_object} -->"

    def _is_ours(self, comment: Mapping[str, Any], me: str, marker: str) -> bool:
        body = comment.get("body")
        is_about_it = isinstance(body, str) and marker in body and isinstance(comment.get("id"), int)
        return is_about_it and self.author(comment) == me


def issues(connection: Connection, http: Http, headers: Headers, me: Me, at: str, first: str) -> Comments:
    """Comments where change requests are issues of a repository at `at`; `first` asks for the oldest of them."""
    return Comments(
        connection,
        http,
        headers,
        mark="flux-pr-comment-key",
        me=me,
        look=lambda number: get_request(f"{at}/issues/{number}/comments?{first}"),
        author=lambda comment: (comment.get("user") or {}).get("login"),
        edit=lambda _, id_, body: json_request(f"{at}/issues/comments/{id_}", {"body": body}, method="PATCH"),
        create=lambda number, body: json_request(f"{at}/issues/{number}/comments", {"body": body}),
    )


def user(connection: Connection, http: Http, url: str, field: str) -> Me:
    """Who we are, from a field of what the service says of us."""

    async def me(headers: Mapping[str, str]) -> str:
        said = await _asked(connection, http, get_request(url), headers, "failed to get authenticated user info")
        name = said.get(field) if isinstance(said, dict) else None
        if not isinstance(name, str) or not name:
            raise DeliveryFailed("failed to get authenticated user info: the answer names nobody")
        return name

    return me


async def _asked(connection: Connection, http: Http, request: Request, headers: Mapping[str, str], failure: str) -> Any:
    """The JSON of an answer; None where there is nothing (404, if the request takes that for an answer)."""
    sent = replace(request, headers={**headers, **request.headers}, limit=_LIST)
    answer = await web.send(http, sent, connection, failure)
    if not answer.is_good:
        return None
    try:
        return msgspec.json.decode(answer.body)
    except msgspec.DecodeError as error:
        raise DeliveryFailed(f"{failure}: the answer is no JSON, or longer than {_LIST >> 20} MiB") from error


async def _told(service: Statuses | Comments, request: Request, headers: Mapping[str, str], failure: str) -> None:
    await web.send(service.http, replace(request, headers={**headers, **request.headers}), service.connection, failure)
