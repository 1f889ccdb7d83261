"""In which order admission is asked. Made once for a cluster; a part costs nothing while nothing is declared for it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from kubeapi.admission import attributes
from kubeapi.admission.attributes import Attributes
from kubeapi.admission.classes import Classes
from kubeapi.admission.limit_ranges import LimitRanges
from kubeapi.admission.mutating_policies import MutatingPolicies
from kubeapi.admission.pod_security import PodSecurity
from kubeapi.admission.quotas import Quotas
from kubeapi.admission.validating_policies import ValidatingPolicies
from kubeapi.admission.webhooks import Reinvocation, Webhooks
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
        self._mutating = MutatingPolicies(cluster, authorizer)
        self._changing = Webhooks(cluster, authorizer, mutating=True)
        self._policies = ValidatingPolicies(cluster, authorizer)
        self._judging = Webhooks(cluster, authorizer, mutating=False)
        limits, quotas = LimitRanges(cluster), Quotas(cluster)
        cluster.admission.on_admitting.append(limits.default)
        cluster.admission.on_admitting.append(Classes(cluster).admit)
        cluster.admission.on_judging.append(limits.judge)
        cluster.admission.on_judging.append(PodSecurity(cluster).judge)
        cluster.admission.on_changing.append(self._change)
        cluster.admission.on_judging.append(self._judge)
        cluster.admission.on_judging.append(quotas.judge)
        cluster.admission.on_requested.append(self._judge_subresource)
        cluster.admission.on_deleting.append(self._judge_deletion)

    def _change(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        if not (self._mutating or self._changing):
            return
        asked = attributes.of_write(self._cluster, resource, manifest, old, options)
        if asked.exempt:
            return
        policies, webhooks = Reinvocation(), Reinvocation()
        changed = self._mutating.change(asked, manifest, policies) if self._mutating else False
        if self._changing:
            changed = self._changing.change(asked, manifest, options.warnings, webhooks) or changed
        if not changed:
            return
        # What they add (a container, say) is admitted as what the client sent, and who wants to sees it then.
        before = copy.deepcopy(manifest)
        for function in self._cluster.admission.on_admitting:
            function(resource, manifest, old, options)
        if manifest != before:
            policies.require()
        if self._mutating:
            self._mutating.change(asked, manifest, policies, 1)
        if manifest != before:
            webhooks.require()
        if self._changing:
            self._changing.change(asked, manifest, options.warnings, webhooks, 1)

    def _judge(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        if self._policies or self._judging:
            asked = attributes.of_write(self._cluster, resource, manifest, old, options)
            self._judge_request(asked, options.warnings)

    def _judge_deletion(self, resource: Resource, live: Manifest, options: DeleteOptions) -> None:
        if self._changing or self._policies or self._judging:
            asked = attributes.of_deletion(resource, live, options)
            if self._changing and not asked.exempt:
                self._changing.change(asked, {}, options.warnings, Reinvocation())
            self._judge_request(asked, options.warnings)

    def _judge_subresource(self, resource: Resource, body: Manifest, key: tuple[str, str], options: Options) -> None:
        if self._policies or self._judging:
            self._judge_request(attributes.of_request(resource, body, key, options), options.warnings)

    def _judge_request(self, asked: Attributes, warnings: list[str]) -> None:
        if asked.exempt:
            return
        if self._policies:
            self._policies.judge(asked, warnings)
        if self._judging:
            self._judging.judge(asked, warnings)
