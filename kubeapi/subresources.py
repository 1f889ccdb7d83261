"""Kinds and subresources that store nothing of their own: access reviews, tokens, evictions, bindings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from kubeapi import bodies, writes
from kubeapi.authentication import DEFAULT_AUDIENCE
from kubeapi.authorization import Attributes
from kubeapi.clock import stamp
from kubeapi.errors import Cause, StatusError, bad_request, invalid, method_not_allowed, not_found, not_implemented
from kubeapi.handlers import Answer
from kubeapi.identity import User
from kubeapi.resources import Resource
from kubeapi.seam import fields
from kubeapi.selectors import all_match, of_label_selector
from shared import schema

if TYPE_CHECKING:
    from kubeapi.authentication import Authenticator
    from kubeapi.authorization import Authorizer
    from kubeapi.cluster import Cluster
    from kubeapi.handlers import Call

Manifest = dict[str, Any]

_MINIMUM_SECONDS = 600
_DEFAULT_SECONDS = 3600
_MAXIMUM_SECONDS = 1 << 32
_REVIEWS = ("authorization.k8s.io", "authentication.k8s.io")
_NEEDS_A_NODE = ("attach", "exec", "log", "portforward", "proxy")


class Subresources:
    """Answers them for one cluster."""

    def __init__(self, cluster: Cluster, authenticator: Authenticator, authorizer: Authorizer):
        self.cluster = cluster
        self.authenticator = authenticator
        self.authorizer = authorizer

    # -- kinds that are only created

    def virtual(self, resource: Resource, call: Call, manifest: Manifest, options: writes.Options) -> Manifest | None:
        """The answer to the creation of a kind that isn't stored; None for the kinds that are."""
        if resource.group in _REVIEWS or resource.storage == ("", "bindings"):
            manifest = bodies.typed(manifest, resource.schema)
        if resource.group in _REVIEWS:
            now = self.cluster.clock.now()
            manifest = fields.updated(None, manifest, options.field_manager, schema=resource.schema, now=now)
        if resource.group == "authorization.k8s.io":
            return self._access(resource, call, manifest)
        if resource.group == "authentication.k8s.io":
            if resource.kind == "SelfSubjectReview":
                manifest.setdefault("metadata", {})["creationTimestamp"] = self.cluster.clock.stamp()
                manifest["status"] = {"userInfo": call.user.info()}
                return manifest
            return self._token_review(manifest)
        if resource.storage == ("", "bindings"):
            name = (manifest.get("metadata") or {}).get("name", "")
            return self._bind(call.info.namespace, name, manifest)
        return None

    def _access(self, resource: Resource, call: Call, manifest: Manifest) -> Manifest:
        spec = manifest.get("spec") or {}
        manifest.setdefault("metadata", {})
        if resource.kind == "SelfSubjectRulesReview":
            namespace = spec.get("namespace", "")
            if not namespace:
                raise bad_request("no namespace on request")
            manifest["spec"] = {}
            manifest["status"] = self._rules(call.user, namespace)
            return manifest
        user = call.user
        if resource.kind != "SelfSubjectAccessReview":
            user = User(
                str(spec.get("user") or ""),
                tuple(spec.get("groups") or ()),
                str(spec.get("uid") or ""),
                {key: tuple(values) for key, values in (spec.get("extra") or {}).items()},
            )
            if not user.name and not user.groups:
                message = 'Invalid value: "": at least one of user or group must be specified'
                raise _invalid_review(resource, Cause("FieldValueInvalid", message, "spec.user"))
        wanted, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if (wanted is None) is (path is None):
            message = (
                "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
            )
            raise _invalid_review(resource, Cause("FieldValueInvalid", message, "spec.resourceAttributes"))
        local = resource.kind == "LocalSubjectAccessReview"
        if local and (wanted is None or wanted.get("namespace") != call.info.namespace):
            given = (wanted or {}).get("namespace") or ""
            message = f'Invalid value: "{given}": must match metadata.namespace'
            raise _invalid_review(resource, Cause("FieldValueInvalid", message, "spec.resourceAttributes.namespace"))
        allowed, reason = self.authorizer.decide(user, _attributes(wanted, path))
        status: Manifest = {"allowed": allowed}
        if reason:
            status["reason"] = reason
        manifest["status"] = status
        return manifest

    def _rules(self, user: User, namespace: str) -> Manifest:
        resources, paths = [], []
        for rule in self.authorizer.rules(user, namespace):
            if rule.get("nonResourceURLs"):
                paths.append({"verbs": rule.get("verbs") or [], "nonResourceURLs": rule["nonResourceURLs"]})
            else:
                kept = ("verbs", "apiGroups", "resources", "resourceNames")
                resources.append({key: rule[key] for key in kept if rule.get(key)})
        return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}

    def _token_review(self, manifest: Manifest) -> Manifest:
        spec = manifest.get("spec") or {}
        token = str(spec.get("token") or "")
        audiences = [str(audience) for audience in spec.get("audiences") or ()]
        manifest.setdefault("metadata", {})
        if not token:
            raise bad_request("token is required for TokenReview in authentication")
        user = self.authenticator.of_token(token, audiences)
        if user is None:
            manifest["status"] = {"user": {}, "error": "invalid bearer token"}
        else:
            found = audiences or [DEFAULT_AUDIENCE]
            manifest["status"] = {"authenticated": True, "user": user.info(), "audiences": found}
        return manifest

    # -- subresources of stored objects

    def answer(self, resource: Resource, call: Call) -> Answer | None:
        """The answer of a subresource; None for one that nobody serves."""
        name = call.info.subresource
        if resource.storage == ("", "serviceaccounts") and name == "token":
            return self._token(resource, call)
        if resource.storage == ("", "pods"):
            if name == "eviction":
                return self._evict(resource, call)
            if name == "binding":
                _require_create(call)
                manifest, warnings = self._asked(resource, call, "v1", "Binding")
                bound = self._bind(call.info.namespace, call.info.name, manifest)
                return Answer(201, orjson.dumps(bound), warnings=warnings)
        if name.partition("/")[0] in _NEEDS_A_NODE:
            self._require(resource, call)
            raise not_implemented(f"{resource.plural}/{name}: no containers run in it")
        return None

    def _require(self, resource: Resource, call: Call) -> Manifest:
        namespace = call.info.namespace if resource.namespaced else ""
        live = self.cluster.live(resource, namespace, call.info.name)
        if live is None:
            raise not_found(resource.group, resource.plural, call.info.name)
        return live

    def _asked(self, resource: Resource, call: Call, api_version: str, kind: str) -> tuple[Manifest, list[str]]:
        """The body of a subresource's request, which admission lets through, and its warnings."""
        manifest = _read(call, api_version, kind)
        options = writes.Options(
            user=call.user, dry_run=bool(call.query.get("dryRun")), subresource=call.info.subresource
        )
        self.cluster.admission.requested(resource, manifest, (call.info.namespace, call.info.name), options)
        return manifest, options.warnings

    def _token(self, resource: Resource, call: Call) -> Answer:
        _require_create(call)
        account = self._require(resource, call)
        manifest, warnings = self._asked(resource, call, "authentication.k8s.io/v1", "TokenRequest")
        spec = manifest.setdefault("spec", {})
        seconds = spec.get("expirationSeconds") or _DEFAULT_SECONDS
        if not isinstance(seconds, int) or not _MINIMUM_SECONDS <= seconds <= _MAXIMUM_SECONDS:
            message = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
            if isinstance(seconds, int) and seconds > _MAXIMUM_SECONDS:
                message = f"Invalid value: {seconds}: may not specify a duration larger than 2^32 seconds"
            cause = Cause("FieldValueInvalid", message, "spec.expirationSeconds")
            raise invalid("authentication.k8s.io", "TokenRequest", "", [cause])
        namespace, name = call.info.namespace, call.info.name
        bound = self._bound(namespace, spec.get("boundObjectRef"))
        audiences = [str(audience) for audience in spec.get("audiences") or (DEFAULT_AUDIENCE,)]
        token, expires = self.authenticator.service_account_token(
            namespace, name, account["metadata"]["uid"], audiences, seconds, bound
        )
        if call.query.get("dryRun"):
            token = "fake"  # noqa: S105 - says that this is none
        spec.update(audiences=audiences, expirationSeconds=seconds)
        spec.setdefault("boundObjectRef", None)
        metadata = manifest.setdefault("metadata", {})
        metadata.update(name=name, namespace=namespace, creationTimestamp=self.cluster.clock.stamp())
        manifest["status"] = {"token": token, "expirationTimestamp": stamp(_moment(expires))}
        return Answer(201, orjson.dumps(manifest), warnings=warnings)

    def _bound(self, namespace: str, reference: Mapping[str, Any] | None) -> Manifest:
        """The claims that tie a token to a Pod or Secret: it ends with that object."""
        if not reference:
            return {}
        kind, name = reference.get("kind"), str(reference.get("name") or "")
        plurals = {"Pod": "pods", "Secret": "secrets"}
        if kind not in plurals:
            api_version = reference.get("apiVersion") or ""
            group, _, version = str(api_version).rpartition("/")
            raise bad_request(f"cannot bind token to object of type {group}/{version}, Kind={kind}")
        entry = self.cluster.store.get(("", plurals[kind]), namespace, name)
        if entry is None:
            raise not_found("", plurals[kind], name)
        if reference.get("uid") and reference["uid"] != entry.uid:
            problem = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record"
            raise StatusError(409, "Conflict", f"{problem} ({entry.uid}). The object might have been deleted")
        return {kind.lower(): {"name": name, "uid": entry.uid}}

    def _evict(self, resource: Resource, call: Call) -> Answer:
        _require_create(call)
        manifest, warnings = self._asked(resource, call, "policy/v1", "Eviction")
        pod = self._require(resource, call)
        self._require_budget(pod)
        asked = manifest.get("deleteOptions") or {}
        options = writes.DeleteOptions(
            uid=(asked.get("preconditions") or {}).get("uid") or "",
            grace_period=asked.get("gracePeriodSeconds"),
            dry_run=bool(asked.get("dryRun") or call.query.get("dryRun")),
            user=call.user,
            judged=True,
        )
        writes.delete(self.cluster, resource, call.info.namespace, call.info.name, options)
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        return Answer(201, orjson.dumps(status), warnings=warnings)

    def _require_budget(self, pod: Manifest) -> None:
        """429 when a PodDisruptionBudget that covers the pod allows no disruption."""
        namespace = pod["metadata"]["namespace"]
        labels = pod["metadata"].get("labels") or {}
        for entry in self.cluster.store.entries(("policy", "poddisruptionbudgets"), namespace):
            budget = entry.manifest()
            wanted = of_label_selector((budget.get("spec") or {}).get("selector"))
            if wanted is None or not all_match(wanted, labels):
                continue
            status = budget.get("status") or {}
            if status.get("disruptionsAllowed", 0) <= 0:
                needed, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
                message = f"The disruption budget {entry.name} needs {needed} healthy pods and has {healthy} currently"
                raise StatusError(
                    429,
                    "TooManyRequests",
                    "Cannot evict pod as it would violate the pod's disruption budget.",
                    causes=[Cause("DisruptionBudget", message, "")],
                )

    def _bind(self, namespace: str, name: str, manifest: Manifest) -> Manifest:
        """Put a pod on a node, as a scheduler does."""
        node = str((manifest.get("target") or {}).get("name") or "")
        if not node:
            raise bad_request("target.name is required: the node to bind to")
        resource = self.cluster.resource("v1", "Pod")

        def bound(live: Manifest) -> Manifest:
            spec = live["spec"]
            if spec.get("nodeName") and spec["nodeName"] != node:
                problem = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
                raise StatusError(409, "Conflict", f'Operation cannot be fulfilled on pods/binding "{name}": {problem}')
            spec["nodeName"] = node
            return live

        if writes.change(self.cluster, resource, namespace, name, bound, manager="kube-scheduler") is None:
            raise not_found("", "pods", name)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _read(call: Call, api_version: str, kind: str) -> Manifest:
    """The body of a subresource's request; an empty one is an empty object of the kind."""
    manifest = bodies.decode(call.body, call.content_type) if call.body.strip() else {}
    bodies.require_kind(manifest, api_version, kind)
    described = schema.lookup(api_version, kind)
    assert described is not None
    return bodies.typed(manifest, described)


def _require_create(call: Call) -> None:
    if call.info.verb != "create":
        raise method_not_allowed()


def _invalid_review(resource: Resource, cause: Cause) -> StatusError:
    return invalid(resource.group, "", "", [cause])


def _attributes(wanted: Mapping[str, Any] | None, path: Mapping[str, Any] | None) -> Attributes:
    """What a review asks about."""
    if wanted is not None:
        return Attributes(
            str(wanted.get("verb") or ""),
            str(wanted.get("group") or ""),
            str(wanted.get("version") or ""),
            str(wanted.get("resource") or ""),
            str(wanted.get("subresource") or ""),
            str(wanted.get("namespace") or ""),
            str(wanted.get("name") or ""),
        )
    path = path or {}
    return Attributes(str(path.get("verb") or ""), path=str(path.get("path") or ""))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
