"""Alert and Provider, as the loop sees them: without a status, only watched.

A Provider carries our finalizer, as upstream's do; one that changes wakes what waits for it. An Alert carries none, and
loses one that an older version put on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from notification_controller.journal import Line
from notification_controller.outbox import Outbox
from shared.api.notification import Alert, Provider
from shared.loop.attempt import Attempt
from shared.loop.kinds import Kind
from shared.loop.verdict import Ready

_KNOWN = Ready("Succeeded", "It is known")


def kinds(outbox: Outbox) -> Sequence[Kind[Any]]:
    """The kinds; `outbox` is told of each change of a Provider."""

    def changed(provider: Provider) -> None:
        outbox.wake(Line(provider.metadata.namespace, provider.metadata.name))

    async def note_provider(provider: Provider, attempt: Attempt[Provider]) -> Ready:
        changed(provider)
        return _KNOWN

    async def note_alert(alert: Alert, attempt: Attempt[Alert]) -> Ready:
        return _KNOWN

    async def let_go(obj: Alert | Provider, attempt: Attempt[Any]) -> None:
        """Nothing is left of it."""

    return [
        Kind(
            type=Provider,
            reconcile=note_provider,
            finalize=let_go,
            static=True,
            known_first=True,
            forget=changed,
        ),
        Kind(type=Alert, reconcile=note_alert, finalize=let_go, static=True, claimed=False, known_first=True),
    ]
