"""Health checks that users write in CEL for kinds whose status says it in another way.

    healthCheckExprs → Expressions, compiled → HealthChecks: an object → its health

What always holds: an expression that doesn't compile is refused before anything is applied; one that fails on an
object makes it Unknown, not healthy; evaluation has the limits of `shared/text/cel`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from shared.api.meta import Manifest
from shared.api.parts import HealthCheckExpression
from shared.health import fields, kinds
from shared.health.verdict import Health, Status
from shared.text import cel


class ExpressionError(ValueError):
    """Health checks that can't be used; the message names the entry, the expression and what is wrong with it."""


class Expressions:
    """The compiled expressions of one entry of healthCheckExprs.

    They are asked in the order inProgress, failed, current; the first that gives true decides.
    """

    def __init__(
        self, api_version: str, kind: str, *, current: str, in_progress: str | None = None, failed: str | None = None
    ) -> None:
        self.group = api_version.rpartition("/")[0]
        self.kind = kind
        """"" for all kinds of the group."""
        if not current:
            raise ExpressionError("current: required, but missing")
        asked: tuple[tuple[Status, str, str | None], ...] = (
            ("InProgress", "inProgress", in_progress),
            ("Failed", "failed", failed),
            ("Current", "current", current),
        )
        self._programs = [(status, name, _compile(name, text)) for status, name, text in asked if text]

    def assess(self, manifest: Manifest) -> Health:
        """The health of an object of this kind. Without an answer it is InProgress, on an error Unknown."""
        if fields.text(manifest, "metadata", "deletionTimestamp"):
            return Health("Terminating", "Resource scheduled for deletion")
        generation = fields.value(manifest, "metadata", "generation")
        observed = fields.value(manifest, "status", "observedGeneration")
        # Some kinds have observedGeneration as a string: then it is for the expressions to look at.
        if type(generation) is int and type(observed) is int and generation != observed:
            kind = fields.text(manifest, "kind")
            return Health(
                "InProgress", f"{kind} generation is {generation}, but latest observed generation is {observed}"
            )
        for status, name, program in self._programs:
            try:
                answer = program.evaluate(manifest)
            except cel.CELError as problem:
                return Health("Unknown", f"{name}: failed to evaluate the CEL expression '{program.text}': {problem}")
            if not isinstance(answer, bool):
                return Health("Unknown", f"{name}: the CEL expression '{program.text}' gives no boolean")
            if answer:
                return Health(status, _message(manifest, f"health check expression {name} holds"))
        return Health("InProgress", _message(manifest, "no health check expression holds yet"))


def _compile(name: str, text: str) -> cel.Program:
    try:
        return cel.compile(text)
    except cel.CELError as problem:
        raise ExpressionError(f"{name}: {problem}") from problem


def _message(manifest: Manifest, fallback: str) -> str:
    """What the object's Ready condition says is of more use to people than which expression held."""
    try:
        said = [condition.text for condition in fields.conditions(manifest) if condition.type == "Ready"]
    except fields.Malformed:
        said = []
    return f"{fallback}: {said[0]}" if said and said[0] else fallback


class HealthChecks:
    """All of an object's healthCheckExprs, over the rules that are built in."""

    def __init__(self, entries: Iterable[HealthCheckExpression] = ()) -> None:
        self._expressions: dict[tuple[str, str], Expressions] = {}
        for index, entry in enumerate(entries):
            where = f"healthCheckExprs[{index}]"
            try:
                expressions = Expressions(
                    entry.api_version,
                    entry.kind or "",
                    current=entry.current,
                    in_progress=entry.in_progress,
                    failed=entry.failed,
                )
            except ExpressionError as problem:
                raise ExpressionError(f"{where}.{problem}") from problem
            key = (expressions.group, expressions.kind)
            if key in self._expressions:
                of = f"{key[1] or 'all kinds'} of {key[0] or 'the core group'}"
                raise ExpressionError(f"{where}: duplicate custom health check for {of}")
            self._expressions[key] = expressions

    def find(self, manifest: Manifest) -> Expressions | None:
        """The expressions for an object: those for its kind, or else those for its group. Jobs keep their own rule."""
        group, kind = fields.group(manifest), fields.text(manifest, "kind")
        if (group, kind) == ("batch", "Job"):
            return None
        return self._expressions.get((group, kind)) or self._expressions.get((group, ""))

    def assess(self, manifest: Manifest, now: datetime | None = None) -> Health:
        """The health of an object, by expressions where there are some for it and by the built-in rules otherwise."""
        expressions = self.find(manifest)
        return expressions.assess(manifest) if expressions else kinds.assess(manifest, now)
