"""What the commands show while they work: finished lines, and below them what is going on right now.

On a terminal the last line is alive; in a file or a CI log there are only the finished lines.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape


class View:
    """Writes to the standard output."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)

    def title(self, text: str) -> None:
        """A new chapter."""
        self.console.print(f"\n[bold]{escape(text)}[/bold]")

    def line(self, text: str) -> None:
        """A line of explanation."""
        self.console.print(f"  {escape(text)}")

    def done(self, text: str) -> None:
        """Something worked."""
        self.console.print(f"  [green]✔[/green] {escape(text)}")

    def failed(self, text: str) -> None:
        """Something did not work."""
        self.console.print(f"  [red]✘[/red] {escape(text)}")

    def quote(self, text: str) -> None:
        """What somebody else says, such as an error."""
        for line in text.splitlines():
            self.console.print(f"      [yellow]{escape(line)}[/yellow]")

    @contextlib.contextmanager
    def doing(self, text: str) -> Iterator[Progress]:
        """While something is under way; it can say what it does."""
        with self.console.status(escape(text)) as status:
            yield Progress(text, lambda shown: status.update(escape(shown)))


class Progress:
    """Something under way: how long it has taken, and what is being done."""

    def __init__(self, text: str, show: Callable[[str], None]) -> None:
        self._show = show
        self._started = time.monotonic()
        self.text = text

    def say(self, text: str) -> None:
        """Show another text."""
        self.text = text
        self._show(text)

    @property
    def took(self) -> str:
        """How long it has taken, for people."""
        seconds = time.monotonic() - self._started
        return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"
