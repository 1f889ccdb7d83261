"""What goes wrong with logins, in messages fit for a status: they say what to fix and carry no secret."""

from __future__ import annotations


class AuthError(Exception):
    """There are no credentials to be had; the message says why."""


class GateClosed(AuthError):
    """An object names a ServiceAccount for its cloud, and this controller doesn't let objects do that."""


class NoAccount(AuthError):
    """The ServiceAccount isn't there."""
