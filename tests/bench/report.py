"""Figures in words: a line while a run goes on, and tables of all runs, as text or Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.floor import FLOORS, of
from tests.bench.meter import Figures, controllers
from tests.bench.targets import Fleet, Judged, to_floor


@dataclass(frozen=True)
class Spread:
    """A figure of several runs."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return number(self.median)
        return f"{number(self.median)} ({number(self.low)}..{number(self.high)})"


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def medians(runs: Sequence[Fleet]) -> dict[str, Figures]:
    """Each figure's median over the runs; one that a run lacks counts as zero there."""
    found: dict[str, Figures] = {}
    for phase in runs[0]:
        names = {name: None for run in runs for name in run[phase]}
        found[phase] = {name: statistics.median(run[phase].get(name, 0.0) for run in runs) for name in names}
    return found


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def line(name: str, figures: Figures) -> str:
    """One phase of one run: seconds, and CPU of each process, in ms for each application."""
    spent = {key.removeprefix("cpu "): value for key, value in figures.items() if key.startswith("cpu ")}
    said = "  ".join(f"{process} {number(cpu)}" for process, cpu in spent.items() if cpu >= 0.05)
    return f"{name:30}{figures['seconds']:9.2f} s   {said}"


def phases(runs: Sequence[Fleet]) -> list[list[str]]:
    """The table of phases, its head first: CPU in ms for each application, median (least..most) of the runs."""
    rows = [list(_HEAD)]
    rows.extend(_row(runs, name) for name in FLOORS if name in runs[0])
    for name in FLOORS:
        if f"floor {name}" in runs[0]:
            seconds, server = ([run[f"floor {name}"].get(of, 0.0) for run in runs] for of in ("seconds", _SERVER))
            rows.append([f"floor: {name}", str(spread(seconds)), "", "", "", "", str(spread(server)), "", ""])
    return rows


def rows(runs: Sequence[Fleet], columns: Mapping[str, str]) -> list[list[str]]:
    """A table of phases, its head first: of each the figures that `columns` names, by the head of their column."""
    made = [["", *columns]]
    for phase, figures in runs[0].items():
        cells = (str(spread([run[phase][key] for run in runs])) if key in figures else "" for key in columns.values())
        made.append([phase, *cells])
    return made


_SERVER = "cpu API server"
_HEAD = (
    "phase",
    "seconds",
    "to its floor",
    "kustomize-controller",
    "source-controller",
    "all controllers",
    "API server",
    "to its floor's",
    "etcd, to its floor's",
)


def _row(runs: Sequence[Fleet], name: str) -> list[str]:
    others = [floor for floor in of(name)[1:] if f"floor {floor}" in runs[0]]

    def ratios(figure: str) -> str:
        found = [(floor, [to_floor(run, name, figure, floor) for run in runs]) for floor in ("", *others)]
        return "; ".join(
            str(spread([value for value in values if value is not None])) + floor.removeprefix(name)
            for floor, values in found
            if None not in values
        )

    def each(figure: str) -> str:
        return str(spread([run[name].get(figure, 0.0) for run in runs]))

    ours = spread([controllers(run[name]) for run in runs])
    cpu = [each("cpu kustomize-controller"), each("cpu source-controller"), str(ours), each(_SERVER)]
    return [name, each("seconds"), ratios("seconds"), *cpu, ratios(_SERVER), ratios("cpu etcd")]


def beyond(fleet: Fleet) -> list[list[str]]:
    """What each phase asks of the API server for each application beyond its fullest floor, by verb and resource."""
    rows = [["phase", "floor", "calls beyond it, for each application"]]
    for name in FLOORS:
        fullest = of(name)[-1]
        floor = fleet.get(f"floor {fullest}")
        if name not in fleet or floor is None:
            continue
        keys = {key: None for key in (*fleet[name], *floor) if key.startswith("calls ")}
        more = {key.removeprefix("calls "): fleet[name].get(key, 0.0) - floor.get(key, 0.0) for key in keys}
        said = ", ".join(
            f"{value:+.2f} {key}" for key, value in sorted(more.items(), key=lambda one: -one[1]) if abs(value) >= 0.02
        )
        rows.append([name, fullest, said or "none"])
    return rows


def judged(found: Iterable[Judged]) -> list[list[str]]:
    """The table of targets."""
    rows = [["target", "at most", "reached", ""]]
    for one in found:
        most, reached = (f"{number(value)} {one.target.unit}".strip() for value in (one.target.most, one.reached))
        rows.append([one.target.what, most, reached, "met" if one.met else "missed"])
    return rows


def table(rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """Rows, the first of which is the head."""
    if markdown:
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
