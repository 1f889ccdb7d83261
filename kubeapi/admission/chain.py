"""In which order admission is asked. Made once for a cluster; a part costs nothing while nothing is declared for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi.admission import attributes
from kubeapi.admission.validating_policies import ValidatingPolicies
from kubeapi.resources import Resource
from kubeapi.writes import DeleteOptions, Options

if TYPE_CHECKING:
    from kubeapi.authorization import Authorizer
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]


class Chain:
    """The admission of one cluster."""

    def __init__(self, cluster: Cluster, authorizer: Authorizer) -> None:
        self._cluster = cluster
        self._validating = ValidatingPolicies(cluster, authorizer)
        cluster.admission.on_judging.append(self._judge)
        cluster.admission.on_deleting.append(self._judge_deletion)

    def _judge(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        if self._validating:
            asked = attributes.of_write(self._cluster, resource, manifest, old, options)
            self._validating.judge(asked, options.warnings)

    def _judge_deletion(self, resource: Resource, live: Manifest, options: DeleteOptions) -> None:
        if self._validating:
            self._validating.judge(attributes.of_deletion(resource, live, options), options.warnings)
