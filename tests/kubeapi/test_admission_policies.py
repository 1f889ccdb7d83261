"""ValidatingAdmissionPolicies refuse and warn, in the words of a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kubeapi.admission_kit import Manifest, Target, config_map, deployment, of, pod

ADMISSION = "admissionregistration.k8s.io/v1"
CONFIG_MAPS = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE", "DELETE"],
    "resources": ["configmaps"],
}


def policy(target: Target, *validations: Any, name: str = "rules", rule: Any = None, **spec: Any) -> Manifest:
    """A policy about the ConfigMaps of the target's namespace."""
    here = {"matchLabels": {"kubernetes.io/metadata.name": target.default}}
    constraints = {"resourceRules": [rule or CONFIG_MAPS], "namespaceSelector": here}
    spec = {"matchConstraints": constraints, "validations": list(validations), **spec}
    return of(ADMISSION, "ValidatingAdmissionPolicy", f"{target.default}-{name}", spec=spec)


def binding(bound: Manifest, *actions: str, name: str = "", **spec: Any) -> Manifest:
    policy_name = bound["metadata"]["name"]
    spec = {"policyName": policy_name, "validationActions": list(actions or ("Deny",)), **spec}
    return of(ADMISSION, "ValidatingAdmissionPolicyBinding", name or policy_name, spec=spec)


def in_force(target: Target, *validations: Any, actions: tuple[str, ...] = ("Deny",), **spec: Any) -> Manifest:
    """A policy and its binding, once they act: a last validation refuses the ConfigMap that is tried until then."""
    probe = {"expression": "request.name != 'probe'", "message": "in force", "reason": "Forbidden"}
    made = policy(target, *validations, probe, **spec)
    target.have(made, binding(made, *actions))

    def acts(reply: Any) -> bool:
        return "in force" in reply.message or any("in force" in text for text in reply.warnings)

    target.eventually(lambda: target.create(config_map("probe"), "?dryRun=All"), acts)
    return made


def refusal(target: Target, name: str, message: str, policy: str = "rules") -> str:
    full = f"{target.default}-{policy}"
    return (
        f"configmaps \"{name}\" is forbidden: ValidatingAdmissionPolicy '{full}' with binding '{full}' "
        f"denied request: {message}"
    )


def test_a_policy_refuses_with_its_message_reason_and_code(target: Target) -> None:
    team = target.namespace()
    in_force(
        team,
        {"expression": "!('secret' in object.data)", "message": "no secrets here", "reason": "Forbidden"},
        {"expression": "!('plain' in object.data)"},
        {
            "expression": "!('large' in object.data)",
            "messageExpression": "object.metadata.name + ' is too large for ' + namespaceObject.metadata.name",
            "reason": "RequestEntityTooLarge",
        },
    )
    refused = team.create(config_map("a", {"secret": "x"}))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert refused.message == refusal(team, "a", "no secrets here")
    assert refused.body["details"] == {
        "name": "a",
        "kind": "configmaps",
        "causes": [{"message": refused.message.partition("forbidden: ")[2]}],
    }
    refused = team.create(config_map("a", {"plain": "x"}))
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert refused.message == refusal(team, "a", "failed expression: !('plain' in object.data)")
    refused = team.create(config_map("a", {"large": "x"}))
    assert (refused.code, refused.reason) == (413, "RequestEntityTooLarge")
    assert refused.message == refusal(team, "a", f"a is too large for {team.default}")
    assert team.get(config_map("a")).code == 404
    assert team.create(config_map("a")).code == 201


def test_a_policy_compares_with_the_object_before_and_judges_every_kind_of_write(target: Target) -> None:
    team = target.namespace()
    in_force(
        team,
        {"expression": "request.operation != 'UPDATE' || object.data == oldObject.data", "message": "data stays"},
        {"expression": "request.operation != 'DELETE' || !('keep' in oldObject.metadata.labels)", "message": "kept"},
    )
    kept = config_map("a", labels={"keep": "yes"})
    team.have(kept, config_map("b", labels={"other": "x"}))
    changed = config_map("a", {"key": "other"}, labels={"keep": "yes"})
    stays = refusal(team, "a", "data stays")
    assert team.put(changed).message == stays
    assert team.patch(kept, {"data": {"key": "other"}}).message == stays
    assert team.patch(kept, [{"op": "add", "path": "/data/x", "value": "y"}], "json").message == stays
    assert team.apply(changed, query="&force=true").message == stays
    assert team.patch(kept, {"data": {"key": "other"}}, query="?dryRun=All").message == stays
    assert team.patch(kept, {"metadata": {"annotations": {"a": "b"}}}).code == 200
    assert team.delete(kept).message == refusal(team, "a", "kept")
    collection = team.send("DELETE", f"{team.path(kept, named=False)}?labelSelector=keep=yes")
    assert collection.message == refusal(team, "Unknown", "kept")
    assert team.get(kept).body["data"] == {"key": "value"}
    assert team.delete(config_map("b")).code == 200


