"""What the sources and Kustomizations of a cluster say right now, as a small table: who isn't ready comes first."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from fluvial.view import printable
from fluvial.watching import Watched, ready, waits
from shared.api.meta import Manifest

ROWS = 8
"""More than fit into a small terminal aren't listed, only counted."""
READY, WAITING, FAILED = ("✔", "green"), ("…", "yellow"), ("✘", "red")


class Board:
    """Draws itself anew, from what is watched, whenever it is shown."""

    def __init__(self, watches: Mapping[str, Watched]) -> None:
        self._watches = watches

    def __rich__(self) -> Table:
        rows = [(kind, manifest) for kind, watch in self._watches.items() for manifest in watch.values()]
        rows.sort(key=lambda row: ready(row[1])[0] == "True")
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, style="dim")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
        for kind, manifest in rows[:ROWS]:
            state, _, message = ready(manifest)
            sign, style = READY if state == "True" else WAITING if waits(manifest) else FAILED
            first = (message.splitlines() or ["not looked at yet"])[0]
            table.add_row(Text(f"  {sign}", style), kind, printable(title(manifest)), Text(printable(first)))
        if more := rows[ROWS:]:
            waiting = sum(ready(manifest)[0] != "True" for _, manifest in more)
            table.add_row("", "", "", f"and {len(more)} more, {'all ready' if not waiting else f'{waiting} not ready'}")
        return table


def title(manifest: Manifest) -> str:
    """Name an object as people do: without the namespace where it is the usual one."""
    namespace, name = manifest["metadata"].get("namespace", ""), str(manifest["metadata"]["name"])
    return name if namespace in ("", "flux-system") else f"{namespace}/{name}"
