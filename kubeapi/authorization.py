"""May this user do this? RBAC over the stored Roles and bindings, as a real API server decides and words it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeapi import selectors
from kubeapi.errors import StatusError, forbidden
from kubeapi.identity import MASTERS, SERVICE_ACCOUNT, User

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster
    from kubeapi.store import Change

Manifest = dict[str, Any]
Rule = Mapping[str, Any]

GROUP = "rbac.authorization.k8s.io"
_STORAGES = {(GROUP, plural) for plural in ("roles", "clusterroles", "rolebindings", "clusterrolebindings")}


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is being asked: a resource request, or a path when `resource` is empty."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class _Binding:
    """One binding: who, which rules."""

    __slots__ = ("groups", "label", "namespace", "role", "role_kind", "users")

    def __init__(self, manifest: Manifest):
        metadata = manifest["metadata"]
        self.namespace: str = metadata.get("namespace", "")
        reference = manifest.get("roleRef") or {}
        self.role_kind: str = reference.get("kind", "")
        self.role: str = reference.get("name", "")
        kind = "RoleBinding" if self.namespace else "ClusterRoleBinding"
        self.label = f'{kind} "{metadata["name"]}{"/" + self.namespace if self.namespace else ""}"'
        users: set[str] = set()
        groups: set[str] = set()
        for subject in manifest.get("subjects") or ():
            kind, name = subject.get("kind"), subject.get("name", "")
            if kind == "User":
                users.add(name)
            elif kind == "Group":
                groups.add(name)
            elif kind == "ServiceAccount":
                users.add(f"{SERVICE_ACCOUNT}{subject.get('namespace') or self.namespace}:{name}")
        self.users = frozenset(users)
        self.groups = frozenset(groups)

    def binds(self, user: User) -> bool:
        return user.name in self.users or any(group in self.groups for group in user.groups)


class Authorizer:
    """Decides by the stored RBAC objects; what it reads from them is kept until one of them changes."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self._bindings: dict[str, list[_Binding]] | None = None
        self._rules: dict[tuple[str, str], list[Rule]] = {}
        self._decisions: dict[tuple[str, tuple[str, ...], Attributes], tuple[bool, str]] = {}
        cluster.store.listen(self._changed)

    def _changed(self, change: Change) -> None:
        if change.storage in _STORAGES:
            self._bindings = None
            self._rules.clear()
            self._decisions.clear()

    def decide(self, user: User, asked: Attributes) -> tuple[bool, str]:
        """Whether the user may, and why."""
        if MASTERS in user.groups:
            return True, ""
        key = (user.name, user.groups, asked)
        known = self._decisions.get(key)
        if known is None:
            known = self._decide(user, asked)
            if len(self._decisions) > 20_000:
                self._decisions.clear()
            self._decisions[key] = known
        return known

    def _decide(self, user: User, asked: Attributes) -> tuple[bool, str]:
        for binding, rules in self.bound(user, asked.namespace):
            for rule in rules:
                if allows(rule, asked):
                    role = f'{binding.role_kind} "{binding.role}"'
                    return True, f"RBAC: allowed by {binding.label} of {role} to {_subject(binding, user)}"
        return False, ""

    def bound(self, user: User, namespace: str) -> Iterator[tuple[_Binding, Sequence[Rule]]]:
        """The bindings of a user that count in a namespace (cluster-wide ones always), with their rules."""
        bindings = self._all_bindings()
        for scope in ("", namespace) if namespace else ("",):
            for binding in bindings.get(scope, ()):
                if binding.binds(user):
                    yield binding, self._rules_of(binding)

    def rules(self, user: User, namespace: str) -> list[Rule]:
        if MASTERS in user.groups:
            return [
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                {"nonResourceURLs": ["*"], "verbs": ["*"]},
            ]
        return [rule for _, rules in self.bound(user, namespace) for rule in rules]

    def _all_bindings(self) -> dict[str, list[_Binding]]:
        if self._bindings is None:
            found: dict[str, list[_Binding]] = {}
            for plural in ("clusterrolebindings", "rolebindings"):
                for entry in self.cluster.store.entries((GROUP, plural)):
                    found.setdefault(entry.namespace, []).append(_Binding(entry.manifest()))
            self._bindings = found
        return self._bindings

    def _rules_of(self, binding: _Binding) -> list[Rule]:
        return self.role_rules(binding.role_kind, binding.role, binding.namespace)

    def role_rules(self, kind: str, name: str, namespace: str) -> list[Rule]:
        """The rules of a Role or ClusterRole; empty when there is none."""
        scope = namespace if kind == "Role" else ""
        key = (scope, name) if kind == "Role" else ("", name)
        known = self._rules.get(key)
        if known is None:
            plural = "roles" if kind == "Role" else "clusterroles"
            entry = self.cluster.store.get((GROUP, plural), scope, name)
            known = [] if entry is None else list(entry.manifest().get("rules") or ())
            self._rules[key] = known
        return known

    def role_exists(self, reference: Rule, namespace: str) -> bool:
        """Whether what a roleRef names is there."""
        kind, name = reference.get("kind"), str(reference.get("name") or "")
        place = ("roles", namespace) if kind == "Role" else ("clusterroles", "")
        return self.cluster.store.get((GROUP, place[0]), place[1], name) is not None

    def require(self, user: User, asked: Attributes) -> None:
        """403 unless the user may."""
        allowed, _ = self.decide(user, asked)
        if not allowed:
            raise refusal(user, asked)

    def uncovered(self, user: User, rules: Sequence[Rule], namespace: str) -> list[str]:
        """The single permissions in `rules` that the user doesn't have, as text; what an escalation would add."""
        if MASTERS in user.groups:
            return []
        missing = []
        for rule in rules:
            for asked, text in _single(rule, namespace):
                own = self.rules(user, namespace)
                if not any(_covers(mine, asked) for mine in own):
                    missing.append(text)
        return missing


