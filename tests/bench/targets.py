"""What the fleet has to reach: each target is a figure of the medians, and how much it may be at most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench.floor import FLOORS
from tests.bench.meter import Figures, calls, controllers, writes

Fleet = Mapping[str, Figures]
"""A run's figures by phase; those of a floor by `floor <name>`."""


@dataclass(frozen=True)
class Target:
    """`figure` is None where a run can't tell."""

    what: str
    most: float
    unit: str
    figure: Callable[[Fleet, int], float | None]


@dataclass(frozen=True)
class Judged:
    """A target and what was reached."""

    target: Target
    reached: float

    @property
    def met(self) -> bool:
        return self.reached <= self.target.most


def judge(fleet: Fleet, count: int, smaller: Fleet | None = None, smaller_count: int = 0) -> list[Judged]:
    """All targets that can be judged of this fleet of `count` applications, and beside a smaller one, if given."""
    found = [Judged(target, value) for target in _TARGETS if (value := target.figure(fleet, count)) is not None]
    if smaller is not None:
        for name, figures in fleet.items():
            if name in FLOORS and name in smaller:
                ours = Target(
                    f"{name}: controllers' CPU an application, to {smaller_count} applications", 1.2, "x", _none
                )
                found.append(Judged(ours, controllers(figures) / controllers(smaller[name])))
        for controller in ("kustomize-controller", "source-controller"):
            grown = _peak(fleet, controller) - _peak(smaller, controller)
            target = Target(f"{controller}: memory an application more than {smaller_count}", 40, "KiB", _none)
            found.append(Judged(target, 1024 * grown / (count - smaller_count)))
    return found


def to_floor(fleet: Fleet, name: str, figure: str = "seconds", floor: str = "") -> float | None:
    """A phase's figure in multiples of its floor's (or of another floor's)."""
    floors = fleet.get(f"floor {floor or name}")
    return fleet[name][figure] / floors[figure] if floors and floors.get(figure) else None


def by_etcd(fleet: Fleet, name: str, floor: str = "") -> float | None:
    """The API server's CPU to its floor's, where etcd's to its own is one: etcd does the same in both, so what its own
    ratio is beyond one is what the machine took more for the same work."""
    server, etcd = (to_floor(fleet, name, figure, floor) for figure in (_SERVER, "cpu etcd"))
    return server / etcd if server and etcd else None


def _none(fleet: Fleet, count: int) -> None:
    return None


def _ratio(phase: str, most: float, *, figure: str = "seconds", floor: str = "") -> Target:
    what = f"{phase}: {'API server' if figure != 'seconds' else 'time'}, to the floor"
    what += f" {floor}" if floor else ""
    return Target(what, most, "x", lambda fleet, count: to_floor(fleet, phase, figure, floor))


def _ratio_by_etcd(phase: str, most: float, floor: str = "") -> Target:
    what = f"{phase}: API server, to the floor {floor}".rstrip() + ", by etcd's time for the same work"
    return Target(what, most, "x", lambda fleet, count: by_etcd(fleet, phase, floor))


def _below_server(phase: str) -> Target:
    def figure(fleet: Fleet, count: int) -> float | None:
        server = fleet[phase].get(_SERVER)
        return controllers(fleet[phase]) / server if server else None

    return Target(f"{phase}: controllers' CPU to the API server's", 1, "x", figure)


def _peak(fleet: Fleet, controller: str) -> float:
    """MiB; of the processes that saw the fleet grow, not of those that the restart brought."""
    return max(figures.get(f"peak {controller}", 0.0) for name, figures in fleet.items() if name in ("apply", "update"))


def _memory(controller: str, most: float) -> Target:
    return Target(
        f"{controller}: peak memory at 1,000 applications",
        most,
        "MiB",
        lambda fleet, count: _peak(fleet, controller) if count == 1000 else None,
    )


def _noop_alone(fleet: Fleet) -> float | None:
    """What handling the requests takes, without sending them, beside the one status write that says so."""
    bare, requested = (fleet.get(f"floor {name}", {}).get("seconds") for name in ("noop", "noop with its request"))
    return (fleet["noop"]["seconds"] - (requested - bare)) / bare if bare and requested else None


def _idle_share(fleet: Fleet, count: int) -> float:
    """Percent of a core."""
    return controllers(fleet["idle"]) * count / 10 / fleet["idle"]["seconds"]


_SERVER = "cpu API server"
_TARGETS = (
    _ratio("apply", 1.5),
    Target("apply: controllers' CPU an application", 8, "ms", lambda fleet, count: controllers(fleet["apply"])),
    _ratio("apply", 1.15, figure=_SERVER),
    _ratio_by_etcd("apply", 1.15),
    _ratio("noop", 1.3),
    _ratio("noop", 1.3, floor="noop with its request"),
    Target("noop: time beyond that of the requests, to the floor", 1.3, "x", lambda fleet, count: _noop_alone(fleet)),
    _ratio("update", 1.5),
    _ratio("update", 1.5, floor="update with its sources"),
    _ratio("update", 1.5, floor="update with its rollout"),
    _ratio("update", 1.15, floor="update with its rollout", figure=_SERVER),
    _ratio_by_etcd("update", 1.15, floor="update with its rollout"),
    _ratio("delete", 1.5),
    *(_below_server(phase) for phase in ("sources", "apply", "noop", "update", "delete")),
    Target("drift: p50", 300, "ms", lambda fleet, count: fleet["drift"]["p50"]),
    Target("drift: p99", 1000, "ms", lambda fleet, count: fleet["drift"]["p99"]),
    Target(
        "idle: requests a second", 1, "", lambda fleet, count: calls(fleet["idle"]) * count / fleet["idle"]["seconds"]
    ),
    Target("idle: controllers' CPU, of a core", 1, "%", _idle_share),
    Target("restart: until ready", 15, "s", lambda fleet, count: fleet["restart"]["ready"]),
    Target("restart: writes", 0, "", lambda fleet, count: writes(fleet["restart"]) * count),
    _memory("kustomize-controller", 160),
    _memory("source-controller", 150),
)
