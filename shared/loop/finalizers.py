"""Finalizers: what keeps an object until all that was done for it is undone.

claim → attempts → the kind's finalize → let go
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from shared.api.meta import Manifest, Resource
from shared.loop.attempt import Attempt
from shared.loop.kinds import Kind
from shared.loop.known import Known


class Finalizers:
    """Puts them on objects and takes them off. ApiError where that can't be written."""

    def __init__(self, patch: Callable[[Resource, Manifest], Awaitable[Any]], known: Known) -> None:
        """`patch` writes a patch of an object; the object as it is then."""
        self._patch, self._known = patch, known

    async def claim(self, kind: Kind[Any], attempt: Attempt[Any]) -> None:
        """Put ours on an object before anything is done for it."""
        await self._set(attempt.obj, [*(attempt.obj.metadata.finalizers or []), kind.finalizer])

    async def disclaim(self, kind: Kind[Any], attempt: Attempt[Any]) -> None:
        """Take off one of the time when this kind had one."""
        await self._set(attempt.obj, _without(attempt.obj, kind.finalizer))
        name = attempt.key.kind
        attempt.event("Migration", f"removed finalizer from {name} to migrate to static {name}")

    async def retire(self, kind: Kind[Any], attempt: Attempt[Any]) -> None:
        """Leave nothing of what was done for an object before it came to hold only settings."""
        obj = attempt.obj
        if kind.suspended(obj) or not (obj.status.conditions or kind.finalizer in obj.metadata.finalizers):
            return
        await kind.finalize(obj, attempt)
        obj.status = type(obj.status)()
        await attempt.write_final()
        await self._set(obj, _without(obj, kind.finalizer))

    async def let_go(self, kind: Kind[Any], obj: Resource) -> None:
        """Take ours off an object that is being deleted. For us it is gone then; others' may keep it a while."""
        await self._set(obj, _without(obj, kind.finalizer))
        self._known.drop(kind.type.resource.kind, obj.metadata.namespace or "", obj.metadata.name, obj.metadata.uid)

    async def _set(self, obj: Resource, finalizers: list[str]) -> None:
        metadata = {"finalizers": finalizers or None, "resourceVersion": obj.metadata.resource_version}
        saved = await self._patch(obj, {"metadata": metadata})
        if not saved.metadata.deletion_timestamp:
            self._known.put(saved)
        obj.metadata = saved.metadata


def _without(obj: Resource, finalizer: str) -> list[str]:
    return [name for name in obj.metadata.finalizers if name != finalizer]
