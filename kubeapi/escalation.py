"""Nobody grants what they don't have: the check of writes to roles and bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi.authorization import GROUP, Attributes, Authorizer
from kubeapi.errors import forbidden, not_found
from kubeapi.identity import MASTERS, User
from kubeapi.resources import Resource
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]


class Escalation:
    """Refuses roles with more rules than their writer has, and bindings to such roles."""

    def __init__(self, cluster: Cluster, authorizer: Authorizer):
        self.authorizer = authorizer
        cluster.admission.on_before.append(self._before)

    def _before(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        if resource.group != GROUP or MASTERS in options.user.groups:
            return
        namespace = manifest["metadata"].get("namespace", "")
        if resource.plural in ("roles", "clusterroles"):
            if old is not None and old.get("rules") == manifest.get("rules"):
                return
            rules: list[Any] = [rule for rule in manifest.get("rules") or () if isinstance(rule, dict)]
            self._require(resource, manifest, options.user, rules, namespace, "escalate", manifest["metadata"])
        elif resource.plural in ("rolebindings", "clusterrolebindings"):
            if old is not None and old.get("roleRef") == manifest.get("roleRef"):
                same = old.get("subjects") == manifest.get("subjects")
                if same:
                    return
            reference = manifest.get("roleRef") or {}
            if not self.authorizer.role_exists(reference, namespace) and not self._may_bind(
                options.user, reference, namespace
            ):
                raise not_found(resource.group, resource.plural, str(reference.get("name") or ""))
            rules = list(self.authorizer.role_rules(reference.get("kind", ""), reference.get("name", ""), namespace))
            self._require(resource, manifest, options.user, rules, namespace, "bind", reference)

    def _require(
        self,
        resource: Resource,
        manifest: Manifest,
        user: User,
        rules: list[Any],
        namespace: str,
        verb: str,
        target: Manifest,
    ) -> None:
        missing = self.authorizer.uncovered(user, rules, namespace)
        if not missing:
            return
        if verb == "bind":
            if self._may_bind(user, target, namespace):
                return
        else:
            name = str(target.get("name") or "")
            asked = Attributes(verb, GROUP, "v1", resource.plural, "", namespace, name)
            if self.authorizer.decide(user, asked)[0]:
                return
        groups = " ".join(f'"{group}"' for group in user.groups)
        problem = (
            f'user "{user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n'
            + "\n".join(missing)
        )
        raise forbidden(resource.group, resource.plural, str(manifest["metadata"].get("name") or ""), problem)

    def _may_bind(self, user: User, reference: Manifest, namespace: str) -> bool:
        plural = "roles" if reference.get("kind") == "Role" else "clusterroles"
        asked = Attributes("bind", GROUP, "v1", plural, "", namespace, str(reference.get("name") or ""))
        return self.authorizer.decide(user, asked)[0]