def test_a_binding_that_warns_lets_through(target: Target) -> None:
    team = target.namespace()
    made = in_force(
        team, {"expression": "has(object.metadata.labels)", "message": "label it"}, actions=("Warn", "Audit")
    )
    name = made["metadata"]["name"]
    reply = team.create(config_map("a"))
    assert reply.code == 201
    assert reply.warnings == [
        f"Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{name}': label it"
    ]
    assert team.create(config_map("b", labels={"a": "b"})).warnings == []


def test_match_conditions_choose_what_a_policy_judges(target: Target) -> None:
    team = target.namespace()
    in_force(
        team,
        {"expression": "!('x' in object.data)", "message": "no x"},
        matchConditions=[
            {"name": "not-free", "expression": "!object.metadata.name.startsWith('free')"},
            {"name": "odd", "expression": "object.metadata.name != 'odd' || object.data.missing == 'y'"},
        ],
    )
    assert team.create(config_map("free", {"x": "1"})).code == 201
    assert team.create(config_map("bound", {"x": "1"})).message == refusal(team, "bound", "no x")
    problem = (
        "expression 'object.metadata.name != 'odd' || object.data.missing == 'y'' resulted in error: "
        "no such key: missing"
    )
    assert team.create(config_map("odd", {"x": "1"})).message == refusal(team, "odd", problem)


def test_an_expression_without_value_counts_by_the_failure_policy(target: Target) -> None:
    strict, lax = target.namespace(), target.namespace()
    broken = {"expression": "object.metadata.name == 'probe' || object.data.missing == 'y'"}
    in_force(strict, broken)
    in_force(lax, broken, failurePolicy="Ignore")
    problem = f"expression '{broken['expression']}' resulted in error: no such key: missing"
    assert strict.create(config_map("a")).message == refusal(strict, "a", problem)
    assert lax.create(config_map("a")).code == 201


def test_variables_are_composed_and_fail_only_where_they_are_read(target: Target) -> None:
    team = target.namespace()
    in_force(
        team,
        {
            "expression": "!('total' in object.data) || variables.total < 10",
            "messageExpression": "string(variables.total)",
        },
        {"expression": "!('broken' in object.data) || variables.broken == 'x'", "message": "unused"},
        variables=[
            {"name": "numbers", "expression": "object.data.map(key, size(object.data[key]))"},
            {"name": "total", "expression": "variables.numbers.sum()"},
            {"name": "broken", "expression": "object.spec.missing"},
        ],
    )
    assert team.create(config_map("a", {"total": "1234"})).code == 201
    assert team.create(config_map("b", {"total": "1234567890"})).message == refusal(team, "b", "10")
    problem = (
        "expression '!('broken' in object.data) || variables.broken == 'x'' resulted in error: "
        'composited variable "broken" fails to evaluate: no such key: spec'
    )
    assert team.create(config_map("c", {"broken": "x"})).message == refusal(team, "c", problem)


