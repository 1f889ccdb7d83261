"""What an apply or a prune did: one line an object.

ConfigMap/default/settings created
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from shared.api.meta import Manifest
from shared.apply.identity import ObjectId

if TYPE_CHECKING:
    from shared.apply.drifting import Drifted

Action = Literal["created", "configured", "unchanged", "skipped", "drifted", "parked", "deleted", "terminating"]
"""`deleted`: we asked for it just now. `terminating`: that was before, and the object is still there. `drifted`: it
isn't as we left it, and stays so. `parked`: nobody has defined its kind yet."""
APPLIED: tuple[Action, ...] = ("created", "configured", "unchanged", "drifted")
"""The object is there, or was, as it was applied now or before."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one object."""

    id: ObjectId
    version: str
    action: Action
    gone: bool = True
    """Of a deleted object: it has been seen gone, nothing of it is left. Else it is terminating."""
    uid: str = ""
    """Of a deleted object, as far as it is known."""
    expires: bool = field(default=False, repr=False, compare=False)
    """It goes by itself when it has done its work."""
    live: Manifest | None = field(default=None, repr=False, compare=False)
    """The object as the server answered, when it was asked; of what was just applied without managedFields."""
    drift: Drifted | None = field(default=None, repr=False, compare=False)
    """Of a drifted object: how."""

    @property
    def api_version(self) -> str:
        return self.id.api_version(self.version)

    @property
    def settled(self) -> bool:
        """A stale object needs no more attention: it is gone, or meant to stay."""
        return self.action == "skipped" or (self.action in ("deleted", "terminating") and self.gone)

    def __str__(self) -> str:
        return f"{self.id} {self.action}"


@dataclass(slots=True)
class ChangeSet:
    """Changes in the order in which they are shown."""

    changes: list[Change] = field(default_factory=list)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.changes))

    def __or__(self, other: ChangeSet) -> ChangeSet:
        return ChangeSet([*self.changes, *other.changes])

    def of(self, *actions: Action) -> ChangeSet:
        """Only those changes: `created`, `configured` are what an apply tells people, `deleted`, `skipped` a prune."""
        return ChangeSet([change for change in self.changes if change.action in actions])

    def forget_answers(self) -> None:
        """Let go of what the server answered, for who keeps this longer than he needs them."""
        self.changes = [replace(change, live=None) for change in self.changes]

    @property
    def made(self) -> ChangeSet:
        """What changed the cluster."""
        return self.of("created", "configured", "deleted")

    def get(self, id: ObjectId) -> Change | None:
        return next((change for change in self.changes if change.id == id), None)

    def by_object(self) -> dict[str, str]:
        """`Kind/namespace/name` → action, as the log shows it."""
        return {str(change.id): change.action for change in self.changes}

    def by_action(self) -> dict[str, list[str]]:
        """action → `Kind/namespace/name`, …, as the log shows it when it is to have few keys."""
        grouped: dict[str, list[str]] = {}
        for change in self.changes:
            grouped.setdefault(change.action, []).append(str(change.id))
        return grouped
