"""Reading what a controller wrote: an odd scalar counts as absent, an odd structure is `Malformed`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.api.meta import Manifest


class Malformed(ValueError):
    """A field that every object of Kubernetes has in another form; the message names it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of status.conditions."""

    type: str
    status: str
    reason: str
    message: str

    @property
    def true(self) -> bool:
        return self.status == "True"

    @property
    def text(self) -> str:
        """What it says to people; its reason when it says nothing."""
        return self.message or self.reason


def value(manifest: Manifest, *path: str) -> Any:
    """The value at a path, None when there is none."""
    found: Any = manifest
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def text(manifest: Manifest, *path: str, default: str = "") -> str:
    found = value(manifest, *path)
    return found if isinstance(found, str) else default


def integer(manifest: Manifest, *path: str, default: int = 0) -> int:
    found = value(manifest, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else default


def items(manifest: Manifest, *path: str) -> list[Manifest]:
    """The objects of a list; what is no object is left out."""
    found = value(manifest, *path)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def generation(manifest: Manifest, parent: str, name: str) -> int | None:
    """metadata.generation or status.observedGeneration; None when absent."""
    holder = manifest.get(parent)
    if holder is not None and not isinstance(holder, dict):
        raise Malformed(f"{parent}: expected an object")
    found = holder.get(name) if holder else None
    if found is not None and (not isinstance(found, int) or isinstance(found, bool)):
        raise Malformed(f"{parent}.{name}: expected an integer")
    return found


def conditions(manifest: Manifest) -> list[Condition]:
    """status.conditions in the order they stand in."""
    status = manifest.get("status")
    if status is None:
        return []
    if not isinstance(status, dict):
        raise Malformed("status: expected an object")
    entries = status.get("conditions")
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise Malformed("status.conditions: expected a list")
    return [_condition(entry, index) for index, entry in enumerate(entries)]


def _condition(entry: Any, index: int) -> Condition:
    if not isinstance(entry, dict):
        raise Malformed(f"status.conditions[{index}]: expected an object")
    found = []
    for name in ("type", "status", "reason", "message"):
        said = entry.get(name)
        if said is not None and not isinstance(said, str):
            raise Malformed(f"status.conditions[{index}].{name}: expected a string")
        found.append(said or "")
    return Condition(*found)


def group(manifest: Manifest) -> str:
    """The API group of an object, "" for the core group."""
    return text(manifest, "apiVersion").rpartition("/")[0]
