"""The cluster of one Kustomization, under the identity that it acts with: apply, prune, wait, delete.

How each can fail is put into the reasons of the Kustomization's conditions here, and only here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kustomize_controller.build import Built, Places
from kustomize_controller.report import Report
from shared import apply
from shared.api.kustomize import Kustomization
from shared.apply import ChangeSet, Inventory, Ledger, ObjectId, Owner
from shared.health.expressions import HealthChecks
from shared.kube.client import Client
from shared.loop.verdict import Failed
from shared.text import listed

MOST_NAMES = 10
"""Parked objects of a kind that the message names; the others are counted."""


def owner_of(ks: Kustomization) -> Owner:
    """What a Kustomization is called as the owner of objects, and wherever something is remembered of it."""
    return Owner(ks.metadata.namespace or "", ks.metadata.name)


def require_all_applied(changes: ChangeSet) -> None:
    """ReconciliationFailed, with every kind, when objects are parked because nobody has defined their kinds yet."""
    if told := _parked(changes):
        raise Failed(
            "ReconciliationFailed",
            f"parked until their kinds are defined, all else is applied and nothing is pruned meanwhile:\n{told}",
        )


def _parked(changes: ChangeSet) -> str:
    """One line a kind that nobody has defined."""
    parked: dict[tuple[str, str], list[str]] = {}
    for change in changes.of("parked"):
        parked.setdefault((change.api_version, change.id.kind), []).append(str(change.id))
    lines = []
    for (api_version, kind), names in parked.items():
        lines.append(f'{listed.names(names, MOST_NAMES)}: no matches for kind "{kind}" in version "{api_version}"')
    return "\n".join(lines)


@dataclass(frozen=True)
class Cluster:
    """`client` sends in the name of whom the Kustomization acts for; `ledger` knows what was applied."""

    ks: Kustomization
    client: Client
    ledger: Ledger
    options: Any

    @property
    def owner(self) -> Owner:
        return owner_of(self.ks)

    async def apply(self, built: Built, drift: apply.Drift, report: Report, within: float) -> ChangeSet:
        """Apply all objects in stages. ReconciliationFailed names every object of the stage that failed."""
        try:
            changes = await apply.staged(
                self.client,
                built.manifests,
                owner=self.owner,
                ledger=self.ledger,
                digest=built.digest,
                drift=drift,
                force=self.ks.spec.force,
                custom_stage_kinds=self.options.custom_apply_stage_kinds,
                concurrency=self.options.concurrent_ssa,
                seconds=within,
            )
        except apply.ApplyError as error:
            report.add(error.changes)
            parked = _parked(error.changes)
            raise Failed(
                "ReconciliationFailed", "\n".join(filter(None, [error.told(built.places.by_object()), parked]))
            ) from error
        report.add(changes)
        report.log(changes, grouped=self.options.feature_gates["GroupChangeLog"])
        return changes

    def doomed(self, stale: Inventory) -> list[ObjectId]:
        """Those of the stale objects that a prune would delete, as far as that is known."""
        return apply.doomed(stale, owner=self.owner, ledger=self.ledger) if self.ks.spec.prune else []

    async def prune(self, stale: Inventory, report: Report) -> Inventory:
        """Delete what isn't desired any more, where spec.prune says so; what is left of it to be seen gone.
        PruneFailed."""
        return stale - await self._delete(stale, report, enabled=self.ks.spec.prune) if stale else stale

    async def delete(self, recorded: Inventory, report: Report) -> ChangeSet:
        """Delete everything that was applied. PruneFailed."""
        return await self._delete(recorded, report, enabled=True, told="pruning for deleted resource failed: ")

    async def wait_gone(self, deleted: ChangeSet, within: float) -> str:
        """Wait until deleted objects are gone; what isn't in time, and why, or nothing."""
        try:
            await apply.wait_gone(self.client, deleted, ledger=self.ledger, seconds=within)
        except apply.TerminationError as error:
            return str(error)
        return ""

    async def wait_healthy(self, changes: ChangeSet, places: Places, checks: HealthChecks, within: float) -> None:
        """Wait until all applied objects, or those of spec.healthChecks, are healthy. HealthCheckFailed."""
        try:
            await apply.wait_healthy(
                self.client,
                changes,
                owner=self.owner,
                ledger=self.ledger,
                seconds=within,
                checks=checks,
                listed=None if self.ks.spec.wait else self.ks.spec.health_checks,
                fail_fast=not self.options.feature_gates["DisableFailFastBehavior"],
            )
        except apply.HealthCheckError as error:
            raise Failed("HealthCheckFailed", error.told(places.by_object())) from error

    async def _delete(self, ids: Inventory, report: Report, *, enabled: bool, told: str = "") -> ChangeSet:
        try:
            changes = await apply.prune(self.client, ids, owner=self.owner, ledger=self.ledger, enabled=enabled)
        except apply.PruneError as error:
            report.add(error.changes)
            raise Failed("PruneFailed", str(error), event=f"{told}{error}") from error
        report.add(changes)
        return changes
