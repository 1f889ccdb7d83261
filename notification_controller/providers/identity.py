"""Identity: tokens of clouds for a Provider's ServiceAccount, or for the controller itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from notification_controller.providers.base import Connection, DeliveryFailed
from shared.auth import AuthError, Clouds, Tokens, Who


def tokens(connection: Connection) -> Tokens:
    """Where short-lived tokens are kept: those of the whole process, if there are such."""
    return connection.clouds.tokens if connection.clouds else Tokens()


async def gcp(connection: Connection) -> str:
    """An access token of Google Cloud. DeliveryFailed when nobody gives one."""
    return await _token(connection, lambda clouds, who: clouds.gcp(who, proxy=connection.proxy))


async def gcp_key(connection: Connection, scope: str) -> str:
    """An access token for the Google credentials that the token is. DeliveryFailed when nobody gives one."""
    key = connection.token.encode()
    return await _token(connection, lambda clouds, _: clouds.gcp_key(key, scope, proxy=connection.proxy))


async def azure(connection: Connection, scope: str) -> str:
    """An access token of Entra ID for a scope. DeliveryFailed when nobody gives one."""
    return await _token(connection, lambda clouds, who: clouds.azure(who, scope, proxy=connection.proxy))


async def _token(connection: Connection, ask: Callable[[Clouds, Who], Awaitable[str]]) -> str:
    if connection.clouds is None:
        raise DeliveryFailed("there is nobody to log in at a cloud", is_final=True)
    try:
        who = connection.clouds.who(connection.namespace, connection.service_account_name)
        return await ask(connection.clouds, who)
    except AuthError as error:
        raise DeliveryFailed(f"failed to get token: {connection.masked(str(error))}") from error
