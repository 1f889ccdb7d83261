"""What goes wrong with registries, in messages fit for a status: they name what failed and carry no secret."""

from __future__ import annotations


class OCIError(Exception):
    """A registry operation failed; the message says why."""

    retry_after: float | None = None
    """Seconds that the registry asks to be left alone for."""


class AuthenticationFailed(OCIError):
    """The registry refuses these credentials, or wants some."""


class NotFound(OCIError):
    """The registry has no such repository, tag, manifest or blob."""


class InvalidReference(OCIError):
    """The text is no address of a repository in a registry."""


class TooLarge(OCIError):
    """More bytes than are accepted."""


class CredentialsError(Exception):
    """A Secret does not hold what it should; the message names the key."""
