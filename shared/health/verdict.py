"""What is said of an object's health, and how the rules say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["Current", "InProgress", "Failed", "Terminating", "NotFound", "Unknown"]


@dataclass(frozen=True, slots=True)
class Health:
    """How an object stands, and what that is seen from.

    Current: it is what its spec says, and works. InProgress: it is on its way, wait. Failed: waiting is of no use
    unless something else changes. Terminating: it is being deleted. NotFound: it isn't there (said by those who look).
    Unknown: it can't be told, because the object or an expression is malformed; the message names what is wrong.
    """

    status: Status
    message: str


def current(message: str) -> Health:
    return Health("Current", message)


def in_progress(message: str) -> Health:
    return Health("InProgress", message)


def failed(message: str) -> Health:
    return Health("Failed", message)
