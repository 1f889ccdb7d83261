"""How each service over HTTP is reached in these tests: a Provider of each type, at a counterpart on this machine."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import msgspec
import pytest

from notification_controller import providers
from notification_controller.event import Event
from notification_controller.providers import AlertName, Connection, Notification, bitbucket, googlepubsub, telegram
from shared.auth import Tokens, Who
from tests.kit.hooks import Hooks, Received, Reply

DATA = json.loads((Path(__file__).parent / "requests.json").read_text())
EVENTS = {name: msgspec.convert(event, Event) for name, event in DATA["events"].items()}
ALERT = AlertName("flux-system", "alert", "a1b2c3d4-0000-4000-8000-000000000000")
TOKEN, PASSWORD = "t0ken-of-the-bot", "pa55word-of-the-bot"
PATH_SECRET = "a-path-that-lets-one-in"
KEY = "the-key-of-a-shared-access-policy="

WEB: dict[str, dict[str, Any]] = {
    "generic": {"address": f"/hook/{PATH_SECRET}", "headers": {"X-Secret": "a-header-of-the-secret"}},
    "generic-hmac": {"address": f"/hook/{PATH_SECRET}", "token": TOKEN},
    "slack": {"address": "/api/chat.postMessage", "token": TOKEN, "channel": "general"},
    "discord": {"address": f"/api/webhooks/1/{PATH_SECRET}"},
    "rocket": {"address": f"/hooks/{PATH_SECRET}", "channel": "#ops"},
    "msteams": {"address": f"/workflows/{PATH_SECRET}"},
    "googlechat": {"address": f"/v1/spaces/x/messages?key={PATH_SECRET}"},
    "telegram": {"token": TOKEN, "channel": "@flux"},
    "matrix": {"address": "", "token": TOKEN, "channel": "!room:example.org"},
    "lark": {"address": f"/open-apis/bot/v2/hook/{PATH_SECRET}"},
    "webex": {"address": "/v1/messages", "token": TOKEN, "channel": "room"},
    "zulip": {"address": "", "username": "bot@example.org", "password": PASSWORD, "channel": "ops/flux"},
    "zoom": {"address": f"/incoming/{PATH_SECRET}", "token": TOKEN},
    "pagerduty": {"address": "", "channel": "routing"},
    "opsgenie": {"address": "/v2/alerts", "token": TOKEN},
    "incident.io": {"address": "/v2/alert_events/http/x", "token": TOKEN},
    "alertmanager": {"address": "/api/v2/alerts", "username": "ada", "password": PASSWORD},
    "datadog": {"address": "", "token": TOKEN},
    "sentry": {"address": "dsn"},
    "grafana": {"address": "/api/annotations", "token": TOKEN},
    "otel": {"address": "/v1/traces", "username": "ada", "password": PASSWORD},
    "googlepubsub": {"address": "project", "channel": "topic", "token": '{"type": "service_account"}'},
    "azureeventhub": {"address": "hub"},
}
"""An address is a path at the counterpart, unless `reach` knows better."""


ADDRESSES = {
    "github": "/owner/repo",
    "githubdispatch": "/owner/repo",
    "githubpullrequestcomment": "/owner/repo.git",
    "gitlab": "/group/sub/repo",
    "gitlabmergerequestcomment": "/group/repo",
    "gitea": "/owner/repo",
    "giteapullrequestcomment": "/owner/repo",
    "bitbucketserver": "/scm/proj/repo.git",
    "azuredevops": "/org/project/_git/repo",
    "bitbucket": "/owner/repo",
}
SERVICES = {
    **WEB,
    **{type_: {"address": address, "token": TOKEN} for type_, address in ADDRESSES.items()},
    "bitbucket": {"address": ADDRESSES["bitbucket"], "token": f"ada:{TOKEN}"},
}
"""What posts by HTTP; those around repositories ask before they tell."""

STATUSES = ["github", "gitlab", "gitea", "bitbucketserver", "azuredevops", "bitbucket"]
COMMENTS = ["githubpullrequestcomment", "gitlabmergerequestcomment", "giteapullrequestcomment"]
COMMIT = "5394cb7f48332b2de7c17dd8b8384bbc84b7e738"
LISTS = (
    f"/api/v3/repos/owner/repo/commits/{COMMIT}/statuses",
    "/api/v3/repos/owner/repo/issues/42/comments",
    f"/api/v4/projects/group%2Fsub%2Frepo/repository/commits/{COMMIT}/statuses",
    "/api/v4/projects/group%2Frepo/merge_requests/42/notes",
    f"/api/v1/repos/owner/repo/commits/{COMMIT}/statuses",
    "/api/v1/repos/owner/repo/issues/42/comments",
)


class Service(Hooks):
    """A service that takes what it is told. What it is asked for are `routes`, by method and path without the query:
    there are repositories with nothing in their lists."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        me = {"login": "bot", "username": "bot"}
        self.routes: dict[str, Any] = {f"GET {path}/user": me for path in ("/api/v3", "/api/v4", "/api/v1")}
        self.routes |= {f"GET {path}": [] for path in LISTS}

    def take(self, received: Received) -> Reply:
        reply = super().take(received)
        if reply != Reply():
            return reply
        at = f"{received.method} {received.target.partition('?')[0]}"
        if received.method != "GET" and at not in self.routes:
            return reply
        found = self.routes.get(at, {})
        if isinstance(found, int):
            return Reply(found)
        return Reply(200, json.dumps(found).encode())

    @property
    def told(self) -> list[Received]:
        return [each for each in self.requests if each.method != "GET"]


