"""One request as admission sees it: who does what to which object."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kubeapi import conversion, scale
from kubeapi.errors import StatusError, forbidden, shown_name
from kubeapi.identity import User
from kubeapi.resources import Resource
from kubeapi.writes import DeleteOptions, Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]

NAMESPACES = ("", "namespaces")
_SCALE = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
_ASKED = ("binding", "eviction", "token")
"""Subresources whose body is of a kind of its own and isn't stored."""
_EXEMPT = frozenset(
    ("admissionregistration.k8s.io", plural)
    for plural in (
        *("validatingwebhookconfigurations", "mutatingwebhookconfigurations"),
        *("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
        *("mutatingadmissionpolicies", "mutatingadmissionpolicybindings"),
    )
)
"""What no policy and no webhook is asked about: one that refuses everything could never be taken away."""


@dataclass(slots=True)
class Attributes:
    """One write that admission is asked about."""

    operation: str
    """CREATE, UPDATE or DELETE."""
    resource: Resource
    subresource: str
    namespace: str
    """The object's; of a namespace its own name."""
    name: str
    """Empty while it isn't generated."""
    object: Manifest | None
    """As it would be; None for a deletion."""
    old: Manifest | None
    user: User
    dry_run: bool = False
    options: Manifest = field(default_factory=dict)
    """The CreateOptions, UpdateOptions or DeleteOptions."""

    @property
    def kind(self) -> dict[str, str]:
        """Group, version and kind of what is sent."""
        if self.subresource == "scale":
            return dict(_SCALE)
        if self.subresource in _ASKED and self.object is not None:
            group, _, version = str(self.object.get("apiVersion") or "").rpartition("/")
            return {"group": group, "version": version, "kind": str(self.object.get("kind") or "")}
        return {"group": self.resource.group, "version": self.resource.version, "kind": self.resource.kind}

    @property
    def plural(self) -> dict[str, str]:
        resource = self.resource
        return {"group": resource.group, "version": resource.version, "resource": resource.plural}

    @property
    def exempt(self) -> bool:
        return self.resource.storage in _EXEMPT

    def in_version(self, resource: Resource) -> Attributes:
        """The same request about the same object in another of its versions."""
        if resource.api_version == self.resource.api_version:
            return self
        if self.subresource == "scale":
            return replace(self, resource=resource)
        shown = [None if one is None else self.converted(one, resource) for one in (self.object, self.old)]
        return replace(self, resource=resource, object=shown[0], old=shown[1])

    @staticmethod
    def converted(manifest: Manifest, resource: Resource) -> Manifest:
        """A copy of an object in a version of its resource."""
        return conversion.convert(copy.deepcopy(manifest), resource)

    def request(self, asked: Attributes) -> Manifest:
        """The AdmissionRequest without its objects. self: in the version that was asked for by whoever is told; asked:
        as the client sent it."""
        found: Manifest = {"kind": self.kind, "resource": self.plural}
        if self.subresource:
            found["subResource"] = self.subresource
        found |= {"requestKind": asked.kind, "requestResource": asked.plural}
        if self.subresource:
            found["requestSubResource"] = self.subresource
        if self.name:
            found["name"] = self.name
        if self.namespace:
            found["namespace"] = self.namespace
        found |= {
            "operation": self.operation,
            "userInfo": self.user.info(),
            "dryRun": self.dry_run,
            "options": self.options,
        }
        return found

    def forbidden(self, problem: str) -> StatusError:
        """403 about this object."""
        name = self.name or shown_name((self.object or {}).get("metadata") or {})
        return forbidden(self.resource.group, self.resource.plural, name, problem)


def of_write(
    cluster: Cluster, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options
) -> Attributes:
    """A creation (no old object) or an update."""
    metadata = manifest["metadata"]
    sent: Manifest = {
        "kind": "CreateOptions" if old is None else "UpdateOptions",
        "apiVersion": "meta.k8s.io/v1",
        **options.sent,
    }
    if options.dry_run:
        sent["dryRun"] = ["All"]
    name = str(metadata.get("name") or "")
    shown, before = manifest, old
    if options.subresource == "scale" and old is not None:
        shown, before = scale.of(resource, manifest), scale.of(resource, old)
    return Attributes(
        operation="CREATE" if old is None else "UPDATE",
        resource=resource,
        subresource=options.subresource,
        namespace=name if resource.storage == NAMESPACES else str(metadata.get("namespace") or ""),
        name=name,
        object=shown,
        old=before,
        user=options.user,
        dry_run=options.dry_run,
        options=sent,
    )


def of_request(resource: Resource, body: Manifest, key: tuple[str, str], options: Options) -> Attributes:
    """What a subresource is asked to do, such as an eviction. key: namespace and name of whose subresource it is."""
    sent: Manifest = {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", **options.sent}
    if options.dry_run:
        sent["dryRun"] = ["All"]
    return Attributes(
        operation="CREATE",
        resource=resource,
        subresource=options.subresource,
        namespace=key[0],
        name=key[1],
        object=body,
        old=None,
        user=options.user,
        dry_run=options.dry_run,
        options=sent,
    )


def of_deletion(resource: Resource, live: Manifest, options: DeleteOptions) -> Attributes:
    metadata = live["metadata"]
    sent: Manifest = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"}
    if options.grace_period is not None:
        sent["gracePeriodSeconds"] = options.grace_period
    preconditions = {"uid": options.uid, "resourceVersion": options.resource_version}
    if any(preconditions.values()):
        sent["preconditions"] = {key: value for key, value in preconditions.items() if value}
    if options.propagation:
        sent["propagationPolicy"] = options.propagation
    if options.dry_run:
        sent["dryRun"] = ["All"]
    return Attributes(
        operation="DELETE",
        resource=resource,
        subresource="",
        namespace=metadata["name"] if resource.storage == NAMESPACES else metadata.get("namespace", ""),
        name="" if options.collection else metadata["name"],
        object=None,
        old=live,
        user=options.user,
        dry_run=options.dry_run,
        options=sent,
    )


def labels_of(manifest: Mapping[str, Any] | None) -> Mapping[str, str]:
    return ((manifest or {}).get("metadata") or {}).get("labels") or {}
