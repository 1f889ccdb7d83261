"""Does this request concern a policy or a webhook? Rules, selectors, and versions that are equivalent.

Pure but for reading namespaces: nothing here is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kubeapi import selectors
from kubeapi.admission.attributes import NAMESPACES, Attributes, labels_of
from kubeapi.errors import not_found
from kubeapi.resources import Resource

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Rule = Mapping[str, Any]


def matched(
    cluster: Cluster,
    wanted: Mapping[str, Any],
    attributes: Attributes,
    *,
    rules: Sequence[Rule] | None,
    excluded: Sequence[Rule] = (),
) -> Resource | None:
    """The resource by which the request concerns whoever wants it so, which may be another version than the client's;
    None when it doesn't. wanted: namespaceSelector, objectSelector and matchPolicy; rules None: all resources.

    404 when the namespace isn't there whose labels decide.
    """
    if not _object_matches(wanted.get("objectSelector"), attributes):
        return None
    equivalent = wanted.get("matchPolicy", "Equivalent") == "Equivalent"
    if excluded and _by_rules(cluster, excluded, attributes, equivalent) is not None:
        return None
    found = attributes.resource if rules is None else _by_rules(cluster, rules, attributes, equivalent)
    if found is None or not _namespace_matches(cluster, wanted.get("namespaceSelector"), attributes):
        return None
    return found


def _object_matches(selector: Mapping[str, Any] | None, attributes: Attributes) -> bool:
    wanted = selectors.of_label_selector(selector)
    if not wanted:
        return True
    return any(
        selectors.all_match(wanted, labels_of(one)) for one in (attributes.object, attributes.old) if one is not None
    )


def _namespace_matches(cluster: Cluster, selector: Mapping[str, Any] | None, attributes: Attributes) -> bool:
    wanted = selectors.of_label_selector(selector)
    if not wanted or (not attributes.namespace and attributes.resource.storage != NAMESPACES):
        return True
    if attributes.resource.storage == NAMESPACES and not attributes.subresource and attributes.object is not None:
        return selectors.all_match(wanted, labels_of(attributes.object))
    entry = cluster.store.get(NAMESPACES, "", attributes.namespace)
    if entry is None:
        raise not_found("", "namespaces", attributes.namespace)
    return selectors.all_match(wanted, entry.labels)


def _by_rules(cluster: Cluster, rules: Sequence[Rule], attributes: Attributes, equivalent: bool) -> Resource | None:
    own = attributes.resource
    if any(_rule_matches(rule, own, attributes) for rule in rules):
        return own
    if not equivalent:
        return None
    for rule in rules:
        for other in cluster.registry.served():
            if (
                other.storage == own.storage
                and other.api_version != own.api_version
                and _rule_matches(rule, other, attributes)
            ):
                return other
    return None


def _rule_matches(rule: Rule, resource: Resource, attributes: Attributes) -> bool:
    return (
        _scope_matches(rule.get("scope") or "*", attributes)
        and _listed(rule.get("operations"), attributes.operation)
        and _listed(rule.get("apiGroups"), resource.group)
        and _listed(rule.get("apiVersions"), resource.version)
        and any(
            _resource_matches(text, resource.plural, attributes.subresource) for text in rule.get("resources") or ()
        )
        and (not rule.get("resourceNames") or attributes.name in rule["resourceNames"])
    )


def _scope_matches(scope: str, attributes: Attributes) -> bool:
    cluster_wide = attributes.resource.storage == NAMESPACES or not attributes.namespace
    return scope == "*" or (scope == "Cluster") is cluster_wide


def _listed(values: Sequence[str] | None, value: str) -> bool:
    return "*" in (values or ()) or value in (values or ())


def _resource_matches(text: str, plural: str, subresource: str) -> bool:
    name, _, sub = text.partition("/")
    return name in ("*", plural) and sub in ("*", subresource)
