"""What an object's labels and annotations ask of us, object by object.

    labels, annotations → policies

`<group>/ssa: Override | Merge | IfNotPresent | Ignore`, `<group>/reconcile: disabled`, `<group>/force: enabled`,
`<group>/prune: disabled`, `<group>/driftDetection: enabled | warn | disabled`; values in any case, as a label or an
annotation. Which copy of an object is read stands at each rule: the source's (desired), the cluster's (live), or
either. A manifest can also say by itself that its object is to go one day.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Flag, auto
from typing import Any, Literal, TypeAlias

from shared.apply.identity import DEFAULT_GROUP

Mode: TypeAlias = Literal["enabled", "warn", "disabled"]
"""What becomes of drift: it is corrected, reported, or not looked for."""


class Policy(Flag):
    NONE = 0
    MERGE = auto()
    """Leave other managers as they are: nothing is taken over from kubectl."""
    IF_NOT_PRESENT = auto()
    """Create it; never change it after that."""
    IGNORE = auto()
    """Neither apply nor prune it."""
    RECONCILE_DISABLED = auto()
    """Neither apply nor prune it, as long as this is there."""
    FORCE = auto()
    """Delete and create it when a field that can't be changed has changed."""
    PRUNE_DISABLED = auto()
    """Never prune it."""
    DRIFT_ENABLED = auto()
    DRIFT_WARN = auto()
    DRIFT_DISABLED = auto()
    EXPIRES = auto()
    """A Job that is deleted when it has finished: that it is gone is no drift, and as good as healthy."""


_VALUES = {
    ("ssa", "merge"): Policy.MERGE,
    ("ssa", "ifnotpresent"): Policy.IF_NOT_PRESENT,
    ("ssa", "ignore"): Policy.IGNORE,
    ("reconcile", "disabled"): Policy.RECONCILE_DISABLED,
    ("force", "enabled"): Policy.FORCE,
    ("prune", "disabled"): Policy.PRUNE_DISABLED,
    ("driftDetection", "enabled"): Policy.DRIFT_ENABLED,
    ("driftDetection", "warn"): Policy.DRIFT_WARN,
    ("driftDetection", "disabled"): Policy.DRIFT_DISABLED,
}
_NAMES = frozenset(name for name, _ in _VALUES)
_MODES: tuple[tuple[Policy, Mode], ...] = (
    (Policy.DRIFT_DISABLED, "disabled"),
    (Policy.DRIFT_WARN, "warn"),
    (Policy.DRIFT_ENABLED, "enabled"),
)


def read(labels: Mapping[str, Any] | None, annotations: Mapping[str, Any] | None, group: str = DEFAULT_GROUP) -> Policy:
    """The policies that these labels and annotations ask for. Values that mean nothing are none."""
    found = Policy.NONE
    for pairs in (labels, annotations):
        if not pairs:
            continue
        for key, value in pairs.items():
            prefix, _, name = key.rpartition("/")
            if prefix == group and name in _NAMES:
                found |= _VALUES.get((name, str(value).lower()), Policy.NONE)
    return found


def of(manifest: Mapping[str, Any], group: str = DEFAULT_GROUP) -> Policy:
    metadata = manifest.get("metadata") or {}
    said = read(metadata.get("labels"), metadata.get("annotations"), group)
    return said | Policy.EXPIRES if expires(manifest) else said


def expires(manifest: Mapping[str, Any]) -> bool:
    """Does the object go by itself when it has done its work?"""
    if manifest.get("kind") != "Job" or not str(manifest.get("apiVersion")).startswith("batch/"):
        return False
    return (manifest.get("spec") or {}).get("ttlSecondsAfterFinished") is not None


def may_apply(desired: Policy, live: Policy, *, exists: bool) -> bool:
    """`live` is NONE for an object that isn't there."""
    either = desired | live
    if either & (Policy.IGNORE | Policy.RECONCILE_DISABLED):
        return False
    return not (exists and desired & Policy.IF_NOT_PRESENT)


def may_take_over(desired: Policy, live: Policy) -> bool:
    return not (desired | live) & Policy.MERGE


def may_recreate(desired: Policy, live: Policy) -> bool:
    return bool((desired | live) & Policy.FORCE)


def may_prune(live: Policy) -> bool:
    return not live & (Policy.PRUNE_DISABLED | Policy.RECONCILE_DISABLED | Policy.IGNORE)


def drift_mode(desired: Policy, live: Policy, default: Mode) -> Mode:
    """What the source says of the object; where it says nothing, what the cluster says; else the owner's."""
    for policy in (desired, live):
        for flag, mode in _MODES:
            if policy & flag:
                return mode
    return default
