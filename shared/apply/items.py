"""Manifests that can be sent.

manifests, rules, drift mode → items, in the order of their stages
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from shared.api.meta import Manifest
from shared.apply import errors, policies
from shared.apply.changes import Action, Change, ChangeSet
from shared.apply.drifting import Drifted
from shared.apply.errors import ApplyError, ObjectError
from shared.apply.identity import ObjectId, Owner
from shared.apply.ignoring import Pointer, Rules
from shared.apply.order import sort_key
from shared.apply.policies import Mode, Policy
from shared.apply.prepare import digest_of, prepared


@dataclass(frozen=True, slots=True)
class Item:
    """A manifest, ready to be sent, and how the object is to be kept."""

    id: ObjectId
    api_version: str
    manifest: Manifest
    digest: bytes
    policy: Policy
    ignored: tuple[Pointer, ...] = ()
    """The fields that others may own once the object is there."""
    drift: Mode = "enabled"
    """What becomes of drift where the object itself says nothing."""
    defined_here: bool = False
    """The definition of its kind is applied in the same pass: it may take a moment to be served."""

    @property
    def kind(self) -> tuple[str, str]:
        return self.api_version, self.id.kind

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    def change(self, action: Action, live: Manifest | None = None, *, drift: Drifted | None = None) -> Change:
        return Change(self.id, self.version, action, expires=policies.expires(self.manifest), live=live, drift=drift)


def prepare(
    manifests: Iterable[Manifest],
    owner: Owner,
    custom_stage_kinds: Collection[tuple[str, str]] = (),
    *,
    rules: Rules | None = None,
    drift: Mode = "enabled",
) -> list[Item]:
    """What will be sent, in order. ApplyError when a manifest can't be."""
    items: dict[ObjectId, Item] = {}
    failed: list[ObjectError] = []
    defined = {kind for manifest in manifests if (kind := defined_kind(manifest)) is not None}
    for manifest in manifests:
        ready, problems = prepared(manifest, owner)
        id = ObjectId.of(manifest)
        if problems:
            failed.append(errors.of_problems(manifest, problems))
        elif id in items:
            failed.append(errors.of_problems(manifest, ["it is there twice: keep one of them"]))
        else:
            items[id] = Item(
                id,
                str(ready["apiVersion"]),
                ready,
                digest_of(ready),
                policies.of(ready, owner.group),
                ignored=rules.pointers(ready) if rules is not None else (),
                drift=drift,
                defined_here=(id.group, id.kind) in defined,
            )
    if failed:
        raise ApplyError(failed, ChangeSet())
    return sorted(items.values(), key=lambda item: sort_key(item.id, custom_stage_kinds))


def defined_kind(manifest: Manifest) -> tuple[str, str] | None:
    """Group and kind that a CustomResourceDefinition defines."""
    if manifest.get("kind") != "CustomResourceDefinition":
        return None
    spec = manifest.get("spec") or {}
    return str(spec.get("group") or ""), str((spec.get("names") or {}).get("kind") or "")
