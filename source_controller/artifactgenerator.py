"""ArtifactGenerator: files of several sources, or of parts of one, become artifacts of their own.

    sources → trees → plan → copied files → artifacts → ExternalArtifacts → inventory

Nothing is fetched or built while the sources, the spec and what was made of them are as they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

from shared.api.meta import Artifact
from shared.api.producers import has_new_artifact
from shared.api.source import ArtifactGenerator, ExternalArtifact, GeneratorInventoryEntry
from shared.artifact.errors import StorageError
from shared.artifact.fetch import Fetcher
from shared.kube.errors import ApiError
from shared.loop.attempt import Attempt
from shared.loop.kinds import Kind, Ref, Wake
from shared.loop.verdict import Failed, Ready, Stalled
from source_controller.generated import placing, plan, sources
from source_controller.generated.output import MANAGER, BuildError, Outputs, TakenError
from source_controller.generated.plan import PlanError, Wanted

FINALIZER = "source.extensions.fluxcd.io/finalizer"
RECONCILE = "source.extensions.fluxcd.io/reconcile"
"""The annotation that switches a generator off: `disabled`."""
INTERVAL = 3600.0
"""Seconds after which all is looked at again although nothing was heard of a change."""
_WORKING = "Reconciliation in progress"
_Attempt = Attempt[ArtifactGenerator]


def kind(outputs: Outputs, fetcher: Fetcher) -> Kind[ArtifactGenerator]:
    """The kind, on what was made so far and a cache of sources' files."""

    async def reconcile(generator: ArtifactGenerator, attempt: _Attempt) -> Ready:
        status = generator.status
        if wrong := plan.problem(generator):
            raise Stalled("ValidationFailed", wrong)
        sources.require_access(generator, own_namespace_only=attempt.options.no_cross_namespace_refs)  # AccessDenied
        found = await sources.find(generator, attempt)  # SourceFetchFailed
        observed = sources.digest(found)
        lost = await outputs.lost(generator, attempt)
        if not (lost or is_outdated(generator, observed) or outputs.drifted(generator, attempt)):
            message = f"No drift detected, {len(status.inventory)} artifact(s) up to date"
            attempt.unchanged("Ready", message)
            return _ready(generator)
        await (attempt.save(_WORKING) if lost else attempt.progress(_WORKING))

        async with sources.fetched(found, fetcher) as trees:  # SourceFetchFailed
            wanted = await planned(generator, trees)  # BuildFailed stalls
            await record(generator, wanted, attempt)
            async with attempt.workdir() as work:
                await _make(generator, wanted, trees, found, work, attempt)  # BuildFailed, ReconciliationFailed
        await _prune(generator, {each.name for each in wanted}, attempt)  # ReconciliationFailed
        status.observed_sources_digest = observed
        return _ready(generator)

    async def _make(
        generator: ArtifactGenerator,
        wanted: Iterable[Wanted],
        trees: Mapping[str, Path],
        found: Mapping[str, Artifact],
        work: Path,
        attempt: _Attempt,
    ) -> None:
        """Makes each artifact and shows it. One that can't be made holds up no other."""
        inventory = generator.status.inventory
        places = {entry.name: place for place, entry in enumerate(inventory)}
        reason, problems, news = "BuildFailed", [], []
        for number, one in enumerate(wanted):
            try:
                live = await outputs.find(generator, one.name, attempt)
                artifact = await outputs.make(generator, one, trees, found, work / str(number))
                entry = await outputs.show(generator, one, artifact, live, attempt)
            except BuildError as error:
                problems.append(f"{one.name} build failed: {error}")
                continue
            except (ApiError, TakenError) as error:
                reason = "ReconciliationFailed"
                problems.append(f"{one.name} reconcile failed: {error}")
                if isinstance(error, ApiError):
                    break  # it would fail for the others, too
                continue
            if entry.digest != inventory[places[one.name]].digest:
                news.append(f"{entry.namespace}/{entry.name} ({entry.digest})")
            inventory[places[one.name]] = entry
        if news:
            attempt.event("Ready", "external artifacts reconciled: " + "\n".join(news))
        if problems:
            raise Failed(reason, "; ".join(problems))

    async def _prune(generator: ArtifactGenerator, wanted: set[str], attempt: _Attempt) -> None:
        """Removes what was made and is no longer wanted."""
        for entry in list(generator.status.inventory):
            if entry.name not in wanted and await _remove(generator, entry, attempt):
                generator.status.inventory.remove(entry)

    async def _remove(generator: ArtifactGenerator, entry: GeneratorInventoryEntry, attempt: _Attempt) -> bool:
        try:
            return await outputs.remove(generator, entry, attempt)
        except (ApiError, StorageError) as error:
            raise Failed("ReconciliationFailed", f"{entry.name} can't be removed: {error}") from error

    async def finalize(generator: ArtifactGenerator, attempt: _Attempt) -> None:
        for entry in generator.status.inventory:
            await _remove(generator, entry, attempt)

    return Kind(
        type=ArtifactGenerator,
        reconcile=reconcile,
        finalize=finalize,
        in_progress=_WORKING,
        manager=MANAGER,
        finalizer=FINALIZER,
        annotations=(RECONCILE,),
        suspended=is_disabled,
        rests=rests,
        interval=lambda _: INTERVAL,
        forget=outputs.forget,
        wakes=(
            *(
                Wake(type=type_, refers=sources.refers_to(name), when=has_new_artifact)
                for name, type_ in sources.KINDS.items()
                if type_ is not ExternalArtifact
            ),
            Wake(type=ExternalArtifact, refers=externals, when=differs),
        ),
    )


