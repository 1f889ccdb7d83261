"""What logins come to. None of it prints its secrets."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Login:
    """For a registry or a Git server: a name with a password, or a bearer token."""

    username: str = ""
    password: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)


@dataclass(frozen=True)
class Keys:
    """An access key of AWS. Empty means anonymously."""

    access: str = ""
    secret: str = field(default="", repr=False)
    session: str = field(default="", repr=False)
    """The session token that goes with short-lived keys."""


@dataclass(frozen=True)
class Access:
    """How to talk to a cluster of a cloud."""

    server: str
    """Its address, with https://."""
    ca: str
    """PEM certificates of its authority; empty for the system's."""
    token: str = field(repr=False)
    expires: float = 0.0
    """When the token ends, in seconds since 1970."""


@dataclass(frozen=True)
class Federated:
    """A ServiceAccount's token and the identity in Entra ID that it may be exchanged for, not exchanged yet."""

    tenant: str
    client: str
    token: str = field(repr=False)
