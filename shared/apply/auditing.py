"""Looking at live objects, because no watch tells how they stand: after a restart, where watching is forbidden, and
when somebody asks for it.

    desired manifests → one call a kind → live objects → what differs
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from shared.api.meta import Manifest
from shared.apply import fields, policies
from shared.apply.applying import Item
from shared.apply.diff import first_difference
from shared.apply.identity import ObjectId, Owner
from shared.apply.ledger import Ledger
from shared.apply.live import Live
from shared.kube.client import Client
from shared.kube.errors import Forbidden, NotFound

MISSING = "missing"
FEW = 2
"""So many objects of one kind are got one by one rather than listed."""


async def look(client: Client, owner: Owner, items: Sequence[Item]) -> dict[ObjectId, Manifest]:
    """The live objects of these ids, as far as they exist and may be read. An object that doesn't carry the owner's
    labels may be left out."""
    kinds: dict[tuple[str, str], list[ObjectId]] = defaultdict(list)
    for item in items:
        kinds[item.kind].append(item.id)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_of_kind(client, owner, *kind, ids)) for kind, ids in kinds.items()]
    return {id: manifest for task in tasks for id, manifest in task.result().items()}


async def _of_kind(
    client: Client, owner: Owner, api_version: str, kind: str, ids: Sequence[ObjectId]
) -> dict[ObjectId, Manifest]:
    try:
        if len(ids) <= FEW:
            return await _each(client, api_version, ids)
        namespaces = {id.namespace for id in ids}
        namespace = namespaces.pop() if len(namespaces) == 1 else ""
        selector = ",".join(f"{key}={value}" for key, value in owner.labels.items())
        listed = await client.list(api_version, kind, namespace or None, label_selector=selector)
    except (Forbidden, NotFound):
        return {}
    wanted = set(ids)
    found = {ObjectId.of(manifest): manifest for manifest in listed}
    return {id: manifest for id, manifest in found.items() if id in wanted}


async def _each(client: Client, api_version: str, ids: Iterable[ObjectId]) -> dict[ObjectId, Manifest]:
    found: dict[ObjectId, Manifest] = {}
    for id in ids:
        try:
            found[id] = await client.get(api_version, id.kind, id.name, id.namespace)
        except (Forbidden, NotFound):
            continue
    return found


def difference(item: Item, manifest: Manifest, live: Live, manager: str) -> str:
    """The path of the first thing that an apply would change; empty when it would change nothing."""
    if live.takeover_due and policies.may_take_over(item.policy, live.policy):
        return ".metadata.managedFields"
    ours = fields.own(fields.entries_of(manifest), manager)
    if ours is None:
        return ".metadata.managedFields"
    return first_difference(item.manifest, manifest, ours.get("fieldsV1") or {}) or ""


async def audit(client: Client, items: Iterable[Item], *, owner: Owner, ledger: Ledger) -> Mapping[ObjectId, str]:
    """For each object: empty when it is in sync or must not be applied, `missing`, or the path that differs."""
    items = list(items)
    found = await look(client, owner, items)
    result: dict[ObjectId, str] = {}
    for item in items:
        manifest = found.get(item.id)
        live = None if manifest is None else ledger.reader.of_manifest(manifest)
        theirs = policies.Policy.NONE if live is None else live.policy
        if not policies.may_apply(item.policy, theirs, exists=live is not None):
            result[item.id] = ""
        elif manifest is None or live is None:
            result[item.id] = MISSING
        else:
            result[item.id] = difference(item, manifest, live, ledger.field_manager)
    return result
