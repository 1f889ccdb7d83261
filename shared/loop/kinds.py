"""What a controller declares of each kind it reconciles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from shared.api.meta import Named, Resource, parse_duration
from shared.loop.verdict import Ready

if TYPE_CHECKING:
    from shared.loop.attempt import Attempt

R = TypeVar("R", bound=Resource)

FINALIZER = "finalizers.fluxcd.io"


class Ref(NamedTuple):
    """Another object, by namespace and name; its kind is told by where the reference stands."""

    namespace: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Wake(Generic[R]):
    """A change of one kind of object that makes objects of another due.

    `refers` tells which objects of `type` an object depends on; `when` whether a change of one of them matters, given
    its old state (None when new) and its new one (None when gone).
    """

    type: type[Named]
    refers: Callable[[R], Iterable[Ref]]
    when: Callable[[Any, Any], bool]
    preempts: bool = True
    """Whether it ends a wait, such as one for health; otherwise an attempt that waits may first come to its end."""


class ConfigRef(NamedTuple):
    """A ConfigMap or Secret that an object reads."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[R]):
    """One kind that a controller reconciles: its story and what the loop must know about it."""

    type: type[R]
    reconcile: Callable[[R, Attempt[R]], Awaitable[Ready]]
    """The story. Returns Ready or raises a NotReady; may be cancelled anywhere and run again."""
    finalize: Callable[[R, Attempt[R]], Awaitable[None]]
    """What happens before a deleted object goes; runs again until it returns."""
    in_progress: str | None = None
    """What Ready says while it is Unknown; the progress message when unset."""
    abnormal: tuple[str, ...] = ()
    """The negative-polarity conditions that this kind owns beside Reconciling and Stalled."""
    wakes: tuple[Wake[R], ...] = ()
    configs: Callable[[R], Iterable[ConfigRef]] = field(default=lambda _: ())
    """The ConfigMaps and Secrets whose change makes an object due, when they carry the watch label."""
    annotations: tuple[str, ...] = ()
    """The annotations of an object whose change makes it due, beside the one that asks for a reconciliation."""
    retry_interval: Callable[[R], float | None] = field(default=lambda _: None)
    """Seconds between a failure and the next attempt; None for exponential backoff."""
    unbuilt: Callable[[R], Iterable[str]] = field(default=lambda _: ())
    """The fields set on this object that the controller does not implement; any makes it Stalled."""
    manager: str = ""
    """As whom status and finalizers are written; the controller's name when unset. A controller that applies objects of
    a kind that it also reconciles needs another one here: its apply takes over what was written in its own name."""
    passive: Callable[[R], bool] = field(default=lambda _: False)
    """Whether an object only holds settings for others: nothing is done for it and nothing written to it. What was done
    before it came to be so is undone as if it was deleted."""
    static: bool = False
    """Whether objects of this kind have no status: `reconcile` notes what they say, and what it returns is written
    nowhere."""
    suspended: Callable[[R], bool] = field(default=lambda obj: bool(getattr(obj.spec, "suspend", False)))
    """Whether its user wants nothing to be done for an object."""
    rests: Callable[[R, Attempt[R]], None] = field(default=lambda obj, attempt: None)
    """What is told of a suspended object, and set in its status; nothing unless given."""
    interval: Callable[[R], float | None] = field(
        default=lambda obj: parse_duration(obj.spec.interval) if getattr(obj.spec, "interval", None) else None
    )
    """Seconds after which an object is looked at again although nothing was heard; None for never."""
    finalizer: str = FINALIZER
    """What keeps a deleted object until it is finalized."""
    claimed: bool = True
    """Whether objects get our finalizer. Where not, one that an earlier version put there is taken off."""
    known_first: bool = False
    """Whether the process works only once it knows all objects of this kind: it answers others by what it knows."""
    forget: Callable[[R], None] = field(default=lambda _: None)
    """Called once an object is gone, for what a controller remembers of it."""
