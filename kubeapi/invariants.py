"""What always holds of the conditions of the toolkit's kinds; a status write that breaks it is refused when asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kubeapi import clock
from kubeapi.errors import StatusError
from kubeapi.resources import Resource
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

_GROUPS = (".toolkit.fluxcd.io", ".extensions.fluxcd.io")
_GENERATOR = "ArtifactGenerator"
_SAYS = ("status", "reason", "message")


def watch(cluster: Cluster) -> None:
    """Refuse status writes of toolkit kinds that break an invariant, with 500 and what is wrong."""

    def check(resource: Resource, manifest: Manifest, old: Manifest, options: Options) -> None:
        if not _is_checked(resource, manifest) or manifest.get("status") == old.get("status"):
            return
        problems = broken(manifest) + moved(manifest, old)
        if problems:
            metadata = manifest["metadata"]
            named = f"{resource.kind} {metadata.get('namespace', '')}/{metadata['name']}"
            raise StatusError(
                500,
                "InternalError",
                f"{named}: the status written by {options.user.name} is wrong: {'; '.join(problems)}",
            )

    cluster.admission.on_updated.append(check)


def _is_checked(resource: Resource, manifest: Manifest) -> bool:
    """Is it the toolkit that writes the status? That of an ExternalArtifact may be anybody's."""
    if not resource.group.endswith(_GROUPS):
        return False
    maker = (manifest.get("spec") or {}).get("sourceRef") or {}
    return resource.kind != "ExternalArtifact" or maker.get("kind") == _GENERATOR


def broken(manifest: Mapping[str, Any]) -> list[str]:
    """Which invariants the conditions of an object break."""
    status = manifest.get("status") or {}
    generation = (manifest.get("metadata") or {}).get("generation", 0)
    problems: list[str] = []
    observed = status.get("observedGeneration")
    if isinstance(observed, int) and observed > generation:
        problems.append(f"observedGeneration {observed} is beyond generation {generation}")
    values: dict[str, str] = {}
    for condition in status.get("conditions") or ():
        type_ = str(condition.get("type"))
        if type_ in values:
            problems.append(f"condition {type_} is there more than once")
        values[type_] = str(condition.get("status"))
        problems += [f"condition {type_}: {problem}" for problem in _of_one(condition, generation)]
    if values.get("Stalled") == "True" and values.get("Reconciling") == "True":
        problems.append("Stalled and Reconciling are both True")
    if values.get("Ready") == "True":
        problems += [
            f"Ready and {type_} are both True" for type_ in ("Stalled", "Reconciling") if values.get(type_) == "True"
        ]
    return problems


def moved(manifest: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """Which invariants the step from an old status to a new one breaks."""
    before, after = old.get("status") or {}, manifest.get("status") or {}
    problems: list[str] = []
    seen, now_seen = before.get("observedGeneration"), after.get("observedGeneration")
    if isinstance(seen, int) and isinstance(now_seen, int) and now_seen < seen:
        problems.append(f"observedGeneration goes back from {seen} to {now_seen}")
    known = {condition.get("type"): condition for condition in before.get("conditions") or ()}
    for condition in after.get("conditions") or ():
        was = known.get(condition.get("type"))
        if was is None:
            continue
        then, now = str(was.get("lastTransitionTime")), str(condition.get("lastTransitionTime"))
        if all(condition.get(key) == was.get(key) for key in _SAYS) and then != now:
            problems.append(f"condition {condition['type']} says the same as before, and its lastTransitionTime moves")
        elif now < then:
            problems.append(f"condition {condition['type']}: its lastTransitionTime goes back from {then} to {now}")
    return problems


def _of_one(condition: Mapping[str, Any], generation: int) -> list[str]:
    problems = []
    if condition.get("status") not in ("True", "False", "Unknown"):
        problems.append(f"status is {condition.get('status')!r}")
    if not condition.get("reason"):
        problems.append("it has no reason")
    try:
        clock.parse(str(condition.get("lastTransitionTime")))
    except ValueError:
        problems.append(f"lastTransitionTime {condition.get('lastTransitionTime')!r} is no time")
    observed = condition.get("observedGeneration")
    if isinstance(observed, int) and observed > generation:
        problems.append(f"observedGeneration {observed} is beyond generation {generation}")
    return problems
