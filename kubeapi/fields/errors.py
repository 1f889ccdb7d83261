"""How a server-side apply fails."""

from __future__ import annotations

from collections.abc import Sequence

from kubeapi.errors import Cause, StatusError
from kubeapi.fields.managers import Identity
from kubeapi.fields.sets import text


class Conflict(StatusError):
    """409: other managers own fields that the apply would change. One cause a field; `fields` has (owner, path)."""

    def __init__(self, fields: Sequence[tuple[Identity, tuple[str, ...]]]) -> None:
        self.fields = tuple(fields)
        causes = [
            Cause("FieldManagerConflict", f"conflict with {identity.shown()}", text(path)) for identity, path in fields
        ]
        super().__init__(409, "Conflict", _message(fields), causes=causes)


def _message(fields: Sequence[tuple[Identity, tuple[str, ...]]]) -> str:
    if len(fields) == 1:
        identity, path = fields[0]
        return f"Apply failed with 1 conflict: conflict with {identity.shown()}: {text(path)}"
    lines: list[str] = []
    shown: dict[str, list[str]] = {}
    for identity, path in fields:
        shown.setdefault(identity.shown(), []).append(text(path))
    for name in sorted(shown):
        lines += [f"conflicts with {name}:", *(f"- {path}" for path in shown[name])]
    return f"Apply failed with {len(fields)} conflicts: " + "\n".join(lines)


class Invalid(StatusError):
    """500: what is applied, or merged from it, isn't what the schema says. A real API server uses this code, too."""

    def __init__(self, message: str) -> None:
        super().__init__(500, "", message)
