"""Deleting an object, and waiting until it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

from shared.api.meta import format_duration
from shared.apply.changes import Change
from shared.apply.errors import TerminationError
from shared.apply.identity import ObjectId
from shared.apply.ledger import Ledger
from shared.kube.client import Client
from shared.kube.errors import NotFound, Unavailable

Propagation = Literal["Background", "Foreground", "Orphan"]
LOOK_AGAIN, LOOK_AGAIN_WATCHED = 2.0, 15.0
"""Seconds between two looks at an object that is to go: without a watch of its kind, and with one."""


async def delete(
    client: Client,
    api_version: str,
    id: ObjectId,
    *,
    uid: str,
    resource_version: str | None = None,
    propagation: Propagation = "Background",
) -> bool:
    """Asks for the deletion of that very object; is it still there? Conflict when a precondition doesn't hold."""
    try:
        left = await client.delete(
            api_version,
            id.kind,
            id.name,
            id.namespace,
            propagation=propagation,
            uid=uid or None,
            resource_version=resource_version,
        )
    except NotFound:
        return False
    return left is not None


async def until_gone(client: Client, ledger: Ledger, api_version: str, id: ObjectId, uid: str, seconds: float) -> bool:
    """Waits, `seconds` at most; is the object of this uid gone? (Of any uid when it is empty.)"""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    with ledger.listening(id) as changed:
        while True:
            changed.clear()
            with suppress(Unavailable):
                try:
                    found = await client.get(api_version, id.kind, id.name, id.namespace, metadata_only=True)
                except NotFound:
                    return True
                if uid and found["metadata"].get("uid") != uid:
                    return True
            left = end - loop.time()
            if left <= 0:
                return False
            pause = LOOK_AGAIN_WATCHED if ledger.follows((api_version, id.kind)) else LOOK_AGAIN
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, pause)):
                    await changed.wait()


async def wait_gone(client: Client, changes: Iterable[Change], *, ledger: Ledger, seconds: float) -> None:
    """Waits until all that a prune deleted is gone, `seconds` at most: TerminationError names what isn't."""
    leaving = [change for change in changes if change.action in ("deleted", "terminating") and not change.gone]
    async with asyncio.TaskGroup() as group:
        waits = {
            change: group.create_task(
                until_gone(client, ledger, change.id.api_version(change.version), change.id, change.uid, seconds)
            )
            for change in leaving
        }
    late = [change.id for change, wait in waits.items() if not wait.result()]
    if late:
        raise TerminationError(late, format_duration(seconds))
