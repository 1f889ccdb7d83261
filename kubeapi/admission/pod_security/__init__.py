"""Pod security: a namespace's labels say how careful its pods must be, and what becomes of those that aren't.

pod-security.kubernetes.io/enforce: baseline       refuse pods that break the level
pod-security.kubernetes.io/warn: restricted        warn of pods, and of workloads that would make such
pod-security.kubernetes.io/enforce-version: v1.30  as that release of Kubernetes understands the level
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kubeapi.admission.pod_security import baseline, restricted
from kubeapi.admission.pod_security.found import Violation, containers
from kubeapi.errors import Cause, forbidden, invalid, shown_name
from kubeapi.resources import Resource
from kubeapi.validation import causes
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

_PREFIX = "pod-security.kubernetes.io/"
_LEVELS = ("privileged", "baseline", "restricted")
_VERSION = re.compile(r"v1\.(0|[1-9][0-9]{0,3})")
_LATEST = 10_000
_MOST_PODS = 3000
"""Existing pods that are looked at when a namespace's level changes."""
NAMESPACES, PODS = ("", "namespaces"), ("", "pods")
_TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "podtemplates"): ("template",),
    ("", "replicationcontrollers"): ("spec", "template"),
    ("apps", "daemonsets"): ("spec", "template"),
    ("apps", "deployments"): ("spec", "template"),
    ("apps", "replicasets"): ("spec", "template"),
    ("apps", "statefulsets"): ("spec", "template"),
    ("batch", "cronjobs"): ("spec", "jobTemplate", "spec", "template"),
    ("batch", "jobs"): ("spec", "template"),
}
_IGNORED = frozenset(("attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status"))


@dataclass(frozen=True, slots=True)
class Demand:
    """A level as one release understands it."""

    level: str = "privileged"
    minor: int = _LATEST

    def __str__(self) -> str:
        return f"{self.level}:{'latest' if self.minor == _LATEST else f'v1.{self.minor}'}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What a namespace's labels ask for."""

    enforce: Demand = Demand()
    warn: Demand = Demand()


def policy_of(labels: Mapping[str, str]) -> tuple[Policy, list[Cause]]:
    """The policy and what is wrong with the labels; a level that nobody knows is enforced as restricted."""
    problems: list[Cause] = []
    found: dict[str, Demand] = {}
    for mode in ("enforce", "audit", "warn"):
        level, minor = labels.get(_PREFIX + mode), labels.get(f"{_PREFIX}{mode}-version")
        known = level in _LEVELS
        if level is not None and not known:
            problems.append(_problem(mode, level, f"must be one of {', '.join(_LEVELS)}"))
        match = _VERSION.fullmatch(minor or "")
        if minor not in (None, "latest") and match is None:
            problems.append(_problem(f"{mode}-version", minor, 'must be "latest" or "v1.x"'))
        fallback = "restricted" if mode == "enforce" and level is not None else "privileged"
        found[mode] = Demand(str(level) if known else fallback, int(match[1]) if match else _LATEST)
    enforce, warn = found["enforce"], found["warn"]
    if _PREFIX + "warn" not in labels and labels.get(_PREFIX + "enforce") in _LEVELS[1:]:
        own = f"{_PREFIX}warn-version" in labels
        warn = Demand(enforce.level, warn.minor if own else enforce.minor)
    return Policy(enforce, warn), problems


def _problem(label: str, value: Any, detail: str) -> Cause:
    return causes.invalid(f"metadata.labels[{_PREFIX}{label}]", value, detail)


@lru_cache(maxsize=64)
def _checks(demand: Demand) -> list[Any]:
    """What a level checks, the baseline first, each part in the order of its names."""
    if demand.level == "privileged":
        return []
    parts = [sorted(baseline.checks()), sorted(restricted.checks()) if demand.level == "restricted" else []]
    valid = {
        name: [check for since, check in versions if since <= demand.minor][-1:]
        for part in parts
        for name, versions in part
    }
    replaced = {restricted.OVERRIDES[name] for name in restricted.OVERRIDES if valid.get(name)}
    return [check[0] for name, check in valid.items() if check and name not in replaced]


