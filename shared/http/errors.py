"""What goes wrong with servers, in messages fit for a status: they name the host or the key and carry no secret."""

from __future__ import annotations


class HttpError(Exception):
    """The server can't be reached, cuts the connection, or sends too much."""

    def __init__(self, message: str, *, is_final: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the server asks to be left alone for."""
        self.is_final = is_final
        """Asking again can't help: nobody trusts the certificate, or the address is none."""


class SecretError(Exception):
    """A Secret with TLS or proxy settings does not hold what it should; the message names the key."""
