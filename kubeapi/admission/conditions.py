"""The CEL of admission: what its expressions may name, how they are compiled, and what they see of a request.

`variables` are evaluated when an expression names them, each once for a request; one that fails is missing, and so
fails only the expressions that come to read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kubeapi.admission.attributes import Attributes
from kubeapi.authorization import Attributes as Asked
from kubeapi.expressions import access
from kubeapi.expressions.compiled import Unfit, compile
from shared.text import cel

if TYPE_CHECKING:
    from kubeapi.authorization import Authorizer
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

_NAMED = re.compile(r"(?<![\w.])variables\s*\.\s*(?:\?\s*)?([A-Za-z_]\w*)")


class Condition:
    """One expression of a policy or webhook, compiled when it is first asked."""

    __slots__ = ("_known", "_program", "_read", "_results", "reads", "text")

    def __init__(self, text: str, known: Sequence[str], results: Sequence[str] = (), read: str = "") -> None:
        """read: the expression as the library reads it, when it isn't written so."""
        self.text = text
        self._read = read or text
        self.reads = frozenset(_NAMED.findall(text))
        """The variables that it names."""
        self._known = known
        self._results = results
        self._program: cel.Program | None = None

    def value(self, bindings: Mapping[str, Any]) -> Any:
        """What it says. Unfit when it says nothing."""
        if self._program is None:
            try:
                self._program = compile(self._read, self._known, self._results)
            except Unfit as error:
                raise Unfit(f"compilation error: {error}") from None
        try:
            return self._program.evaluate(bindings)
        except cel.CELError as error:
            raise Unfit(f"expression '{self.text}' resulted in error: {error}") from None


class Variables:
    """The composed values of a policy for one request."""

    def __init__(self, declared: Mapping[str, Condition], bindings: Mapping[str, Any]) -> None:
        self._declared = declared
        self._bindings = bindings
        self._found: dict[str, Any] = {}
        self._failed: dict[str, str] = {}

    def value(self, condition: Condition) -> Any:
        """What an expression says with the variables that it names. Unfit when it says nothing."""
        for name in condition.reads:
            self._find(name)
        try:
            return condition.value({**self._bindings, "variables": self._found})
        except Unfit as error:
            for name in condition.reads:
                if name in self._failed and str(error).endswith(f"no such key: {name}"):
                    problem = f'composited variable "{name}" fails to evaluate: {self._failed[name]}'
                    raise Unfit(f"expression '{condition.text}' resulted in error: {problem}") from None
            raise

    def _find(self, name: str) -> None:
        if name in self._found or name in self._failed or name not in self._declared:
            return
        declared = self._declared[name]
        for other in declared.reads - {name}:
            self._find(other)
        try:
            self._found[name] = declared.value({**self._bindings, "variables": self._found})
        except Unfit as error:
            self._failed[name] = str(error).rpartition(" resulted in error: ")[2]


def bindings(
    cluster: Cluster, attributes: Attributes, asked: Attributes, params: Manifest | None, *, namespace: bool
) -> dict[str, Any]:
    """What expressions see. attributes: in the version that the policy is about; asked: as the client sent it."""
    resource = attributes.resource
    target = Asked(
        "", resource.group, resource.version, resource.plural, attributes.subresource, attributes.namespace, asked.name
    )
    authorizer = access.of(attributes.user) | {"requestResource": access.of_resource(attributes.user, target)}
    return {
        "object": attributes.object,
        "oldObject": attributes.old,
        "request": attributes.request(asked),
        "params": params,
        "namespaceObject": _namespace(cluster, attributes) if namespace else None,
        "authorizer": authorizer,
    }


def _namespace(cluster: Cluster, attributes: Attributes) -> Manifest | None:
    if not attributes.namespace or attributes.resource.storage == ("", "namespaces"):
        return None
    entry = cluster.store.get(("", "namespaces"), "", attributes.namespace)
    if entry is None:
        return None
    found = entry.manifest()
    hidden = ("managedFields", "ownerReferences", "selfLink")
    metadata = {key: value for key, value in found["metadata"].items() if key not in hidden}
    return {"metadata": metadata, "spec": found.get("spec") or {}, "status": found.get("status") or {}}


@contextmanager
def evaluating(authorizer: Authorizer) -> Iterator[None]:
    """Within, expressions may ask what users may do."""
    with access.deciding(authorizer.decide):
        yield


def conditions_of(declared: Sequence[Mapping[str, Any]], known: Sequence[str]) -> list[Condition]:
    """The matchConditions of a policy or webhook."""
    return [Condition(str(one.get("expression") or "").strip(), known, ("bool",)) for one in declared]


def all_hold(conditions: Sequence[Condition], seen: Mapping[str, Any]) -> bool:
    """Whether all matchConditions hold: one that doesn't decides. Unfit when none says no and some say nothing."""
    problems: list[str] = []
    for condition in conditions:
        try:
            if condition.value(seen) is False:
                return False
        except Unfit as error:
            problems.append(str(error))
    if problems:
        once = list(dict.fromkeys(problems))
        raise Unfit(once[0] if len(once) == 1 else f"[{', '.join(once)}]")
    return True
