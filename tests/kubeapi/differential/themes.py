"""What the generated sequences are mostly about, each theme with its own mix of requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.kubeapi.differential import cases, objects
from tests.kubeapi.differential.generate import CLUSTER_WIDE, PROPAGATIONS, Sequence
from tests.kubeapi.differential.objects import KINDS, METADATA
from tests.kubeapi.differential.steps import CONTINUE, NAMESPACE, Step

_NOTICED = 0.3
"""Seconds in which a real server notices new roles, labels and limits."""
_POLICY_NOTICED = 1.5
"""Seconds in which it notices new policies."""


def _anything(one: Sequence) -> None:
    one.create(good=one.chance(0.7))
    one.repeat(
        4,
        10,
        one.create,
        one.apply,
        one.update,
        one.merge,
        one.json,
        one.strategic,
        one.status,
        one.get,
        one.delete,
        one.list,
    )


def _managers(one: Sequence) -> None:
    """Several managers apply to one object, and others write between."""
    one.apply()
    one.repeat(4, 9, one.apply, one.apply, one.apply, one.apply, one.update, one.merge, one.status)
    one.get()


def _patches(one: Sequence) -> None:
    one.create(good=True)
    one.repeat(4, 9, one.json, one.merge, one.strategic, one.update)
    one.get()


def _deletion(one: Sequence) -> None:
    """Finalizers, propagation, preconditions; writes to what is being deleted."""
    one.create(good=True)
    one.repeat(4, 9, one.finalizer, one.finalizer, one.delete, one.delete, one.write, one.get, one.create)
    if one.chance(0.5):
        query = {"labelSelector": "team=a"} if one.chance(0.5) else {}
        query |= {"propagationPolicy": one.random.choice(PROPAGATIONS)} if one.chance(0.3) else {}
        query |= {"dryRun": "All"} if one.chance(0.2) else {}
        if one.kind not in CLUSTER_WIDE:
            one.add("deletecollection", one.named(), query=query)
            one.list(labelSelector="")


def _lists(one: Sequence) -> None:
    """Several objects, read by pages, selectors and forms."""
    if one.kind in CLUSTER_WIDE:
        one.kind = "ConfigMap"
    for name in ("app", "b", "c", "web", "z")[: one.random.randint(2, 5)]:
        manifest = one.named(name)
        for _ in range(2):
            manifest = objects.with_value(manifest, *one.setting(good=True, among=METADATA[:2]))
        one.add("create", manifest)
    if one.chance(0.6):
        limit = one.random.choice(["1", "2", "3"])
        query = {"labelSelector": "team=a"} if one.chance(0.3) else {}
        one.list(limit=limit, **query)
        if one.chance(0.4):
            one.write()
        one.list(limit=limit, **query, **{"continue": CONTINUE})
        one.list(**query, **{"continue": CONTINUE})
    one.repeat(2, 5, one.list, one.list, one.get, one.write)


def _subresources(one: Sequence) -> None:
    one.kind = one.random.choice([name for name, kind in KINDS.items() if kind.status])
    one.create(good=True)
    more = [one.scale, one.scale] if one.of.scale else []
    one.repeat(4, 9, one.status, one.status, one.status, one.write, *more)
    one.get()


def _custom(one: Sequence) -> None:
    """Objects of CRDs: defaults, pruning, rules, ratcheting."""
    one.kind = one.random.choice(["Widget", "Widget", "ClusterWidget", "GitRepository", "Kustomization", "HelmRelease"])
    one.create(good=one.chance(0.5))
    one.repeat(4, 9, one.create, one.apply, one.update, one.merge, one.json, one.status, one.get)


def _access(one: Sequence) -> None:
    """What somebody may do, before and after they are given a role."""
    user = f"jane-{NAMESPACE}"
    verbs = one.random.choice([["get"], ["get", "list"], ["create", "patch"], ["*"]])
    resources = one.random.choice([["configmaps"], ["*"], ["secrets", "configmaps"], ["deployments"]])
    rule = {"apiGroups": one.random.choice([[""], ["*"], ["apps"]]), "resources": resources, "verbs": verbs}
    if one.chance(0.3):
        rule["resourceNames"] = ["app"]
    group = "rbac.authorization.k8s.io"
    role = cases.of(f"{group}/v1", "Role", "reader", rules=[rule])
    binding = cases.of(
        f"{group}/v1",
        "RoleBinding",
        "jane",
        roleRef={"apiGroup": group, "kind": "Role", "name": "reader"},
        subjects=[{"kind": "User", "name": user, "apiGroup": group}],
    )
    one.kind = "ConfigMap"
    asked = {
        "namespace": NAMESPACE,
        "verb": one.random.choice(["get", "list", "patch"]),
        "resource": one.random.choice(["configmaps", "secrets"]),
    }
    review = cases.of(
        "authorization.k8s.io/v1", "SubjectAccessReview", "", spec={"user": user, "resourceAttributes": asked}
    )
    mine = cases.of("authorization.k8s.io/v1", "SelfSubjectAccessReview", "", spec={"resourceAttributes": asked})

    def as_user(pause: float = 0.0) -> None:
        verb = one.random.choice(["get", "list", "create", "apply", "merge", "delete"])
        query = {"fieldManager": "jane"} if verb == "apply" else {}
        body = {"data": {"a": "1"}} if verb == "merge" else None
        one.add(verb, one.named(), body, user=user, query=query, pause=pause)

    one.create(good=True)
    as_user()
    one.add("create", role)
    one.add("create", binding)
    as_user(_NOTICED)
    one.add("create", review)
    one.add("create", mine, user=user)
    one.repeat(2, 4, as_user)
    if one.chance(0.5):
        one.add("create", cases.of(f"{group}/v1", "Role", "more", rules=[{**rule, "verbs": ["*"]}]), user=user)
    rules = cases.of("authorization.k8s.io/v1", "SelfSubjectRulesReview", "", spec={"namespace": NAMESPACE})
    one.add("create", rules, user=user, loose=True)


_LIMITS = [
    {"type": "Container", "default": {"cpu": "500m"}, "defaultRequest": {"cpu": "100m"}},
    {"type": "Container", "max": {"memory": "1Gi"}, "min": {"memory": "64Mi"}},
    {"type": "Pod", "max": {"cpu": "1"}},
    {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}, "min": {"storage": "1Gi"}},
    {"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}},
]
_EXPRESSIONS = [
    ("object.metadata.name != 'web'", ""),
    ("!has(object.metadata.labels) || object.metadata.labels.team != 'a'", ""),
    ("has(object.spec)", "'a ' + object.kind + ' named ' + object.metadata.name"),
    ("request.operation != 'UPDATE' || object.metadata.name == oldObject.metadata.name", ""),
    ("size(variables.labels) < 2", "string(size(variables.labels)) + ' labels'"),
    ("namespaceObject.metadata.name.startsWith('run')", ""),
]


def _limits(one: Sequence) -> None:
    """A LimitRange, and what pods and claims become of it."""
    one.kind = one.random.choice(["Pod", "Pod", "PersistentVolumeClaim", "Deployment"])
    some = one.random.sample(_LIMITS, one.random.choice([1, 2]))
    one.add("create", cases.of("v1", "LimitRange", "limits", spec={"limits": some}))
    one.add("get", one.named(), pause=_NOTICED)
    one.repeat(3, 6, one.create, one.create, one.apply, one.update, one.get)


def _security(one: Sequence) -> None:
    """The Pod Security level of the namespace, and what it makes of pods."""
    label = f"pod-security.kubernetes.io/{one.random.choice(['enforce', 'enforce', 'warn'])}"
    level = one.random.choice(["baseline", "restricted", "privileged", "none"])
    one.add("merge", cases.of("v1", "Namespace", NAMESPACE), {"metadata": {"labels": {label: level}}})
    one.kind = one.random.choice(["Pod", "Pod", "Deployment", "Job"])
    one.add("get", one.named(), pause=_NOTICED)
    one.repeat(3, 6, one.create, one.create, one.apply, one.update)


def _policies(one: Sequence) -> None:
    """A ValidatingAdmissionPolicy for the namespace, and requests that it judges."""
    one.kind = one.random.choice(["ConfigMap", "Deployment", "Widget"])
    group, _, version = one.of.base["apiVersion"].rpartition("/")
    resources = {"ConfigMap": "configmaps", "Deployment": "deployments", "Widget": "widgets"}[one.kind]
    rule = {
        "apiGroups": [group],
        "apiVersions": [version],
        "operations": ["CREATE", "UPDATE"],
        "resources": [resources],
    }
    validations: list[dict[str, Any]] = []
    for expression, message in one.random.sample(_EXPRESSIONS, one.random.choice([1, 2])):
        said = {"messageExpression": message} if message else {"message": "not so"} if one.chance(0.4) else {}
        said |= {"reason": one.random.choice(["Forbidden", "Invalid", "Unauthorized"])} if one.chance(0.3) else {}
        validations.append({"expression": expression, **said})
    spec: dict[str, Any] = {
        "failurePolicy": one.random.choice(["Fail", "Ignore"]),
        "matchConstraints": {"resourceRules": [rule]},
        "validations": validations,
        "variables": [{"name": "labels", "expression": "has(object.metadata.labels) ? object.metadata.labels : {}"}],
    }
    if one.chance(0.3):
        spec["matchConditions"] = [{"name": "not-b", "expression": "object.metadata.name != 'b'"}]
    here = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    kind = "admissionregistration.k8s.io/v1"
    binding = {
        "policyName": f"{NAMESPACE}-policy",
        "validationActions": one.random.choice([["Deny"], ["Deny"], ["Warn"], ["Warn", "Audit"]]),
        "matchResources": {"namespaceSelector": here},
    }
    one.add("create", cases.of(kind, "ValidatingAdmissionPolicy", "policy", spec=spec))
    one.add("create", cases.of(kind, "ValidatingAdmissionPolicyBinding", "policy", spec=binding))
    one.add("get", one.named(), pause=_POLICY_NOTICED)
    one.repeat(4, 7, one.create, one.create, one.apply, one.update, one.merge, one.delete)
    # It would be asked about all that other sequences do.
    one.add("delete", cases.of(kind, "ValidatingAdmissionPolicyBinding", "policy"))
    one.add("delete", cases.of(kind, "ValidatingAdmissionPolicy", "policy"))


THEMES: dict[str, tuple[float, Callable[[Sequence], None]]] = {
    "anything": (3, _anything),
    "managers": (4, _managers),
    "patches": (3, _patches),
    "deletion": (3, _deletion),
    "lists": (2, _lists),
    "subresources": (2, _subresources),
    "custom": (4, _custom),
    "access": (0.7, _access),
    "limits": (0.7, _limits),
    "security": (0.7, _security),
    "policies": (0.7, _policies),
}
"""By name, how often and how."""


def sequence(seed: int, number: int, theme: str = "") -> list[Step]:
    """The steps of one sequence of a seed; the theme is the first thing that is drawn unless it is given."""
    one = Sequence(f"{seed}/{number}")
    names = list(THEMES)
    drawn = one.random.choices(names, [weight for weight, _ in THEMES.values()])[0]
    THEMES[theme or drawn][1](one)
    one.watch()
    return one.steps
