"""MutatingAdmissionPolicies change what is written, and say why they can't, as on a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from kubeapi.expressions.objects import as_maps
from tests.kubeapi.admission_kit import Manifest, Target, config_map, container, deployment, of

ADMISSION = "admissionregistration.k8s.io/v1"
RULE = {
    "apiGroups": ["", "apps"],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["configmaps", "deployments"],
}
NOTHING = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}


def applying(expression: str) -> Manifest:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patching(expression: str) -> Manifest:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def policy(target: Target, *mutations: Manifest, name: str = "rules", **spec: Any) -> Manifest:
    here = {"matchLabels": {"kubernetes.io/metadata.name": target.default}}
    constraints = {"resourceRules": [RULE], "namespaceSelector": here}
    base = {"reinvocationPolicy": "Never", "matchConstraints": constraints, "mutations": list(mutations)}
    return of(ADMISSION, "MutatingAdmissionPolicy", f"{target.default}-{name}", spec={**base, **spec})


def in_force(target: Target, *mutations: Manifest, name: str = "rules", **spec: Any) -> str:
    """A policy with its binding, once it acts: a last mutation marks the ConfigMap that is tried until then."""
    mark = patching(
        "object.metadata.name == 'probe' ? "
        f'[JSONPatch{{op: "add", path: "/metadata/finalizers", value: ["example.com/{name}"]}}] : []'
    )
    made = policy(target, *mutations, mark, name=name, **spec)
    bound = of(ADMISSION, "MutatingAdmissionPolicyBinding", made["metadata"]["name"])
    bound["spec"] = {"policyName": made["metadata"]["name"]}
    target.have(made, bound)
    target.eventually(
        lambda: target.create(config_map("probe"), "?dryRun=All"),
        lambda reply: reply.body["metadata"].get("finalizers") == [f"example.com/{name}"],
    )
    return str(made["metadata"]["name"])


def test_an_apply_configuration_is_merged_into_what_is_written(target: Target) -> None:
    team = target.namespace()
    in_force(
        team,
        applying(
            'Object{metadata: Object.metadata{labels: {"team": namespaceObject.metadata.name}, '
            "annotations: {'name': object.metadata.name}}}"
        ),
    )
    made = team.create(config_map("a", labels={"own": "x"})).body["metadata"]
    assert made["labels"] == {"own": "x", "team": team.default}
    assert made["annotations"] == {"name": "a"}
    changed = team.patch(config_map("a"), {"metadata": {"labels": None}}).body["metadata"]
    assert changed["labels"] == {"team": team.default}


def test_a_container_is_added_beside_the_others_and_gets_its_defaults(target: Target) -> None:
    team = target.namespace()
    path = "Object.spec.template.spec"
    sidecar = f'{path}.containers{{name: "sidecar", image: "example.com/sidecar:1"}}'
    spec = f"Object.spec{{template: Object.spec.template{{spec: {path}{{containers: [{sidecar}]}}}}}}"
    only = [{"name": "deployments", "expression": "request.resource.resource == 'deployments'"}]
    in_force(team, applying("Object{metadata: Object.metadata{labels: {'seen': 'yes'}}}"), name="labels")
    made = policy(team, applying(f"Object{{spec: {spec}}}"), name="sidecar", matchConditions=only)
    bound = of(ADMISSION, "MutatingAdmissionPolicyBinding", made["metadata"]["name"])
    bound["spec"] = {"policyName": made["metadata"]["name"]}
    team.have(made, bound)
    tried = deployment("web", 0, container("app"))

    def names(reply: Any) -> list[str]:
        return [one["name"] for one in reply.body["spec"]["template"]["spec"]["containers"]]

    reply = team.eventually(
        lambda: team.create(tried, "?dryRun=All"), lambda reply: sorted(names(reply)) == ["app", "sidecar"]
    )
    assert names(reply) == ["app", "sidecar"]
    assert reply.body["spec"]["template"]["spec"]["containers"][1]["imagePullPolicy"] == "IfNotPresent"
    assert reply.body["metadata"]["labels"] == {"seen": "yes"}


def test_json_patches_follow_each_other_and_read_variables(target: Target) -> None:
    team = target.namespace()
    place = '"/metadata/annotations/" + jsonpatch.escapeKey("a/b")'
    in_force(
        team,
        patching('[JSONPatch{op: "add", path: "/metadata/annotations", value: {"a/b": variables.count}}]'),
        patching(f'[JSONPatch{{op: "replace", path: {place}, value: object.metadata.annotations["a/b"] + "!"}}]'),
        patching('[JSONPatch{op: "remove", path: "/data/key"}, JSONPatch{op: "test", path: "/kind", value: "x"}]'),
        variables=[{"name": "count", "expression": "string(size(object.data))"}],
        matchConditions=[{"name": "chosen", "expression": "object.metadata.name in ['chosen', 'probe']"}],
    )
    assert "annotations" not in team.create(config_map("other")).body["metadata"]
    made = team.create(config_map("chosen")).body
    assert made["metadata"]["annotations"] == {"a/b": "1!"}
    assert made["data"] == {"key": "value"}


def test_a_policy_that_fails_refuses_the_write_or_not_as_it_says(target: Target) -> None:
    strict, lax = target.namespace(), target.namespace()
    broken = applying("object.metadata.name == 'probe' ? Object{} : Object{data: object.missing}")
    name = in_force(strict, broken)
    in_force(lax, broken, failurePolicy="Ignore")
    refused = strict.create(config_map("a"))
    expression = broken["applyConfiguration"]["expression"]
    assert (refused.code, refused.reason) == (403, "Invalid")
    assert refused.message == (
        f"policy '{name}' with binding '{name}' denied request: expression '{expression}' resulted in error: "
        "no such key: missing"
    )
    assert lax.create(config_map("a")).code == 201


def test_what_is_replaced_as_a_whole_is_not_mutated(target: Target) -> None:
    team = target.namespace()
    selector = "Object.spec{selector: Object.spec.selector{matchLabels: {'x': 'y'}}}"
    name = in_force(team, applying(f"object.kind == 'Deployment' ? Object{{spec: {selector}}} : Object{{}}"))
    assert team.create(deployment("web", 0)).message == (
        f"policy '{name}' with binding '{name}' denied request: error applying patch: invalid ApplyConfiguration: "
        "may not mutate atomic arrays, maps or structs: .spec.selector"
    )


def test_the_embedded_api_says_that_it_lets_nobody_change_a_scale(target: Target) -> None:
    if target.real:
        pytest.skip("a real server can")
    team = target.namespace()
    rule = {**RULE, "resources": ["deployments/scale", "configmaps"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": team.default}}
    constraints = {"resourceRules": [rule], "namespaceSelector": here}
    in_force(team, applying("Object{metadata: Object.metadata{labels: {'a': 'b'}}}"), matchConstraints=constraints)
    team.have(deployment("web", 0))
    refused = team.patch(deployment("web"), {"spec": {"replicas": 2}}, subresource="scale")
    assert (refused.code, refused.reason) == (501, "NotImplemented")
    assert refused.message.endswith("what a mutating policy changes of a Scale")
    assert team.get(deployment("web")).body["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (
            {"mutations": [applying("1")]},
            'spec.mutations[0].applyConfiguration.expression: Invalid value: "1": must evaluate to Object but got int',
        ),
        (
            {"mutations": [patching("'x'")]},
            "spec.mutations[0].jsonPatch.expression: Invalid value: \"'x'\": must evaluate to list(JSONPatch) but got "
            "string",
        ),
        ({"mutations": []}, "spec.mutations: Required value: mutations must contain at least one item"),
        (
            {"mutations": [{"patchType": "JSONPatch"}]},
            "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
        ),
        (
            {"mutations": [NOTHING], "reinvocationPolicy": "Often"},
            'spec.reinvocationPolicy: Unsupported value: "Often": supported values: "IfNeeded", "Never"',
        ),
        (
            {"mutations": [NOTHING], "matchConstraints": {"resourceRules": [{**RULE, "operations": ["DELETE"]}]}},
            'spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", '
            '"CONNECT", "CREATE", "UPDATE"',
        ),
    ],
)
def test_a_policy_that_cannot_be_used_is_refused(target: Target, spec: Any, problem: str) -> None:
    made = policy(target, name="odd", **spec)
    refused = target.create(made)
    assert refused.code == 422
    named = f'MutatingAdmissionPolicy.admissionregistration.k8s.io "{made["metadata"]["name"]}"'
    assert refused.message == f"{named} is invalid: {problem}"


@pytest.mark.parametrize(
    ("expression", "maps"),
    [
        ("Object{}", "{}"),
        ("Object{a: b ? c : d, e: {f: g}}", '{"a": b ? c : d, "e": {f: g}}'),
        ('Object{a: [Object.a{b: "x{y: 1,"}]}', '{"a": [{"b": "x{y: 1,"}]}'),
        ("JSONPatch{op: 'add', ?value: x}", '{"op": \'add\', ?"value": x}'),
        ("object.Object{a: 1}", "object.Object{a: 1}"),
        ("{'Object': object.a} // Object{a: 1}", "{'Object': object.a} // Object{a: 1}"),
    ],
)
def test_initialisers_are_read_as_maps_and_all_else_as_it_is(expression: str, maps: str) -> None:
    assert as_maps(expression) == maps