def test_parameters_come_from_the_cluster(target: Target) -> None:
    team = target.namespace()
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments", "*/scale"]}
    made = policy(
        team,
        {
            "expression": "object.spec.replicas <= int(params.data.max)",
            "messageExpression": "'at most ' + params.data.max",
        },
        rule=rule,
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
    )
    name = made["metadata"]["name"]
    chosen = {"selector": {"matchLabels": {"limits": "yes"}}, "parameterNotFoundAction": "Deny"}
    team.have(made, binding(made, paramRef=chosen))
    missing = team.eventually(lambda: team.create(deployment("a"), "?dryRun=All"), 422)
    assert missing.message.endswith(
        "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    )
    team.have(config_map("limits", {"max": "3"}, labels={"limits": "yes"}))
    team.eventually(lambda: team.create(deployment("a", 2)), 201)
    said = (
        f"deployments.apps \"a\" is forbidden: ValidatingAdmissionPolicy '{name}' with binding '{name}' "
        "denied request: "
    )
    assert team.patch(deployment("a"), {"spec": {"replicas": 4}}).message == f"{said}at most 3"
    assert team.patch(deployment("a"), {"spec": {"replicas": 4}}, subresource="scale").message == f"{said}at most 3"
    assert team.patch(deployment("a"), {"spec": {"replicas": 3}}, subresource="scale").code == 200


def test_expressions_ask_what_the_user_may_do(target: Target) -> None:
    team = target.namespace()
    token = team.account_token("robot")
    role = of("rbac.authorization.k8s.io/v1", "Role", "writer")
    role["rules"] = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]}]
    bound = of("rbac.authorization.k8s.io/v1", "RoleBinding", "writer")
    bound["roleRef"] = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "writer"}
    bound["subjects"] = [{"kind": "ServiceAccount", "name": "robot"}]
    team.have(role, bound)
    delete = "authorizer.group('apps').resource('deployments').namespace(request.namespace).check('delete').allowed()"
    approve = "authorizer.requestResource.check('approve').allowed()"
    read = "authorizer.path('/metrics').check('get').allowed()"
    robot = "request.userInfo.username.endsWith(':robot')"
    in_force(
        team,
        {"expression": f"!('a' in object.data) || {delete}", "message": "may not delete deployments"},
        {"expression": f"!('b' in object.data) || {approve}", "message": "may not approve"},
        {"expression": f"!('c' in object.data) || {read}", "message": "may not read metrics"},
        {"expression": f"!('d' in object.data) || {robot}", "message": "only robot"},
    )
    may_not = {"a": "may not delete deployments", "b": "may not approve", "c": "may not read metrics"}
    for key, message in may_not.items():
        refused = team.create(config_map(f"robot-{key}", {key: "x"}), token=token)
        assert refused.message == refusal(team, f"robot-{key}", message)
        assert team.create(config_map(f"admin-{key}", {key: "x"})).code == 201
    assert team.create(config_map("d", {"d": "x"}), token=token).code == 201
    assert team.create(config_map("e", {"d": "x"})).message == refusal(team, "e", "only robot")


def test_the_functions_of_kubernetes_are_there(target: Target) -> None:
    team = target.namespace()
    made = policy(
        team,
        {
            "expression": "quantity(object.data.memory).isLessThan(quantity('1Gi')) && "
            "quantity('1.5').add(quantity('500m')).compareTo(quantity('2')) == 0 && !isQuantity('x')",
            "messageExpression": "object.data.memory + ' is too much'",
        },
        {"expression": "cidr('10.0.0.0/8').containsIP(ip(object.data.address)) && ip('::1').isLoopback()"},
        {"expression": "url(object.data.url).getHostname() == 'example.com' && !isURL('x y')"},
        {"expression": "semver('1.10.0').isGreaterThan(semver('1.9.0')) && [3, 1, 2].max() == 3"},
        {"expression": "object.data.address.find('[0-9]+') == '10' && object.data.?none.orValue('x') == 'x'"},
    )
    team.have(made, binding(made))
    good = {"memory": "512Mi", "address": "10.1.2.3", "url": "https://example.com:8443/x"}
    large = config_map("large", {**good, "memory": "2Gi"})
    refused = team.eventually(lambda: team.create(large, "?dryRun=All"), 422)
    assert refused.message == refusal(team, "large", "2Gi is too much")
    assert team.create(config_map("good", good)).code == 201
    assert "containsIP" in team.create(config_map("far", {**good, "address": "11.0.0.1"})).message


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (
            {"validations": [{"expression": "foo.bar"}]},
            'spec.validations[0].expression: Invalid value: "foo.bar": compilation failed: ERROR: <input>:1:1: '
            "undeclared reference to 'foo' (in container '')\n | foo.bar\n | ^",
        ),
        (
            {"validations": [{"expression": "object.ready"}]},
            'spec.validations[0].expression: Invalid value: "object.ready": must evaluate to bool but got dyn',
        ),
        (
            {"validations": [{"expression": "true", "messageExpression": "1"}]},
            'spec.validations[0].messageExpression: Invalid value: "1": must evaluate to string but got int',
        ),
        (
            {"validations": [{"expression": " "}]},
            "spec.validations[0].expression: Required value: expression is not specified",
        ),
        (
            {"validations": [{"expression": "true"}], "matchConstraints": None},
            "spec.matchConstraints: Required value",
        ),
        (
            {"validations": [{"expression": "true"}], "failurePolicy": "Perhaps"},
            'spec.failurePolicy: Unsupported value: "Perhaps": supported values: "Fail", "Ignore"',
        ),
        (
            {"validations": [{"expression": "true"}], "variables": [{"name": "1a", "expression": "1"}]},
            'spec.variables[0].name: Invalid value: "1a": must be a valid CEL identifier',
        ),
    ],
)
def test_a_policy_that_cannot_be_used_is_refused(target: Target, spec: Any, problem: str) -> None:
    made = policy(target, name="odd")
    made["spec"] = {key: value for key, value in {**made["spec"], **spec}.items() if value is not None}
    refused = target.create(made)
    assert refused.code == 422
    named = f'ValidatingAdmissionPolicy.admissionregistration.k8s.io "{made["metadata"]["name"]}"'
    assert refused.message == f"{named} is invalid: {problem}"


