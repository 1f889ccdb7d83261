"""What every provider is: one method that posts a notification, and one error that says what happens next.

    Connection (a Provider and its Secrets) → a service's module → Provider → post(notification) → delivered

One post is one try: whoever posts keeps the notification until it is delivered, and tries again when `DeliveryFailed`
says that this may help. A post may be repeated when nobody knows whether it arrived. What always holds: no message
carries a secret, and an address is shown by scheme and host only, for its path is often what lets one in.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote, urlsplit

from notification_controller.event import Event
from shared.auth import Clouds

MASK = "*****"
"""What stands for a secret in a message."""


@dataclass(frozen=True)
class AlertName:
    """The Alert that wants a notification sent."""

    namespace: str = ""
    name: str = ""
    uid: str = ""


@dataclass(frozen=True)
class Notification:
    """What is posted: an event as an Alert wants it told."""

    event: Event
    """Its metadata is what the Alert made of it: keys without groups, eventMetadata and summary added."""
    alert: AlertName = AlertName()
    commit_status: str = ""
    """The id of the commit status; of Git services only."""


@dataclass(frozen=True, repr=False)
class Connection:
    """How to reach a service, and as whom: a Provider with what its Secrets hold. Never printed."""

    type: str
    address: str = ""
    """The Secret's address, else the spec's, without blanks around it."""
    channel: str = ""
    username: str = ""
    """The Secret's username where it has a password too, else the spec's."""
    password: str = ""
    token: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, bytes] = field(default_factory=dict)
    """All that the Secret of secretRef holds, for services with keys of their own."""
    proxy: str = ""
    """The URL of an HTTP, HTTPS or SOCKS5 proxy, with its credentials."""
    tls: ssl.SSLContext | None = None
    timeout: float = 15.0
    """How long one post may take, in seconds, with all the requests that it makes."""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    """Of the Provider."""
    service_account_name: str = ""
    """Whose cloud identity logs in, in the Provider's namespace; the controller's when empty."""
    clouds: Clouds | None = None
    """Where identities log in, and short-lived tokens are kept; None where there are none."""

    def __repr__(self) -> str:
        return f"Connection({self.type!r}, {self.namespace}/{self.name})"

    def url(self, what: str) -> str:
        """The address, which must be an http or https URL. InvalidProvider names it as `what`."""
        try:
            parts = urlsplit(self.address)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or any(mark.isspace() or not mark.isprintable() for mark in self.address):
            raise InvalidProvider(f"invalid {what}: the address must be an http or https URL")
        return self.address

    def require(self, key: str, what: str) -> str:
        """A field that must not be empty. InvalidProvider says that `what` is."""
        value: str = getattr(self, key)
        if not value:
            raise InvalidProvider(f"empty {what}: it is taken from the Provider's {_SOURCES[key]}")
        return value

    def masked(self, text: str, *more: str) -> str:
        """A text of somebody else's (an answer, a library's error) without our secrets, and without `more`."""
        # The longest first, for one may hold another.
        for secret in sorted({*self._secrets(), *more} - {""}, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text

    def _secrets(self) -> list[str]:
        """What is short in the Secret's other keys is a name or a flag."""
        held = [self.token, self.password, *self.headers.values()]
        for name, data in self.secret.items():
            value = data.decode(errors="replace").strip()
            held += [value] if name in ("token", "password") or len(value) >= _SECRET_LENGTH else []
        return held + [hidden for address in (self.address, self.proxy) for hidden in _hidden(address)]


_SECRET_LENGTH = 8
_LONG_SECRET = 16

_SOURCES = {
    "address": "address, in spec or in the Secret of secretRef",
    "channel": "spec.channel",
    "username": "username, in spec or in the Secret of secretRef",
    "password": "password in the Secret of secretRef",
    "token": "token in the Secret of secretRef",
}


def _hidden(address: str) -> list[str]:
    """The parts of an address that let one in: a URL's credentials, and what is as long as a secret is in its path and
    query, or in a connection string."""
    try:
        parts = urlsplit(address)
        password = parts.password or ""
    except ValueError:
        return [address]
    pieces = re.split(r"[/?&;:@]|(?<![=])=(?![=;]|$)", address)
    long = [piece for piece in (parts.path, *pieces) if len(piece) >= _LONG_SECRET and piece != parts.hostname]
    return [password, unquote(password), *long, *map(unquote, long)]


class Provider(Protocol):
    """A service that notifications are posted to."""

    async def post(self, notification: Notification) -> None:
        """Delivers it. DeliveryFailed when that could not be done, or when nobody knows."""
        ...


class DeliveryFailed(Exception):
    """Why a notification was not delivered; the message carries no secret."""

    def __init__(self, message: str, *, is_final: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.is_final = is_final
        """Trying again can't help: the service refuses the notification, or the Provider is wrong."""
        self.retry_after = retry_after
        """Seconds that the service asks to wait before the next try; None when it doesn't say."""


class InvalidProvider(Exception):
    """What is wrong with a Provider or its Secrets; nothing can be posted before somebody edits them."""
