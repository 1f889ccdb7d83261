"""What validating and mutating policies share: which of them concern a request, through which binding, with which
parameters.

    definition + binding + parameter → one Invocation each
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kubeapi import selectors
from kubeapi.admission import conditions, matching
from kubeapi.admission.attributes import Attributes
from kubeapi.admission.conditions import Condition
from kubeapi.errors import StatusError
from kubeapi.expressions.compiled import names
from kubeapi.store import Change, Storage

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]
GROUP = "admissionregistration.k8s.io"
Policy = TypeVar("Policy")


class Misconfigured(Exception):
    """A binding that can't be used for this request."""


@dataclass(slots=True)
class Invocation(Generic[Policy]):
    """One policy to be asked about one request."""

    policy: Policy
    binding: Manifest
    attributes: Attributes
    """The request in the version that the policy is about."""
    params: Manifest | None


@dataclass(slots=True)
class Unusable:
    """A policy or binding that concerns a request and can't be asked."""

    policy: Manifest
    binding: Manifest | None
    problem: str


class Compiled:
    """What every policy has, compiled as far as it has been asked."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.name: str = manifest["metadata"]["name"]
        spec = manifest["spec"]
        self.takes_params = bool(spec.get("paramKind"))
        first = names(params=self.takes_params, variables=False)
        self.known = names(params=self.takes_params, variables=True)
        """What its expressions may name, but for those of its matchConditions."""
        self.ignores = spec.get("failurePolicy") == "Ignore"
        self.preconditions = conditions.conditions_of(spec.get("matchConditions") or (), first)
        self.variables = {
            one["name"]: Condition(one.get("expression") or "", self.known) for one in spec.get("variables") or ()
        }


class Source(Generic[Policy]):
    """The policies of one kind with their bindings, read again when one of them changes."""

    def __init__(self, cluster: Cluster, policies: str, bindings: str, compiled: Callable[[Manifest], Policy]) -> None:
        self.cluster = cluster
        self._storages: tuple[Storage, Storage] = ((GROUP, policies), (GROUP, bindings))
        self._compiled = compiled
        self._found: list[tuple[Manifest, Policy, list[Manifest]]] | None = None
        for storage in self._storages:
            cluster.store.listen(self._changed, storage)

    def _changed(self, change: Change) -> None:
        self._found = None

    def _all(self) -> list[tuple[Manifest, Policy, list[Manifest]]]:
        if self._found is None:
            store = self.cluster.store
            bound: dict[str, list[Manifest]] = {}
            for entry in store.entries(self._storages[1]):
                binding = entry.manifest()
                bound.setdefault((binding.get("spec") or {}).get("policyName", ""), []).append(binding)
            policies = [entry.manifest() for entry in store.entries(self._storages[0]) if entry.name in bound]
            self._found = [(one, self._compiled(one), bound[one["metadata"]["name"]]) for one in policies]
        return self._found

    def __bool__(self) -> bool:
        return bool(self._all())

    def concerning(self, attributes: Attributes) -> Iterator[Invocation[Policy] | Unusable]:
        """What is to be asked about a request, in the order of the policies' names."""
        for manifest, policy, bindings in self._all():
            spec = manifest["spec"]
            constraints = spec.get("matchConstraints") or {}
            try:
                found = _matched(self.cluster, constraints, attributes)
            except StatusError as error:
                yield Unusable(manifest, None, f"failed to configure policy: {error}")
                continue
            if found is None:
                continue
            shown = attributes.in_version(found)
            for binding in bindings:
                bound = binding["spec"]
                try:
                    within = bound.get("matchResources")
                    if within is not None and _matched(self.cluster, within, attributes) is None:
                        continue
                    params = list(_params(self.cluster, spec.get("paramKind"), bound.get("paramRef"), attributes))
                except (Misconfigured, StatusError) as error:
                    yield Unusable(manifest, binding, f"failed to configure binding: {error}")
                    continue
                for one in params:
                    yield Invocation(policy, binding, shown, one)


def _matched(cluster: Cluster, wanted: Mapping[str, Any], attributes: Attributes) -> Any:
    rules, excluded = wanted.get("resourceRules") or None, wanted.get("excludeResourceRules") or ()
    return matching.matched(cluster, wanted, attributes, rules=rules, excluded=excluded)


def _params(
    cluster: Cluster, kind: Mapping[str, str] | None, reference: Mapping[str, Any] | None, attributes: Attributes
) -> Iterator[Manifest | None]:
    """The objects that parametrise a binding; one None when it has none."""
    if kind is None or reference is None:
        yield None
        return
    resource = cluster.registry.of_kind(kind.get("apiVersion", ""), kind.get("kind", ""))
    if resource is None:
        shown = f"&ParamKind{{APIVersion:{kind.get('apiVersion', '')},Kind:{kind.get('kind', '')},}}"
        raise Misconfigured(f"paramKind kind `{shown}` not known")
    namespace = ""
    if resource.namespaced:
        namespace = reference.get("namespace") or attributes.namespace
        if not namespace:
            raise Misconfigured(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            )
    elif reference.get("namespace"):
        raise Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    if reference.get("name"):
        live = cluster.live(resource, namespace, reference["name"])
        found = [] if live is None else [live]
    else:
        wanted = selectors.of_label_selector(reference.get("selector")) or ()
        entries = cluster.store.entries(resource.storage, namespace)
        found = [cluster.manifest(resource, one) for one in entries if selectors.all_match(wanted, one.labels)]
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
    yield from found
