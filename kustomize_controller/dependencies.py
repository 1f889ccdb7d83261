"""Are the Kustomizations that come first Ready, and at the revision we are about to apply?"""

from __future__ import annotations

from collections.abc import Callable

from kustomize_controller.sources import Source, ref
from shared.api import codec
from shared.api.kustomize import Kustomization
from shared.api.meta import format_duration
from shared.api.parts import DependencyReference
from shared.loop.attempt import Attempt
from shared.loop.kinds import Ref
from shared.loop.verdict import Stalled, Waiting
from shared.text import cel

Find = Callable[[Ref], Kustomization | None]


def refs(ks: Kustomization) -> list[Ref]:
    """The Kustomizations that this one depends on."""
    return [_ref(ks, dependency) for dependency in ks.spec.depends_on]


def judged(ks: Kustomization) -> list[Ref]:
    """Those of them whose readiness an expression tells."""
    return [_ref(ks, dependency) for dependency in ks.spec.depends_on if dependency.ready_expr]


async def require_ready(ks: Kustomization, attempt: Attempt[Kustomization], source: Source) -> None:
    """Waits with DependencyNotReady until every dependency is Ready; a broken expression stalls."""
    for dependency in ks.spec.depends_on:
        where = _ref(ks, dependency)
        other = await attempt.read(Kustomization, where.namespace, where.name)
        problem = _problem(ks, dependency, where, other, source, attempt.options.feature_gates)
        if problem is None:
            continue
        cycle = find_cycle(ks, lambda ref: attempt.find(Kustomization, ref.namespace, ref.name))
        if cycle:
            names = " → ".join(f"{ref.namespace}/{ref.name}" for ref in cycle)
            problem += f": they depend on each other in a circle ({names}), remove one of these dependsOn"
        again = format_duration(attempt.options.requeue_dependency)
        raise Waiting(
            "DependencyNotReady", problem, event=f"Dependencies do not meet ready condition, retrying in {again}"
        )


def find_cycle(start: Kustomization, find: Find) -> list[Ref]:
    """The shortest circle of dependencies through `start`, from it to itself; empty when there is none."""
    origin = Ref(start.metadata.namespace, start.metadata.name)
    paths = [[origin]]
    seen: set[Ref] = set()
    while paths:
        path = paths.pop(0)
        current = start if path[-1] == origin else find(path[-1])
        for following in refs(current) if current is not None else ():
            if following == origin:
                return [*path, origin]
            if following not in seen:
                seen.add(following)
                paths.append([*path, following])
    return []


def is_ready(ks: Kustomization) -> bool:
    """Ready, and that is about the spec as it is now."""
    return ks.status.observed_generation == ks.metadata.generation and any(
        condition.type == "Ready" and condition.status == "True" for condition in ks.status.conditions
    )


def became_ready(old: Kustomization | None, new: Kustomization | None) -> bool:
    """Whether a change of a dependency can end the wait of those behind it, or that it is there now."""
    if new is None or old is None:
        return new is not None
    has_moved = old.status.last_applied_revision != new.status.last_applied_revision
    return is_ready(new) and (has_moved or not is_ready(old))


def may_hold_now(_: Kustomization | None, new: Kustomization | None) -> bool:
    """Whether a change of a dependency can end a wait for an expression about it, which may ask for anything."""
    return new is not None


def _ref(ks: Kustomization, dependency: DependencyReference) -> Ref:
    return Ref(dependency.namespace or ks.metadata.namespace, dependency.name)


def _problem(
    ks: Kustomization,
    dependency: DependencyReference,
    where: Ref,
    other: Kustomization | None,
    source: Source,
    gates: dict[str, bool],
) -> str | None:
    """What keeps a dependency from counting as ready; None when nothing does."""
    name = f"{where.namespace}/{where.name}"
    if other is None:
        resource = Kustomization.resource
        return f"dependency '{name}' not found: {resource.plural}.{resource.group} \"{where.name}\" not found"
    if dependency.ready_expr:
        try:
            is_so = _holds(dependency.ready_expr, ks, other)
        except cel.CELError as error:
            return f"dependency '{name}': failed to evaluate the CEL expression '{dependency.ready_expr}': {error}"
        if not is_so:
            return f"dependency '{name}' is not ready according to readyExpr eval"
        if not gates.get("AdditiveCELDependencyCheck"):
            return None
    if not is_ready(other):
        return f"dependency '{name}' is not ready"
    same_source = other.spec.source_ref.kind == source.kind and ref(other) == source.ref
    if same_source and other.status.last_applied_revision != source.artifact.revision:
        return f"dependency '{name}' revision is not up to date"
    return None


def _holds(expression: str, ks: Kustomization, other: Kustomization) -> bool:
    """CELError when it can't be evaluated of these two; one that can't be compiled stalls."""
    try:
        program = cel.compile(expression, variables=("self", "dep"), result="bool")
    except cel.CELError as error:
        raise Stalled(
            "InvalidCELExpression",
            "Reconciliation failed terminally due to configuration error: failed to evaluate dependency"
            f" {other.metadata.name}: readyExpr '{expression}': {error}",
        ) from error
    return program.evaluate({"self": codec.encode(ks), "dep": codec.encode(other)}) is True