def _subject(binding: _Binding, user: User) -> str:
    if user.name in binding.users:
        if user.name.startswith(SERVICE_ACCOUNT):
            namespace, _, name = user.name[len(SERVICE_ACCOUNT) :].partition(":")
            return f'ServiceAccount "{name}/{namespace}"'
        return f'User "{user.name}"'
    return f'Group "{next(group for group in user.groups if group in binding.groups)}"'


def allows(rule: Rule, asked: Attributes) -> bool:
    """Whether one rule allows what is asked."""
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and asked.verb not in verbs:
        return False
    if not asked.resource:
        return any(_path_matches(pattern, asked.path) for pattern in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    if "*" not in groups and asked.group not in groups:
        return False
    if not _resource_matches(rule.get("resources") or (), asked):
        return False
    names = rule.get("resourceNames") or ()
    return not names or asked.name in names


def _resource_matches(resources: Sequence[str], asked: Attributes) -> bool:
    if "*" in resources or asked.full_resource in resources:
        return True
    return bool(asked.subresource) and f"*/{asked.subresource}" in resources


def _path_matches(pattern: str, path: str) -> bool:
    if pattern == "*" or pattern == path:
        return True
    return pattern.endswith("*") and path.startswith(pattern[:-1].rstrip("*"))


def _single(rule: Rule, namespace: str) -> Iterator[tuple[dict[str, str], str]]:
    """A rule as its single permissions."""
    for verb in rule.get("verbs") or ():
        for url in rule.get("nonResourceURLs") or ():
            yield {"verb": verb, "url": url}, f'{{NonResourceURLs:["{url}"], Verbs:["{verb}"]}}'
        for group in rule.get("apiGroups") or ():
            for resource in rule.get("resources") or ():
                for name in rule.get("resourceNames") or ("",):
                    named = f', ResourceNames:["{name}"]' if name else ""
                    text = f'{{APIGroups:["{group}"], Resources:["{resource}"]{named}, Verbs:["{verb}"]}}'
                    yield {"verb": verb, "group": group, "resource": resource, "name": name}, text


def _covers(rule: Rule, asked: Mapping[str, str]) -> bool:
    """Whether a rule grants a single permission, whose verb, group or resource may itself be "*"."""
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and asked["verb"] not in verbs:
        return False
    if "url" in asked:
        return any(_path_matches(pattern, asked["url"]) for pattern in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    resources = rule.get("resources") or ()
    resource = asked["resource"]
    _, slash, sub = resource.partition("/")
    if "*" not in groups and asked["group"] not in groups:
        return False
    if "*" not in resources and resource not in resources and not (slash and f"*/{sub}" in resources):
        return False
    names = rule.get("resourceNames") or ()
    return not names or asked["name"] in names


def refusal(user: User, asked: Attributes) -> StatusError:
    """The 403 of a real API server."""
    if not asked.resource:
        problem = f'User "{user.name}" cannot {asked.verb} path "{asked.path}"'
        return StatusError(403, "Forbidden", f"forbidden: {problem}")
    problem = f'User "{user.name}" cannot {asked.verb} resource "{asked.full_resource}" in API group "{asked.group}"'
    if asked.namespace:
        problem += f' in the namespace "{asked.namespace}"'
    else:
        problem += " at the cluster scope"
    return forbidden(asked.group, asked.resource, asked.name, problem)


def aggregated_rules(cluster: Cluster, role: Manifest) -> list[Rule]:
    """The rules of an aggregating ClusterRole: those of the roles its selectors choose, each once."""
    found: list[Rule] = []
    for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
        wanted = selectors.of_label_selector(selector) or ()
        for entry in cluster.store.entries((GROUP, "clusterroles")):
            if entry.name == role["metadata"]["name"] or not selectors.all_match(wanted, entry.labels):
                continue
            for rule in entry.manifest().get("rules") or ():
                if rule not in found:
                    found.append(rule)
    return found
