"""What goes wrong with servers, in messages fit for a status: they name the host or the key and carry no secret."""

from __future__ import annotations


class HttpError(Exception):
    """The server can't be reached, cuts the connection, or sends too much."""


class SecretError(Exception):
    """A Secret with TLS or proxy settings does not hold what it should; the message names the key."""