def test_a_binding_that_cannot_be_used_is_refused(target: Target) -> None:
    refused = target.create(of(ADMISSION, "ValidatingAdmissionPolicyBinding", "odd", spec={"paramRef": {}}))
    assert refused.code == 422
    assert refused.message == (
        'ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io "odd" is invalid: '
        "[spec.policyName: Required value, spec.paramRef: Required value: one of name or selector must be specified, "
        "spec.paramRef.parameterNotFoundAction: Required value, "
        "spec.validationActions: Required value: at least one validation action is required]"
    )


def test_a_policy_judges_what_subresources_are_asked_to_do(target: Target) -> None:
    team = target.namespace()
    kept = pod("kept", meta={"annotations": {"tests.fluvial/stay": "pending"}})
    team.have(kept)
    rule = {**CONFIG_MAPS, "resources": ["pods/eviction", "serviceaccounts/token", "configmaps"]}
    in_force(
        team,
        {"expression": "request.name != 'kept'", "messageExpression": "object.kind + ' of ' + request.name + ': kept'"},
        {"expression": "request.?subResource.orValue('') != 'token' || request.kind.kind != 'TokenRequest'"},
        rule=rule,
    )
    eviction = of("policy/v1", "Eviction", "kept")
    refused = team.send("POST", team.path(kept, "eviction"), eviction)
    assert refused.message.startswith('pods "kept" is forbidden: ValidatingAdmissionPolicy')
    assert refused.message.endswith("denied request: Eviction of kept: kept")
    assert team.get(kept).code == 200
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    refused = team.send("POST", team.path(of("v1", "ServiceAccount", "default"), "token"), asked)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert refused.message.startswith('serviceaccounts "default" is forbidden: ValidatingAdmissionPolicy')


def test_a_namespace_that_a_policy_keeps_from_going_says_so(target: Target) -> None:
    team = target.namespace()
    team.have(config_map("kept"))
    made = in_force(team, {"expression": "request.operation != 'DELETE'", "message": "nothing goes"})
    namespace = of("v1", "Namespace", team.default)
    assert target.delete(namespace).code == 200

    def failure(reply: Any) -> Any:
        conditions = (reply.body.get("status") or {}).get("conditions") or ()
        return next((one for one in conditions if one["type"] == "NamespaceDeletionContentFailure"), {})

    held = target.eventually(lambda: target.get(namespace), lambda reply: failure(reply).get("status") == "True", 30)
    assert failure(held)["reason"] == "ContentDeletionFailed"
    assert "denied request: nothing goes" in failure(held)["message"]
    assert target.delete(binding(made)).code == 200
    target.eventually(lambda: target.get(namespace), 404, 60)


def test_a_policy_that_refuses_everything_can_be_taken_away(target: Target) -> None:
    team = target.namespace()
    everything = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    made = policy(team, {"expression": "false", "message": "never"}, rule=everything)
    bound = binding(made)
    team.have(made, bound)
    refused = team.eventually(lambda: team.create(config_map("a"), "?dryRun=All"), 422)
    assert refused.message == refusal(team, "a", "never")
    assert team.delete(bound).code == 200
    team.eventually(lambda: team.create(config_map("a")), 201)