class Vouching:
    """Clouds that give a token to everybody who asks, which says for whom and for what it is."""

    tokens = Tokens()

    def who(self, namespace: str, name: str) -> Who:
        return Who(namespace, name)

    async def gcp(self, who: Who, *, proxy: str) -> str:
        return f"gcp token of {who}"

    async def gcp_key(self, key: bytes, scope: str, *, proxy: str) -> str:
        return f"gcp token of a key for {scope}"

    async def azure(self, who: Who, scope: str, *, proxy: str) -> str:
        return f"azure token of {who} for {scope}"


def reach(type_: str, url: str, tls: ssl.SSLContext | None, patch: pytest.MonkeyPatch, **more: Any) -> Connection:
    """The connection for a service of this type that is at a URL; those that have one in the world move there."""
    patch.setattr(telegram, "API", url)
    patch.setattr(googlepubsub, "API", url)
    patch.setenv(bitbucket.API_VARIABLE, f"{url}/2.0")
    values = {**SERVICES[type_], **more}
    scheme, _, host = url.partition("://")
    match values.get("address"):
        case "dsn":
            values["address"] = f"{scheme}://public-key:{PASSWORD}@{host}/42"
        case "hub" if not values.get("channel"):
            policy = f"SharedAccessKeyName=send;SharedAccessKey={KEY}"
            values["address"] = f"Endpoint=sb://{host}/;{policy};EntityPath=hub"
        case str(path) if path.startswith("/") or not path:
            values["address"] = url + path
    secret = {key: values[key].encode() for key in ("token", "password", "address") if values.get(key)}
    about = {"secret": secret, "uid": "p1", "namespace": "flux-system", "name": "p", "clouds": Vouching()}
    return Connection(type=type_, tls=tls, **about, **values)


async def post(connection: Connection, which: str = "error", **changes: Any) -> None:
    """Posts one event; to services around repositories, one about a commit and a change request."""
    event, id_ = msgspec.structs.replace(EVENTS[which], **changes), ""
    if connection.type in ADDRESSES:
        event = msgspec.structs.replace(event, metadata={**event.metadata, "commit": COMMIT, "change_request": "42"})
        id_ = "kustomization/apps/p1" if connection.type in STATUSES else ""
    async with providers.connect(connection) as provider:
        await provider.post(Notification(event, ALERT, id_))


def secrets(connection: Connection) -> list[str]:
    """What no message may hold."""
    held = [connection.token, connection.password, *connection.headers.values()]
    return [text for text in held if text] + [
        text for text in (PASSWORD, PATH_SECRET, KEY) if text in connection.address
    ]
