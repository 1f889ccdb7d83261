"""Which objects of a kind refer to which others, so that a change of those wakes them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from shared.loop.kinds import ConfigRef, Kind, Ref, Wake
from shared.loop.queue import Key


class References:
    """Of all objects of one kind."""

    def __init__(self, kind: Kind[Any]) -> None:
        self._kind = kind
        self._referring: dict[tuple[Wake[Any], Ref], set[Key]] = defaultdict(set)
        self._configs: dict[ConfigRef, set[Key]] = defaultdict(set)
        self._of: dict[Key, tuple[list[tuple[Wake[Any], Ref]], list[ConfigRef]]] = {}

    def to(self, wake: Wake[Any], ref: Ref) -> list[Key]:
        """Who refers to an object in this way."""
        return list(self._referring.get((wake, ref), ()))

    def to_config(self, ref: ConfigRef) -> list[Key]:
        """Who refers to a ConfigMap or Secret."""
        return list(self._configs.get(ref, ()))

    def note(self, key: Key, obj: Any) -> None:
        """Remember what an object refers to now."""
        refs = [(wake, ref) for wake in self._kind.wakes for ref in wake.refers(obj)]
        configs = list(self._kind.configs(obj))
        if self._of.get(key) == (refs, configs):
            return
        self.forget(key)
        self._of[key] = (refs, configs)
        for ref in refs:
            self._referring[ref].add(key)
        for config in configs:
            self._configs[config].add(key)

    def forget(self, key: Key) -> None:
        """Forget what an object refers to."""
        refs, configs = self._of.pop(key, ([], []))
        for ref in refs:
            _discard(self._referring, ref, key)
        for config in configs:
            _discard(self._configs, config, key)


def _discard(index: dict[Any, set[Key]], at: Any, key: Key) -> None:
    index[at].discard(key)
    if not index[at]:
        del index[at]
