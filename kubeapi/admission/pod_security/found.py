"""What the checks of pods share: who sets something, and how messages list it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Struct = Mapping[str, Any]


class Violation(NamedTuple):
    """What a pod may not do, and where it does."""

    reason: str
    detail: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def containers(spec: Struct) -> Iterator[Struct]:
    for key in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(key) or ()


def security(owner: Struct) -> Struct:
    """The security context of a pod or a container."""
    found: Struct = owner.get("securityContext") or {}
    return found


def names_of(spec: Struct, bad: Callable[[Struct], bool]) -> list[str]:
    """The containers of which something holds."""
    return [str(one.get("name")) for one in containers(spec) if bad(one)]


def quoted(items: Iterable[Any]) -> str:
    return ", ".join(f'"{one}"' for one in items)


def counted(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def these(names: list[str]) -> str:
    """`container "a"`, `containers "a", "b"`."""
    return f"{counted('container', len(names))} {quoted(names)}"


def setters(pod: bool, names: list[str]) -> str:
    """`pod and container "a"`: who sets something; "" for nobody."""
    return " and ".join([*(["pod"] if pod else ()), *([these(names)] if names else ())])


def is_windows(spec: Struct) -> bool:
    return (spec.get("os") or {}).get("name") == "windows"


def has_own_users(spec: Struct) -> bool:
    """Whether root in the pod is nobody outside of it."""
    return spec.get("hostUsers") is False
