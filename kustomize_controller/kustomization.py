"""Kustomization: make the cluster what a path of a source says.

    artifact → files → manifests → change set → inventory → health

The inventory is saved before the cluster is touched, and drops an object only once it is seen gone or meant to stay:
whatever fails in between, nothing lives that the status doesn't know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from kustomize_controller import (
    budget,
    build,
    decrypt,
    dependencies,
    drift,
    healthchecks,
    history,
    keyservices,
    memory,
    sources,
    templates,
    variables,
)
from kustomize_controller.build import Built
from kustomize_controller.cluster import Cluster, require_all_applied
from kustomize_controller.identity import Clusters, IdentityGone
from kustomize_controller.keys import Keys
from kustomize_controller.memory import Memory
from kustomize_controller.report import CHANGED, Report
from kustomize_controller.sources import Source
from kustomize_controller.surveys import Surveys
from kustomize_controller.templates import Template, Templates
from shared.api.kustomize import Kustomization
from shared.api.meta import format_duration, parse_duration
from shared.api.producers import PRODUCERS
from shared.apply import ChangeSet, Inventory, Ledger, Owner
from shared.artifact.fetch import Fetcher
from shared.auth import Clouds
from shared.kustomize import Survey
from shared.loop.attempt import Attempt
from shared.loop.kinds import Kind, Ref, Wake
from shared.loop.verdict import Ready

CATCH_UP = 0.05
"""Seconds by which a reconciliation that was asked for, and finds all known, lets the watches catch up: whoever changed
something and then asked must find it corrected, and the request can be faster than the news of the change."""
SHORTEST_TIMEOUT = 30.0
"""Seconds; a shorter `timeout` counts as this."""


class Kustomizations:
    """The story of all Kustomizations, with what is remembered of them between attempts."""

    def __init__(
        self, ledger: Ledger, fetcher: Fetcher, clouds: Clouds, options: Any, wake: Callable[[Owner, bool], None]
    ) -> None:
        """`ledger` is that of the controller's own cluster; `wake` makes an owner's Kustomization due, and says whether
        that ends a wait."""
        self._clusters, self._clouds = Clusters(ledger, options, clouds, wake), clouds
        self._fetcher, self._options = fetcher, options
        self._memory, self._surveys, self._templates = Memory(), Surveys(), Templates()

    async def close(self) -> None:
        """Close the connections to other clusters."""
        await self._clusters.close()

    async def reconcile(self, ks: Kustomization, attempt: Attempt[Kustomization]) -> Ready:
        checks = healthchecks.compiled(ks)  # InvalidCELExpression stalls
        decrypt.require_enabled(ks, attempt)  # FeatureGateDisabled stalls
        source = await sources.find(ks, attempt)  # ArtifactFailed waits, AccessDenied stalls
        attempt.about = source.about
        await dependencies.require_ready(ks, attempt, source)  # DependencyNotReady waits
        await attempt.progress(f"Fetching {_manifests(ks, source)}")
        given = await variables.find(ks, attempt)  # BuildFailed
        keys = await decrypt.find(ks, attempt)  # BuildFailed
        cluster = await self._clusters.find(ks, attempt)  # ReconciliationFailed

        revision = source.artifact.revision
        is_news = ks.status.last_applied_revision != revision
        was_ready = any(one.type == "Ready" and one.status == "True" for one in ks.status.conditions)
        attempt.is_routine = was_ready and not is_news
        inputs = memory.inputs(ks, given, keys.digest if keys else "")
        built = self._memory.recall(ks, inputs, source.artifact.digest, asked=attempt.requested)
        if built is not None and attempt.requested:
            async with attempt.resting():
                await asyncio.sleep(CATCH_UP)
        if built is None:
            built = await self._build(ks, attempt, source, inputs, given, keys)  # ArtifactFailed, BuildFailed
        ks.status.last_attempted_revision = revision

        report = Report(attempt)
        with history.kept(ks, attempt, built.digest), report.in_time():
            changes = await self._apply(ks, attempt, cluster, built, report)  # ReconciliationFailed, PruneFailed
            attempt.is_routine &= not report.changed
            places = built.places
            del built  # thousands may wait
            await healthchecks.wait(  # HealthCheckFailed
                ks, attempt, cluster, changes, places, checks, report, timeout(ks)
            )
        ks.status.last_applied_revision = revision
        ks.status.last_applied_origin_revision = source.artifact.origin_revision
        report.succeed(history.SUCCEEDED, revision_is_new=is_news, was_ready=was_ready)
        return Ready(history.SUCCEEDED, f"Applied revision: {revision}")

    async def finalize(self, ks: Kustomization, attempt: Attempt[Kustomization]) -> None:
        """Delete what was applied, as spec.deletionPolicy says. PruneFailed while that can't be done; what can't be
        deleted at all, or takes too long to go, is told, and doesn't keep the Kustomization."""
        policy = ks.spec.deletion_policy or "MirrorPrune"
        wanted = ks.spec.prune if policy == "MirrorPrune" else policy != "Orphan"
        recorded = Inventory.from_status(ks.status.inventory)
        if not wanted or ks.spec.suspend or not recorded:
            return
        attempt.about = sources.about(ks.status.last_applied_revision, ks.status.last_applied_origin_revision)
        report = Report(attempt, reason=ready_reason(ks))
        try:
            cluster = await self._clusters.find(ks, attempt, must_exist=True)
        except IdentityGone as error:
            report.fail("unable to prune objects: \n" + "\n".join([*map(str, recorded), f"they stay: {error}"]))
            return
        with report.in_time():
            deleted = await cluster.delete(recorded, report)  # PruneFailed
            ks.status.inventory = (recorded - deleted).to_status()
            report.tell()
            if policy == "WaitForTermination":
                async with attempt.resting():
                    late = await cluster.wait_gone(deleted, timeout(ks))
                if late:
                    report.fail(f"failed to wait for resources termination: {late}")

    def forget(self, ks: Kustomization) -> None:
        """Forget a Kustomization that is gone."""
        self._memory.forget(ks)
        self._clusters.forget(ks)

    async def _build(
        self,
        ks: Kustomization,
        attempt: Attempt[Kustomization],
        source: Source,
        inputs: bytes,
        given: dict[str, str] | None,
        keys: Keys | None,
    ) -> Built:
        """Fetch the artifact, and build the path unless nothing that it was built of before has changed."""
        async with sources.fetched(source, attempt, self._fetcher) as root:
            digest = source.artifact.digest
            survey = self._surveys.of(digest, root)
            unmoved = await self._memory.recall_unmoved(ks, inputs, digest, survey)
            if unmoved is not None:
                return unmoved
            path = build.require_path(ks, survey)
            ks.status.last_attempted_revision = source.artifact.revision
            await attempt.progress(f"Building {_manifests(ks, source)}")
            template = await self._template(ks, attempt, digest, survey, path, keys)
            strict = attempt.options.feature_gates["StrictPostBuildSubstitutions"]
            built = await build.filled(ks, template, given, strict=strict)
            self._memory.keep(ks, inputs, digest, template, built)
            return built

    async def _template(
        self,
        ks: Kustomization,
        attempt: Attempt[Kustomization],
        digest: str,
        survey: Survey,
        path: str,
        keys: Keys | None,
    ) -> Template:
        """What the path says before variables are filled in. What needs no keys is built once for all who build it."""
        seconds = 0.0 if self._options.no_remote_bases else timeout(ks)
        if keys is None:
            make = partial(build.template, ks, survey, path, remote_seconds=seconds)
            return await self._templates.of(templates.key(ks.spec, digest, path), make)
        services = keyservices.of(ks, attempt, self._clouds, keys)
        async with decrypt.opened(keys, services, self._options.sops_path, timeout(ks)) as decryption:
            return await build.template(ks, survey, path, decryption=decryption, remote_seconds=seconds)

    async def _apply(
        self, ks: Kustomization, attempt: Attempt[Kustomization], cluster: Cluster, built: Built, report: Report
    ) -> ChangeSet:
        """Apply what was built and delete what isn't built any more. Without a request when all is as it should be."""
        build.require_decrypted(built)  # ReconciliationFailed
        recorded, desired = Inventory.from_status(ks.status.inventory), Inventory.of(built.manifests)
        stale, drift_wanted = recorded - desired, drift.wanted(ks, built.digest)
        revision, within = attempt.about["revision"], format_duration(timeout(ks))
        message = f"Detecting drift for revision {revision} with a timeout of {within}"
        if desired - recorded:
            ks.status.inventory = (recorded | desired).to_status()
            await attempt.save(message)
        else:
            await attempt.progress(message)
        changes = await cluster.apply(built, drift_wanted, report, timeout(ks))
        drift.tell(ks, attempt, changes)
        require_all_applied(changes)
        budget.require_confirmed(ks, revision, built, cluster.doomed(stale), len(recorded | desired))  # PruneHeld
        left = await cluster.prune(stale, report)
        ks.status.inventory = (desired | left).to_status()
        return changes