def is_disabled(generator: ArtifactGenerator) -> bool:
    """Did its user switch it off?"""
    return generator.metadata.annotations.get(RECONCILE, "").lower() == "disabled"


def rests(generator: ArtifactGenerator, attempt: _Attempt) -> None:
    """What is said of a generator that is switched off."""
    attempt.event("ReconciliationDisabled", "Reconciliation is disabled", "trace")
    if not generator.status.conditions:
        attempt.mark("Ready", True, "ReconciliationDisabled", "Initialized with reconciliation suspended")
    if attempt.request is not None:
        generator.status.last_handled_reconcile_at = attempt.request


def externals(generator: ArtifactGenerator) -> Iterable[Ref]:
    """The ExternalArtifacts that a generator takes files from, and those that it made."""
    made = [Ref(entry.namespace, entry.name) for entry in generator.status.inventory]
    return [*sources.refers_to(ExternalArtifact.resource.kind)(generator), *made]


def differs(old: ExternalArtifact | None, new: ExternalArtifact | None) -> bool:
    """Whether a change of an ExternalArtifact matters to who made it or takes files from it."""
    if old is None or new is None:
        return True
    return (
        old.status != new.status
        or old.metadata.generation != new.metadata.generation
        or old.metadata.labels != new.metadata.labels
        or old.metadata.annotations != new.metadata.annotations
    )


def is_outdated(generator: ArtifactGenerator, observed: str) -> bool:
    """Must everything be made anew: was it made of other sources or another spec, or did it fail?"""
    spec, status = generator.spec, generator.status
    ready = next((each for each in status.conditions if each.type == "Ready"), None)
    return (
        ready is None
        or ready.status != "True"
        or ready.observed_generation != generator.metadata.generation
        or status.observed_sources_digest != observed
        or (not spec.path_pattern and len(status.inventory) != len(spec.artifacts))
    )


async def planned(generator: ArtifactGenerator, trees: Mapping[str, Path]) -> list[Wanted]:
    """What to make. Stalls with BuildFailed where a pathPattern and the directories don't go together."""
    found: list[str] = []
    alias = plan.pattern_source(generator.spec)
    if alias is not None and alias in trees:
        found = await asyncio.to_thread(placing.directories, trees[alias])
    try:
        return plan.artifacts(generator, found)
    except PlanError as error:
        raise Stalled("BuildFailed", f"failed to expand path pattern: {error}") from error


async def record(generator: ArtifactGenerator, wanted: Iterable[Wanted], attempt: _Attempt) -> None:
    """Saves the names of what will be made before it is, so that nothing lives that the status doesn't know."""
    status, namespace = generator.status, generator.metadata.namespace
    known = {entry.name for entry in status.inventory}
    new = [each.name for each in wanted if each.name not in known]
    if new:
        status.inventory = [
            *status.inventory,
            *(GeneratorInventoryEntry(name=name, namespace=namespace, digest="", filename="") for name in new),
        ]
        await attempt.save(_WORKING)


def _ready(generator: ArtifactGenerator) -> Ready:
    return Ready("Succeeded", f"reconciliation succeeded, generated {len(generator.status.inventory)} artifact(s)")