def violations(demand: Demand, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Violation]:
    """How a pod breaks a level."""
    found = (check(metadata, spec) for check in _checks(demand))
    return [one for one in found if one is not None]


class PodSecurity:
    """Judges pods, workloads and the labels of namespaces."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def judge(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        storage = resource.storage
        if storage == NAMESPACES:
            if not options.subresource:
                self._judge_namespace(manifest, old, options)
        elif storage == PODS and options.subresource not in _IGNORED:
            if old is None or _is_significant(manifest, old):
                self._judge_pod(resource, manifest, manifest, options, enforce=True)
        elif storage in _TEMPLATES and not options.subresource:
            template: Any = manifest
            for key in _TEMPLATES[storage]:
                template = (template or {}).get(key)
            if template:
                self._judge_pod(resource, manifest, template, options, enforce=False)

    def _judge_pod(
        self, resource: Resource, manifest: Manifest, pod: Manifest, options: Options, *, enforce: bool
    ) -> None:
        entry = self._cluster.store.get(NAMESPACES, "", manifest["metadata"].get("namespace", ""))
        if entry is None or not any(key.startswith(_PREFIX) for key in entry.labels):
            return
        policy, _ = policy_of(entry.labels)
        metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
        if enforce:
            found = violations(policy.enforce, metadata, spec)
            if found:
                problem = f'violates PodSecurity "{policy.enforce}": {", ".join(map(str, found))}'
                raise forbidden(resource.group, resource.plural, shown_name(manifest["metadata"]), problem)
        found = violations(policy.warn, metadata, spec)
        if found:
            options.warnings.append(f'would violate PodSecurity "{policy.warn}": {", ".join(map(str, found))}')

    def _judge_namespace(self, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        metadata = manifest["metadata"]
        policy, problems = policy_of(metadata.get("labels") or {})
        before, known = policy_of((old or {"metadata": {}})["metadata"].get("labels") or {})
        if problems and (old is None or problems != known):
            raise invalid("", "Namespace", metadata.get("name", ""), problems)
        now, was = policy.enforce, before.enforce
        if old is None or now == was or now.level == "privileged":
            return
        if now.minor == was.minor and _LEVELS.index(now.level) <= _LEVELS.index(was.level):
            return
        options.warnings.extend(self._about_existing(metadata["name"], now))

    def _about_existing(self, namespace: str, demand: Demand) -> Iterator[str]:
        entries = self._cluster.store.entries(PODS, namespace)
        if len(entries) > _MOST_PODS:
            yield (
                f"new PodSecurity enforce level only checked against the first {_MOST_PODS} of {len(entries)} "
                "existing pods"
            )
        names: dict[str, list[str]] = {}
        for entry in entries[:_MOST_PODS]:
            pod = entry.manifest()
            found = violations(demand, pod["metadata"], pod.get("spec") or {})
            if found:
                names.setdefault(", ".join(one.reason for one in found), []).append(entry.name)
        if names:
            yield f'existing pods in namespace "{namespace}" violate the new PodSecurity enforce level "{demand}"'
        yield from sorted(f"{min(those)}{_others(len(those) - 1)}: {reason}" for reason, those in names.items())


def _others(count: int) -> str:
    return f" (and {count} other pod{'' if count == 1 else 's'})" if count else ""


def _is_significant(pod: Manifest, old: Manifest) -> bool:
    """Whether an update of a pod changes what runs in it."""
    return _images(pod) != _images(old)


def _images(pod: Manifest) -> list[tuple[Any, Any]]:
    return [(one.get("name"), one.get("image")) for one in containers(pod.get("spec") or {})]
