"""Session: open connections to a Provider's service, for as long as the Provider and its Secrets stay the same.

Provider → its Secrets, read now and then → connection → what posts
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable

from notification_controller import provider, providers
from notification_controller.provider import Secrets
from notification_controller.providers import Connection, InvalidProvider
from shared.api.notification import Provider
from shared.auth import Clouds

FRESH = 1.0
"""Seconds for which Secrets that were read are used: a changed one is used after that time at the latest."""

Read = Callable[[Provider], Awaitable[Secrets]]
"""A Provider's Secrets as they are now. InvalidProvider names what is missing."""


class Session:
    """Open connections to a Provider's service; made anew when the Provider or what its Secrets hold changed."""

    def __init__(self, read: Read, clouds: Clouds | None) -> None:
        """`clouds` is where identities log in."""
        self._read_secrets, self._clouds = read, clouds
        self._stack = contextlib.AsyncExitStack()
        self._poster: providers.Provider | None = None
        self._made_of: tuple[object, ...] = ()
        self._read = -FRESH
        self.timeout = 0.0
        """Seconds that one post may take, once that is known."""

    async def poster(self, target: Provider) -> providers.Provider:
        """What posts. InvalidProvider says what is wrong, an ApiError that Secrets can't be read at the moment."""
        version, now = (target.metadata.uid, target.metadata.generation), time.monotonic()
        if self._poster is not None and self._made_of[0] == version and now - self._read < FRESH:
            return self._poster
        self.timeout = provider.timeout(target)
        try:
            made_of = (version, await self._read_secrets(target))
            if self._poster is None or self._made_of != made_of:
                await self.close()
                connection = provider.connected(target, made_of[1], self._clouds)
                self._poster = await self._connect(connection)
                self._made_of = made_of
        except InvalidProvider as error:
            await self.close()
            name = target.metadata.name
            raise InvalidProvider(f"failed to initialize notifier for provider '{name}': {error}") from error
        self._read = now
        return self._poster

    async def _connect(self, connection: Connection) -> providers.Provider:
        try:
            return await self._stack.enter_async_context(providers.connect(connection))
        except InvalidProvider as error:
            raise InvalidProvider(f"failed to initialize notifier: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        stack, self._stack, self._poster = self._stack, contextlib.AsyncExitStack(), None
        await stack.aclose()
