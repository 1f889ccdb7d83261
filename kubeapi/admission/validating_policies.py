"""ValidatingAdmissionPolicy: refuse, or warn of, what an expression says is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeapi.admission import conditions
from kubeapi.admission.attributes import Attributes
from kubeapi.admission.conditions import Condition, Variables
from kubeapi.admission.policies import Source, Unusable
from kubeapi.errors import Cause, StatusError
from kubeapi.expressions.compiled import Unfit, names

if TYPE_CHECKING:
    from kubeapi.authorization import Authorizer
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

_MESSAGE_LIMIT = 5 * 1024
"""Bytes of a message that an expression makes, at most."""
_CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413}


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a policy says no."""

    message: str
    reason: str = ""
    always: bool = False
    """Whether the write is refused whatever the binding's actions are."""


class _Validation:
    """One of a policy's validations."""

    def __init__(self, declared: Manifest, params: bool) -> None:
        everything = names(params=params, variables=True)
        self.condition = Condition(declared.get("expression") or "", everything, ("bool",))
        expression = declared.get("messageExpression")
        telling = names(params=params, variables=True, authorizer=False)
        self._message = Condition(expression, telling, ("string",)) if expression else None
        given = (declared.get("message") or "").strip()
        self._fallback = given or f"failed expression: {self.condition.text.strip()}"
        self.reason = declared.get("reason") or "Invalid"

    def message(self, variables: Variables) -> str:
        if self._message is None:
            return self._fallback
        try:
            found = variables.value(self._message)
        except Unfit:
            return self._fallback
        text = found.strip() if isinstance(found, str) else ""
        return text if text and "\n" not in text and len(text.encode()) <= _MESSAGE_LIMIT else self._fallback


class _Policy:
    """A policy, compiled as far as it has been asked."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        spec = manifest["spec"]
        params = bool(spec.get("paramKind"))
        first = names(params=params, variables=False)
        everything = names(params=params, variables=True)
        self.ignores = spec.get("failurePolicy") == "Ignore"
        self.preconditions = conditions.conditions_of(spec.get("matchConditions") or (), first)
        self.variables = {
            one["name"]: Condition(one.get("expression") or "", everything) for one in spec.get("variables") or ()
        }
        self.validations = [_Validation(one, params) for one in spec.get("validations") or ()]
        self.annotations = [
            Condition((one.get("valueExpression") or "").strip(), everything)
            for one in spec.get("auditAnnotations") or ()
        ]

    def judge(
        self, cluster: Cluster, shown: Attributes, asked: Attributes, params: Manifest | None
    ) -> Iterator[Denial]:
        """What the policy has against a request; what it can't say counts by its failurePolicy."""
        early = conditions.bindings(cluster, shown, asked, params, namespace=False)
        try:
            if not conditions.all_hold(self.preconditions, early):
                return
        except Unfit as error:
            if not self.ignores:
                yield Denial(str(error))
            return
        variables = Variables(self.variables, conditions.bindings(cluster, shown, asked, params, namespace=True))
        for one in self.validations:
            try:
                if variables.value(one.condition) is True:
                    continue
                yield Denial(one.message(variables), one.reason)
            except Unfit as error:
                if not self.ignores:
                    yield Denial(str(error))
        # Nothing here keeps an audit log, but an annotation that can't be made refuses the write.
        for condition in () if self.ignores else self.annotations:
            try:
                variables.value(condition)
            except Unfit as error:
                yield Denial(str(error), always=True)


class ValidatingPolicies:
    """Asks the policies of a cluster."""

    def __init__(self, cluster: Cluster, authorizer: Authorizer) -> None:
        self._cluster = cluster
        self._authorizer = authorizer
        self._source = Source(cluster, "validatingadmissionpolicies", "validatingadmissionpolicybindings", _Policy)

    def __bool__(self) -> bool:
        return bool(self._source)

    def judge(self, attributes: Attributes, warnings: list[str]) -> None:
        """Warn of a write, or refuse it with the first reason (StatusError)."""
        refusals: list[StatusError] = []
        with conditions.evaluating(self._authorizer):
            for found in self._source.concerning(attributes):
                if isinstance(found, Unusable):
                    if found.policy["spec"].get("failurePolicy") != "Ignore":
                        refusals.append(_refusal(attributes, found.policy, found.binding, Denial(found.problem)))
                    continue
                policy, binding = found.policy, found.binding
                actions = binding["spec"].get("validationActions") or ()
                for denial in policy.judge(self._cluster, found.attributes, attributes, found.params):
                    if "Deny" in actions or denial.always:
                        refusals.append(_refusal(attributes, policy.manifest, binding, denial))
                    if "Warn" in actions:
                        warnings.append(
                            f"Validation failed for ValidatingAdmissionPolicy '{policy.manifest['metadata']['name']}' "
                            f"with binding '{binding['metadata']['name']}': {denial.message}"
                        )
        if refusals:
            raise refusals[0]


def _refusal(attributes: Attributes, policy: Manifest, binding: Manifest | None, denial: Denial) -> StatusError:
    bound = f" with binding '{binding['metadata']['name']}'" if binding is not None else ""
    message = f"ValidatingAdmissionPolicy '{policy['metadata']['name']}'{bound} denied request: {denial.message}"
    error = attributes.forbidden(message)
    error.reason = denial.reason or "Invalid"
    error.code = _CODES.get(error.reason, 422)
    error.causes = (Cause("", message, ""),)
    return error
