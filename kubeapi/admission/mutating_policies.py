"""MutatingAdmissionPolicy: change what is written by the apply configuration or JSON patch that an expression makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kubeapi.admission import conditions
from kubeapi.admission.attributes import Attributes
from kubeapi.admission.conditions import Condition, Variables
from kubeapi.admission.policies import Compiled, Invocation, Source, Unusable
from kubeapi.admission.webhooks import Reinvocation
from kubeapi.errors import Cause, StatusError, not_implemented
from kubeapi.expressions import compiled, objects
from kubeapi.expressions.compiled import Unfit
from kubeapi.fields.patches import DoesNotApply
from kubeapi.seam import fields, validation

if TYPE_CHECKING:
    from kubeapi.authorization import Authorizer
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]


class _Policy(Compiled):
    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        spec = manifest["spec"]
        self.again = spec.get("reinvocationPolicy") == "IfNeeded"
        self.mutations = list(_mutations(spec.get("mutations") or (), self.known))


def _mutations(declared: Any, known: tuple[str, ...]) -> Iterator[tuple[str, Condition]]:
    """The patch types and the expressions that make the patches."""
    for one in declared:
        type_ = one.get("patchType") or ""
        key, results = (
            ("jsonPatch", compiled.LISTS) if type_ == "JSONPatch" else ("applyConfiguration", compiled.OBJECTS)
        )
        expression = ((one.get(key) or {}).get("expression") or "").strip()
        yield type_, Condition(expression, known, results, objects.as_maps(expression))


class MutatingPolicies:
    """Lets the policies of a cluster change what is written."""

    def __init__(self, cluster: Cluster, authorizer: Authorizer) -> None:
        self._cluster = cluster
        self._authorizer = authorizer
        self._source = Source(cluster, "mutatingadmissionpolicies", "mutatingadmissionpolicybindings", _Policy)

    def __bool__(self) -> bool:
        return bool(self._source)

    def change(self, attributes: Attributes, manifest: Manifest, again: Reinvocation, round: int = 0) -> bool:
        """Change a write's object in place; whether a policy was there to. StatusError when one fails.

        round: 0, or 1 for those that have been asked and want to see what came after.
        """
        problems: list[tuple[str, str]] = []
        ran = False
        with conditions.evaluating(self._authorizer):
            for found in self._source.concerning(attributes):
                if isinstance(found, Unusable):
                    if found.policy["spec"].get("failurePolicy") != "Ignore":
                        problems.append((_told(found.policy, found.binding, found.problem), ""))
                    continue
                policy = found.policy
                key = f"{policy.name}/{found.binding['metadata']['name']}/{_named(found.params)}"
                if round and key not in again.due:
                    continue
                try:
                    ran = self._run(found, attributes, manifest) or ran
                except Unfit as error:
                    if not policy.ignores:
                        problems.append((_told(policy.manifest, found.binding, str(error)), "Invalid"))
                if policy.again:
                    again.asked.add(key)
        if problems:
            raise _refusal(attributes, problems)
        if ran:
            again.require()
        return ran

    def _run(self, found: Invocation[_Policy], asked: Attributes, manifest: Manifest) -> bool:
        """Ask one policy for its patches and apply them. Unfit when one can't be made or doesn't fit."""
        policy = found.policy
        shown = asked.in_version(found.attributes.resource)
        early = conditions.bindings(self._cluster, shown, asked, found.params, namespace=False)
        if not conditions.all_hold(policy.preconditions, early):
            return False
        for type_, expression in policy.mutations:
            shown = asked.in_version(found.attributes.resource)
            seen = conditions.bindings(self._cluster, shown, asked, found.params, namespace=True)
            patch = Variables(policy.variables, seen).value(expression)
            self._apply(type_, patch, shown, asked, manifest)
        return bool(policy.mutations)

    def _apply(self, type_: str, patch: Any, shown: Attributes, asked: Attributes, manifest: Manifest) -> None:
        if asked.subresource == "scale":
            raise not_implemented("what a mutating policy changes of a Scale")
        assert shown.object is not None
        resource = shown.resource
        try:
            if type_ == "JSONPatch":
                changed = fields.json_patch(shown.object, patch)
            else:
                applied = {**patch, "apiVersion": resource.api_version, "kind": resource.kind}
                changed = fields.merged(shown.object, applied, resource.schema)
            if not isinstance(changed, dict) or not isinstance(changed.get("metadata"), dict):
                raise DoesNotApply("the patch leaves no object")
            if resource.api_version != asked.resource.api_version:
                changed = shown.converted(changed, asked.resource)
            changed, _ = validation.read(asked.resource, changed)
        except DoesNotApply as error:
            if error.problem.startswith("testing value"):
                return  # a test that fails leaves the object alone
            raise Unfit(f"JSON Patch: {error.problem}") from None
        except fields.Invalid as error:
            raise Unfit(f"error applying patch: {error.message}") from None
        manifest.clear()
        manifest.update(changed)


def _named(params: Manifest | None) -> str:
    metadata = (params or {}).get("metadata") or {}
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def _told(policy: Manifest, binding: Manifest | None, problem: str) -> str:
    name = policy["metadata"]["name"]
    if binding is None:
        return f'policy "{name}" denied request: {problem}'
    return f"policy '{name}' with binding '{binding['metadata']['name']}' denied request: {problem}"


def _refusal(attributes: Attributes, problems: list[tuple[str, str]]) -> StatusError:
    error = attributes.forbidden("")
    error.message, reason = problems[0]
    error.reason = reason or error.reason
    error.causes = tuple(Cause("", told, "") for told, _ in problems)
    return error
