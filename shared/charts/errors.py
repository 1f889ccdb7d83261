"""What goes wrong with charts."""

from __future__ import annotations


class ChartError(Exception):
    """A chart can't be pulled or rendered; the message says why."""
