"""Looking at live objects, because no watch tells how they stand: after a restart, where watching is forbidden, and
when somebody asks for it.

    desired manifests → one call a kind → live objects → what differs
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.api.meta import Manifest
from shared.apply import fields, ignoring, policies
from shared.apply.diff import first_difference
from shared.apply.identity import ObjectId, Owner
from shared.apply.items import Item
from shared.apply.ledger import Ledger
from shared.apply.live import Live
from shared.kube.client import Client
from shared.kube.errors import ApiError, NotFound

MISSING = "missing"
FEW = 2
"""So many objects of one kind are got one by one rather than listed."""


@dataclass(slots=True)
class Looked:
    """What was seen."""

    found: dict[ObjectId, Manifest] = field(default_factory=dict)
    """The live objects. One that doesn't carry the owner's labels may be left out."""
    absent: set[ObjectId] = field(default_factory=set)
    """Those that were asked for by name and aren't there."""
    unread: dict[ObjectId, ApiError] = field(default_factory=dict)
    """Those that could not be asked for, and why."""


async def look(client: Client, owner: Owner, items: Sequence[Item]) -> Looked:
    """The live objects of these ids."""
    kinds: dict[tuple[str, str], list[ObjectId]] = defaultdict(list)
    for item in items:
        kinds[item.kind].append(item.id)
    looked = Looked()
    async with asyncio.TaskGroup() as group:
        for kind, ids in kinds.items():
            if len(ids) > FEW:
                group.create_task(_list(client, owner, *kind, ids, looked))
            else:
                for id in ids:
                    group.create_task(_get(client, kind[0], id, looked))
    return looked


async def look_at_each(client: Client, items: Iterable[Item], looked: Looked) -> None:
    """Asks for each of these by its name, where that wasn't done: an object that has lost its labels isn't listed."""
    async with asyncio.TaskGroup() as group:
        for item in items:
            if item.id not in looked.found and item.id not in looked.unread and item.id not in looked.absent:
                group.create_task(_get(client, item.api_version, item.id, looked))


async def _list(
    client: Client, owner: Owner, api_version: str, kind: str, ids: Sequence[ObjectId], looked: Looked
) -> None:
    namespaces = {id.namespace for id in ids}
    namespace = namespaces.pop() if len(namespaces) == 1 else ""
    selector = ",".join(f"{key}={value}" for key, value in owner.labels.items())
    try:
        listed = await client.list(api_version, kind, namespace or None, label_selector=selector)
    except NotFound:
        return
    except ApiError as error:
        looked.unread |= dict.fromkeys(ids, error)
        return
    wanted = set(ids)
    for manifest in listed:
        if (id := ObjectId.of(manifest)) in wanted:
            looked.found[id] = manifest


async def _get(client: Client, api_version: str, id: ObjectId, looked: Looked) -> None:
    try:
        looked.found[id] = await client.get(api_version, id.kind, id.name, id.namespace)
    except NotFound:
        looked.absent.add(id)
    except ApiError as error:
        looked.unread[id] = error


def difference(item: Item, manifest: Manifest, live: Live, manager: str) -> str:
    """The path of the first thing that an apply would change; empty when it would change nothing."""
    if live.takeover_due and policies.may_take_over(item.policy, live.policy):
        return ".metadata.managedFields"
    ours = fields.own(fields.entries_of(manifest), manager)
    if ours is None:
        return ".metadata.managedFields"
    owned = ours.get("fieldsV1") or {}
    if not item.ignored:
        return first_difference(item.manifest, manifest, owned) or ""
    return first_difference(*ignoring.compared(item.manifest, manifest, owned, item.ignored)) or ""


async def audit(client: Client, items: Iterable[Item], *, owner: Owner, ledger: Ledger) -> Mapping[ObjectId, str]:
    """For each object: empty when it is in sync or must not be applied, `missing`, or the path that differs. ApiError
    when the server doesn't tell."""
    items = list(items)
    looked = await look(client, owner, items)
    for error in looked.unread.values():
        raise error
    result: dict[ObjectId, str] = {}
    for item in items:
        manifest = looked.found.get(item.id)
        live = None if manifest is None else ledger.reader.of_manifest(manifest)
        theirs = policies.Policy.NONE if live is None else live.policy
        if not policies.may_apply(item.policy, theirs, exists=live is not None):
            result[item.id] = ""
        elif manifest is None or live is None:
            result[item.id] = MISSING
        else:
            result[item.id] = difference(item, manifest, live, ledger.field_manager)
    return result
