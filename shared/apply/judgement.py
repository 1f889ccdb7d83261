"""Drift, decided from what we know: our record of an object, and the live object that a watch reports. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from sys import intern
from typing import Literal

from shared.apply import policies
from shared.apply.changes import Action
from shared.apply.drifting import Drifted
from shared.apply.identity import ObjectId, Owner
from shared.apply.ignoring import Pointer
from shared.apply.items import Item
from shared.apply.live import Edition, Live
from shared.apply.policies import Mode, Policy

Drift = Literal["", "changed", "deleted", "taken"]
"""`taken`: another owner applied it. That is corrected when we are asked to, and wakes nobody: two owners that both
want an object would else fight over it without a pause."""


@dataclass(frozen=True, slots=True)
class Left:
    """Drift that is only reported."""

    drifted: Drifted | None
    """How; None when all values are as they were, and only their owners aren't."""
    at: Edition | None
    """The edition of the live object that was looked at; None when it was gone."""


@dataclass(slots=True)
class Record:
    """What we know of an object since we applied it, or since we decided not to."""

    id: ObjectId
    owner: Owner
    api_version: str
    digest: bytes
    """Of the manifest that was applied."""
    policy: Policy
    """What that manifest asks for."""
    ignored: tuple[Pointer, ...] = ()
    """The fields of it that others may own."""
    drift_mode: Mode = "enabled"
    """What becomes of drift where the object itself says nothing."""
    uid: str = ""
    version: int = 0
    fields: bytes = b""
    skipped: bool = False
    """It was not applied, because of a policy."""
    leaving: bool = False
    """We deleted it; `drift` tells when it has been seen gone."""
    drift: Drift = ""
    healthy_at: int = 0
    """The resourceVersion at which it was found healthy; 0 for never."""
    strikes: int = 0
    """How often it drifted shortly after we had corrected it."""
    left: Left | None = None
    """It was found not to be as we left it, and nothing was done about that."""
    corrected: float = 0.0
    """When we last applied it, in seconds of the ledger's clock."""

    @classmethod
    def of(cls, item: Item, owner: Owner) -> Record:
        """Of an object about which no more is known than that it was dealt with."""
        return cls(
            item.id,
            owner,
            intern(item.api_version),
            item.digest,
            item.policy,
            ignored=item.ignored,
            drift_mode=item.drift,
        )

    @property
    def has_expired(self) -> bool:
        """Is it gone as its manifest asks for? Then nobody needs to hear of it; it is made again with the next pass."""
        return self.drift == "deleted" and bool(self.policy & Policy.EXPIRES)

    def is_of(self, item: Item) -> bool:
        """Was it made of the same manifest, to be kept in the same way?"""
        return (self.digest, self.ignored, self.drift_mode) == (item.digest, item.ignored, item.drift)


def judge(record: Record, live: Live | None, *, version: int = 0) -> Drift:
    """How the object stands after a change that a watch reported; `live` is None when it is gone, `version` then its
    last resourceVersion. A change older than our own last write says nothing new."""
    if record.skipped:
        theirs = live.policy if live is not None else Policy.NONE
        return "changed" if policies.may_apply(record.policy, theirs, exists=live is not None) else ""
    if policies.drift_mode(record.policy, live.policy if live else Policy.NONE, record.drift_mode) == "disabled":
        return ""
    if live is None:
        is_known = record.left is not None and record.left.at is None
        return "" if is_known else record.drift if version < record.version else "deleted"
    if live.version < record.version:
        return record.drift
    if record.left is not None:
        return "" if live.edition == record.left.at else "changed"
    if live.policy & (Policy.IGNORE | Policy.RECONCILE_DISABLED):
        return ""
    if live.uid != record.uid:
        return "changed"
    if record.policy & Policy.IF_NOT_PRESENT or live.deleting:
        return ""
    if live.owner != (record.owner.namespace, record.owner.name):
        return "taken" if live.owner is not None else "changed"
    if live.fields != record.fields:
        return "changed"
    if live.takeover_due and policies.may_take_over(record.policy, live.policy):
        return "changed"
    return ""


def action_of(before: Live, after: Live, record: Record | None, digest: bytes) -> Action:
    """What an apply that did not create the object did to it, told from the answer alone.

    The server writes nothing when nothing changes, so an unmoved resourceVersion is proof. When it moved, somebody
    else may have done that (a status, say): our entry tells, for the server renews its time whenever our apply
    changes anything. That time counts whole seconds; a change within the second of the last one shows in the digest
    of what we applied. `before` may be behind our own last write, which `record` tells of.
    """
    if before.version == after.version:
        return "unchanged"
    if record is not None and not record.skipped and record.uid == after.uid:
        if record.version == after.version:
            return "unchanged"
        if record.digest != digest:
            return "configured"
        if record.version > before.version:
            return "unchanged" if record.fields == after.fields else "configured"
    same = (before.uid, before.fields, before.written) == (after.uid, after.fields, after.written)
    return "unchanged" if same else "configured"
