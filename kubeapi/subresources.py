"""Subresources and kinds that store nothing: tokens, reviews, evictions, bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi.resources import Resource

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster
    from kubeapi.handlers import Answer, Call

Manifest = dict[str, Any]


class Subresources:
    def __init__(self, cluster: Cluster, authenticator: object, authorizer: object):
        self.cluster = cluster

    def virtual(self, resource: Resource, call: Call, manifest: Manifest) -> Manifest | None:
        return None

    def answer(self, resource: Resource, call: Call) -> Answer | None:
        return None
