"""Providers: events out, one service a module.

    async with providers.connect(connection) as provider:
        await provider.post(notification)

A service's module has a function `connect(connection, http)` that checks the Provider (InvalidProvider) and makes what
posts; what is sent is made by pure functions of the event. `services` lists them.
"""

from notification_controller.providers.base import (
    AlertName,
    Connection,
    DeliveryFailed,
    InvalidProvider,
    Notification,
    Provider,
)
from notification_controller.providers.services import connect

__all__ = [
    "AlertName",
    "Connection",
    "DeliveryFailed",
    "InvalidProvider",
    "Notification",
    "Provider",
    "connect",
]