def _manifests(ks: Kustomization, source: Source) -> str:
    """What is fetched and built, as the progress of an attempt tells it."""
    return f"manifests for revision {source.artifact.revision} with a timeout of {format_duration(timeout(ks))}"


def timeout(ks: Kustomization) -> float:
    """Seconds that applying, and then waiting for health, may take."""
    spec = ks.spec
    seconds = parse_duration(spec.timeout) if spec.timeout else parse_duration(spec.interval) - SHORTEST_TIMEOUT
    return max(seconds, SHORTEST_TIMEOUT)


def ready_reason(ks: Kustomization) -> str:
    """Why the Kustomization is Ready or isn't: what events about its end are called."""
    return next((condition.reason for condition in ks.status.conditions if condition.type == "Ready"), CHANGED)


def retry_interval(ks: Kustomization) -> float:
    """Seconds between a failure and the next attempt."""
    return parse_duration(ks.spec.retry_interval or ks.spec.interval)


def kind(kustomizations: Kustomizations) -> Kind[Kustomization]:
    """What the loop must know of the kind."""

    def source_of(type_: str) -> Callable[[Kustomization], list[Ref]]:
        return lambda ks: [sources.ref(ks)] if ks.spec.source_ref.kind == type_ else []

    return Kind(
        type=Kustomization,
        reconcile=kustomizations.reconcile,
        finalize=kustomizations.finalize,
        in_progress="Reconciliation in progress",
        manager="gotk-kustomize-controller",
        wakes=(
            *(Wake(type=type_, refers=source_of(name), when=sources.is_news) for name, type_ in PRODUCERS.items()),
            Wake(type=Kustomization, refers=dependencies.refs, when=dependencies.became_ready, preempts=False),
            Wake(type=Kustomization, refers=dependencies.judged, when=dependencies.may_hold_now, preempts=False),
        ),
        configs=variables.configs,
        retry_interval=retry_interval,
        abnormal=(budget.HELD,),
        annotations=(budget.CONFIRM,),
        forget=kustomizations.forget,
    )
