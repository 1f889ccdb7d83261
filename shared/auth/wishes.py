"""Wishes: what a token is wanted for, beside who wants it. Together they are what a kept token depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.auth.tokens import Fresh


@dataclass(frozen=True)
class Wish:
    """Fields that a cloud has no use for stay empty."""

    scope: str = ""
    """What the token shall be good for; azure."""
    region: str = ""
    """aws."""
    endpoint: str = ""
    """Of the token service; aws."""
    audiences: tuple[str, ...] = ()
    """For whom the account's token shall be, where that isn't what the cloud's module says."""
    proxy: str = field(default="", repr=False)


class Cloud(Protocol):
    """A cloud's module: all of it blocks, and raises AuthError."""

    NAME: str

    def identity(self, annotations: Mapping[str, str]) -> str:
        """What an account is for this cloud; empty where the account itself is meant. Pure."""
        ...

    def audience(self, annotations: Mapping[str, str]) -> str:
        """For whom the account's token must be."""
        ...

    def own(self, wish: Wish) -> Fresh[Any]:
        """A token of the controller, by its environment."""
        ...

    def exchanged(self, annotations: Mapping[str, str], account: str, token: str, wish: Wish) -> Fresh[Any]:
        """A token for the token of an account, whose name is `namespace/name`."""
        ...
