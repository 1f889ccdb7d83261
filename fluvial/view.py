"""What the commands show while they work: finished lines, and below them what is going on right now.

On a terminal the lines below are alive; in a file or a CI log there are only finished lines, among them what is being
waited for once that takes longer than a second. What others say, such as a Git server, can't move the cursor or change
colours: only printable characters pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

NOTABLE = 1.0
"""Seconds after which something under way is mentioned where nothing is alive."""


class View:
    """Writes to the standard output."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)

    @property
    def is_alive(self) -> bool:
        """Whether somebody may be watching a terminal."""
        return self.console.is_terminal

    def title(self, text: str) -> None:
        """A new chapter."""
        self._print("\n", (text, "bold"))

    def line(self, text: str) -> None:
        """A line of explanation."""
        self._print("  ", (text, ""))

    def command(self, text: str) -> None:
        """Something to type, alone on its line so that it can be copied."""
        self._print("    ", (text, "cyan"))

    def done(self, text: str) -> None:
        """Something worked."""
        self._print("  ", ("✔ ", "green"), (text, ""))

    def failed(self, text: str) -> None:
        """Something did not work."""
        self._print("  ", ("✘ ", "red"), (text, ""))

    def quote(self, text: str) -> None:
        """What somebody else says, such as an error."""
        for line in text.splitlines():
            self._print("      ", (line, "yellow"))

    def message(self, head: str, text: str, style: str) -> None:
        """What stands in a chat: who said it when, and the text with a bar in its color beside it."""
        self._print("      ", (head, "dim"))
        for line in text.splitlines():
            self._print("      ", ("▌ ", style), (line, ""))

    def change(self, text: str, style: str, lines: Sequence[str]) -> None:
        """What would become of an object, and the lines of its differences, each with its sign."""
        self._print("", (text, f"bold {style}"))
        for line in lines:
            self._print("  ", (line, {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")))

    def summary(self, text: str) -> None:
        """The result in a line."""
        self._print("", (text, "bold"))

    @contextlib.contextmanager
    def doing(self, text: str, below: RenderableType | None = None) -> Iterator[Progress]:
        """While something is under way; it can say what it does. `below` is drawn again and again, on a terminal."""
        progress = Progress(text)
        if self.is_alive:
            with Live(_Alive(progress, below), console=self.console, transient=True, refresh_per_second=8):
                yield progress
            return
        progress.on_long = lambda said: self.line(f"… {said}")
        progress.say(text)
        try:
            yield progress
        finally:
            progress.end()

    def _print(self, indent: str, *parts: tuple[str, str]) -> None:
        line = Text(indent)
        for text, style in parts:
            line.append(printable(text), style)
        self.console.print(line)


class Progress:
    """Something under way: how long it has taken, and what is being done."""

    def __init__(self, text: str) -> None:
        self._started = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self.text = text
        self.on_long: Callable[[str], None] | None = None
        """Called with the text once it has stood for NOTABLE seconds."""

    def say(self, text: str) -> None:
        """Something else is being done now."""
        self.text = text
        self.end()
        if self.on_long is not None:
            self._timer = asyncio.get_running_loop().call_later(NOTABLE, self.on_long, text)

    def end(self) -> None:
        """Nothing is being done any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self._started

    @property
    def took(self) -> str:
        """The same, for people."""
        return f"{self.seconds * 1000:.0f} ms" if self.seconds < 10 else f"{self.seconds:.0f} s"


class _Alive:
    """A spinner with the present text and the seconds, and what is below it."""

    def __init__(self, progress: Progress, below: RenderableType | None) -> None:
        self._progress, self._below = progress, below
        self._spinner = Spinner("dots", style="green")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        said = Text(printable(self._progress.text), no_wrap=True, overflow="ellipsis")
        if self._progress.seconds > NOTABLE:
            said.append(f"  {self._progress.seconds:.0f} s", "dim")
        self._spinner.update(text=said)
        yield self._spinner
        if self._below is not None:
            yield self._below


def printable(text: str) -> str:
    """The text with a mark in place of every character that a terminal could take for a command."""
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)
