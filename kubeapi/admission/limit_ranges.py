"""LimitRanges: what containers ask for when they say nothing, and how much or little they and claims may ask for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from kubeapi.admission import amounts
from kubeapi.admission.amounts import Amount, Amounts
from kubeapi.errors import forbidden, shown_name
from kubeapi.resources import Resource
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

STORAGE = ("", "limitranges")
PODS = ("", "pods")
CLAIMS = ("", "persistentvolumeclaims")
_ANNOTATION = "kubernetes.io/limit-ranger"


class LimitRanges:
    """Applies the limit ranges of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def default(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        """Fill in what a new pod's containers don't say."""
        if resource.storage != PODS or old is not None or options.subresource:
            return
        for limits in self._limits(manifest):
            _fill(manifest, limits)

    def judge(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        """403 for what asks for too much or too little."""
        new = old is None and not options.subresource
        resized = resource.storage == PODS and options.subresource == "resize"
        changed = resource.storage == CLAIMS and not options.subresource
        if resource.storage not in (PODS, CLAIMS) or not (new or resized or changed):
            return
        if old is not None and "deletionTimestamp" in old["metadata"]:
            return
        for limits in self._limits(manifest):
            found = _pod_problems(manifest, limits) if resource.storage == PODS else _claim_problems(manifest, limits)
            problems = list(dict.fromkeys(found))
            if problems:
                told = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
                raise forbidden(resource.group, resource.plural, shown_name(manifest["metadata"]), told)

    def _limits(self, manifest: Manifest) -> Iterator[list[Manifest]]:
        for entry in self._cluster.store.entries(STORAGE, manifest["metadata"].get("namespace", "")):
            yield (entry.manifest().get("spec") or {}).get("limits") or []


def _fill(pod: Manifest, limits: list[Manifest]) -> None:
    defaults: dict[str, Mapping[str, str]] = {"limits": {}, "requests": {}}
    for one in limits:
        if one.get("type") == "Container":
            defaults["limits"] = {**defaults["limits"], **(one.get("default") or {})}
            defaults["requests"] = {**defaults["requests"], **(one.get("defaultRequest") or {})}
    told: list[str] = []
    for kind, container in amounts.containers(pod.get("spec") or {}):
        for key, word in (("requests", "request"), ("limits", "limit")):
            given = container.setdefault("resources", {}).get(key) or {}  # type: ignore[attr-defined]  # ours to change
            missing = {name: value for name, value in defaults[key].items() if name not in given}
            if missing:
                container["resources"][key] = {**given, **missing}
                told.append(f"{', '.join(sorted(missing))} {word} for {kind} {container.get('name')}")
    if told:
        metadata = pod["metadata"]
        said = f"LimitRanger plugin set: {'; '.join(told)}"
        metadata["annotations"] = {**(metadata.get("annotations") or {}), _ANNOTATION: said}


# -- what is too much or too little, in the words of an API server


def _pod_problems(pod: Manifest, limits: list[Manifest]) -> Iterator[str]:
    spec = pod.get("spec") or {}
    for one in limits:
        if one.get("type") == "Container":
            for _, container in amounts.containers(spec):
                resources = container.get("resources") or {}
                yield from _problems(
                    one, amounts.read(resources.get("requests")), amounts.read(resources.get("limits"))
                )
        elif one.get("type") == "Pod":
            yield from _problems(one, amounts.of_pod(spec, "requests"), amounts.of_pod(spec, "limits"))


def _claim_problems(claim: Manifest, limits: list[Manifest]) -> Iterator[str]:
    asked = amounts.read(((claim.get("spec") or {}).get("resources") or {}).get("requests"))
    for one in limits:
        if one.get("type") != "PersistentVolumeClaim":
            continue
        for name, least in sorted(amounts.read(one.get("min")).items()):
            yield from _too_little("PersistentVolumeClaim", name, least, asked.get(name), None)
        for name, most in sorted(amounts.read(one.get("max")).items()):
            said = f"maximum {name} usage per PersistentVolumeClaim is {most}"
            request = asked.get(name)
            if request is None:
                yield f"{said}.  No request is specified"
            elif request.value > most.value:
                yield f"{said}, but request is {request}"


def _problems(one: Manifest, requests: Amounts, limits: Amounts) -> Iterator[str]:
    kind = str(one.get("type"))
    for name, least in sorted(amounts.read(one.get("min")).items()):
        yield from _too_little(kind, name, least, requests.get(name), limits.get(name))
    for name, most in sorted(amounts.read(one.get("max")).items()):
        yield from _too_much(kind, name, most, requests.get(name), limits.get(name))
    for name, ratio in sorted(amounts.read(one.get("maxLimitRequestRatio")).items()):
        yield from _too_far(kind, name, ratio, requests.get(name), limits.get(name))


def _too_little(kind: str, name: str, least: Amount, request: Amount | None, limit: Amount | None) -> Iterator[str]:
    said = f"minimum {name} usage per {kind} is {least}"
    if request is None:
        yield f"{said}.  No request is specified"
    elif request.value < least.value:
        yield f"{said}, but request is {request}"
    elif limit is not None and limit.value < least.value:
        yield f"{said}, but limit is {limit}"


def _too_much(kind: str, name: str, most: Amount, request: Amount | None, limit: Amount | None) -> Iterator[str]:
    said = f"maximum {name} usage per {kind} is {most}"
    if limit is None:
        yield f"{said}.  No limit is specified"
    elif limit.value > most.value:
        yield f"{said}, but limit is {limit}"
    elif request is not None and request.value > most.value:
        yield f"{said}, but request is {request}"


def _too_far(kind: str, name: str, most: Amount, request: Amount | None, limit: Amount | None) -> Iterator[str]:
    said = f"{name} max limit to request ratio per {kind} is {most}"
    if request is None or not request.value:
        yield f"{said}, but no request is specified or request is 0"
    elif limit is None or not limit.value:
        yield f"{said}, but no limit is specified or limit is 0"
    elif _milli(limit) / _milli(request) > most.value:
        yield f"{said}, but provided ratio is {float(_milli(limit) / _milli(request)):f}"


def _milli(amount: Amount) -> Fraction:
    return Fraction(math.ceil(amount.value * 1000))
