"""Output: generated artifacts in the store, and the ExternalArtifacts that show them.

    tree of files → stored artifact → ExternalArtifact → … → removed

What always holds: an ExternalArtifact shows an artifact only once its bytes are stored; one that is somebody else's is
never changed or deleted; and nothing is written where it says so already.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import msgspec

from shared.api import codec
from shared.api.meta import ORIGIN_REVISION, Artifact, Manifest, format_time
from shared.api.source import ArtifactGenerator, ExternalArtifact, GeneratorInventoryEntry
from shared.artifact import tar
from shared.artifact.addresses import Owner
from shared.artifact.errors import StorageError
from shared.artifact.store import Store
from shared.artifact.tar import ArchiveError
from shared.kube.errors import Conflict, NotFound
from shared.loop.attempt import Attempt
from shared.text import ignore
from source_controller.generated import copying, placing, sources
from source_controller.generated.placing import CopyError
from source_controller.generated.plan import Wanted

MANAGER = "source-watcher"
"""As whom upstream writes these objects: whoever moves over keeps one owner of their fields."""
LABEL = "source.extensions.fluxcd.io/generator"
_KIND = ExternalArtifact.resource
_READY = {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "Artifact is ready"}


class BuildError(Exception):
    """An artifact can't be made of the sources' files, or not be stored."""


class TakenError(Exception):
    """An ExternalArtifact of that name belongs to somebody else."""


@dataclass(frozen=True)
class _Shown:
    """An ExternalArtifact as it was last applied."""

    manifest: Manifest
    artifact: Artifact


class Outputs:
    """What generators have made. What is remembered here is what was applied: after a restart all is looked at anew."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shown: dict[str, dict[str, _Shown]] = {}

    # ---- what is there ----------------------------------------------------------------------------------------------

    async def lost(self, generator: ArtifactGenerator, attempt: Attempt[ArtifactGenerator]) -> list[str]:
        """Names of recorded artifacts whose bytes are gone or damaged. Those that are old are removed meanwhile."""
        lost = []
        for entry in generator.status.inventory:
            shown = await attempt.read(ExternalArtifact, entry.namespace, entry.name)
            artifact = shown.status.artifact if shown is not None else None
            if artifact is None or PurePosixPath(artifact.path).name != entry.filename:
                continue  # not what was made: drift
            state = await self._store.check(_owner(entry.namespace, entry.name), artifact)
            if state == "stored":
                await self._collect(entry, artifact, attempt)
                continue
            lost.append(entry.name)
            if state == "damaged":
                attempt.event(
                    "ArtifactVerificationFailed",
                    f"the stored bytes of '{artifact.path}' don't match their digest, they are made again",
                    "error",
                )
        return lost

    async def _collect(
        self, entry: GeneratorInventoryEntry, current: Artifact, attempt: Attempt[ArtifactGenerator]
    ) -> None:
        try:
            await self._store.collect(_owner(entry.namespace, entry.name), current)
        except StorageError as error:
            attempt.event("GarbageCollectionFailed", f"garbage collection of artifacts failed: {error}", "error")

    def drifted(self, generator: ArtifactGenerator, attempt: Attempt[ArtifactGenerator]) -> bool:
        """Does any ExternalArtifact differ from what was applied, or isn't that known?"""
        known = self._shown.get(generator.metadata.uid, {})
        if known.keys() != {entry.name for entry in generator.status.inventory}:
            return True
        namespace = generator.metadata.namespace
        return any(
            not says(attempt.find(ExternalArtifact, namespace, name), shown.manifest, shown.artifact)
            for name, shown in known.items()
        )

    # ---- make and show ----------------------------------------------------------------------------------------------

    async def find(
        self, generator: ArtifactGenerator, name: str, attempt: Attempt[ArtifactGenerator]
    ) -> ExternalArtifact | None:
        """The ExternalArtifact of that name, if there is one. TakenError when it isn't the generator's."""
        live = await attempt.read(ExternalArtifact, generator.metadata.namespace, name)
        if live is not None and (other := other_owner(live, generator)):
            raise TakenError(f"ExternalArtifact '{live.metadata.namespace}/{name}' belongs to {other}")
        return live

    async def make(
        self,
        generator: ArtifactGenerator,
        wanted: Wanted,
        trees: Mapping[str, Path],
        found: Mapping[str, Artifact],
        root: Path,
    ) -> Artifact:
        """Puts an artifact together in the new directory `root`, and stores it. BuildError."""
        try:
            await self._store.run(copying.build, wanted.steps, trees, root)
            content = await self._store.run(placing.digest, root)

            def write(out: BinaryIO) -> None:
                tar.pack(root, out, ignore.matcher({}).excludes)

            owner = _owner(generator.metadata.namespace, wanted.name)
            made = await self._store.publish(owner, f"{content}.tar.gz", "", write)
        except (CopyError, StorageError, ArchiveError, OSError) as error:
            raise BuildError(str(error)) from error
        return msgspec.structs.replace(
            made,
            revision=found[wanted.revision_of].revision if wanted.revision_of else f"latest@{made.digest}",
            metadata={ORIGIN_REVISION: sources.origin(found[wanted.origin_of])} if wanted.origin_of else {},
        )

    async def show(
        self,
        generator: ArtifactGenerator,
        wanted: Wanted,
        artifact: Artifact,
        live: ExternalArtifact | None,
        attempt: Attempt[ArtifactGenerator],
    ) -> GeneratorInventoryEntry:
        """Makes the ExternalArtifact, which is `live` now, say what was made; what it says already isn't written."""
        manifest = shape(generator, wanted)
        if live is None or not says(live, manifest, None, exactly=True):
            live = await self._written(manifest, attempt)
        if not says(live, manifest, artifact):
            await self._written(_status(live, artifact), attempt, subresource="status")
            attempt.log.info("%s/%s has revision %s", _KIND.kind, wanted.name, artifact.revision)
        self._shown.setdefault(generator.metadata.uid, {})[wanted.name] = _Shown(manifest, artifact)
        return GeneratorInventoryEntry(
            name=wanted.name,
            namespace=generator.metadata.namespace,
            digest=artifact.digest,
            filename=PurePosixPath(artifact.path).name,
        )

    async def _written(
        self, manifest: Manifest, attempt: Attempt[ArtifactGenerator], subresource: str = ""
    ) -> ExternalArtifact:
        answer = await attempt.kube.apply(manifest, field_manager=MANAGER, subresource=subresource)
        attempt.controller.deliver(_KIND, "MODIFIED", answer)  # no watch has told of it yet
        return codec.decode(ExternalArtifact, answer)

    # ---- remove -----------------------------------------------------------------------------------------------------

    async def remove(
        self, generator: ArtifactGenerator, entry: GeneratorInventoryEntry, attempt: Attempt[ArtifactGenerator]
    ) -> bool:
        """Deletes an ExternalArtifact, if it is the generator's, and then its stored files. False while something keeps
        it. StorageError."""
        live = await attempt.read(ExternalArtifact, entry.namespace, entry.name)
        if live is not None:
            if other_owner(live, generator):
                self._forget(generator, entry)
                return True
            try:
                left = await attempt.kube.delete(
                    _KIND.api_version, _KIND.kind, entry.name, entry.namespace, uid=live.metadata.uid
                )
            except NotFound:
                left = None
            except Conflict:  # another one by now
                return False
            if left is not None:
                return False
        await self._store.remove(_owner(entry.namespace, entry.name))
        self._forget(generator, entry)
        return True

    def _forget(self, generator: ArtifactGenerator, entry: GeneratorInventoryEntry) -> None:
        self._shown.get(generator.metadata.uid, {}).pop(entry.name, None)

    def forget(self, generator: ArtifactGenerator) -> None:
        """Drops what is remembered of a generator that is gone."""
        self._shown.pop(generator.metadata.uid, None)


def shape(generator: ArtifactGenerator, wanted: Wanted) -> Manifest:
    """The ExternalArtifact that a generator applies for an artifact, less its status."""
    common = generator.spec.common_metadata
    labels = {
        **(common.labels if common else {}),
        **wanted.labels,
        "app.kubernetes.io/managed-by": MANAGER,
        LABEL: generator.metadata.uid,
    }
    annotations = dict(common.annotations) if common else {}
    return {
        "apiVersion": _KIND.api_version,
        "kind": _KIND.kind,
        "metadata": {
            "name": wanted.name,
            "namespace": generator.metadata.namespace,
            "labels": labels,
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": {
            "sourceRef": {
                "apiVersion": generator.resource.api_version,
                "kind": generator.resource.kind,
                "name": generator.metadata.name,
                "namespace": generator.metadata.namespace,
            }
        },
    }


def says(
    live: ExternalArtifact | None, manifest: Manifest, artifact: Artifact | None, *, exactly: bool = False
) -> bool:
    """Does an ExternalArtifact say what the manifest does, and, when there is an artifact, show it? With `exactly` it
    has no more labels and annotations than those: there may be some that a generator no longer wants."""
    if live is None:
        return False
    metadata = manifest["metadata"]
    for wanted, have in (
        (metadata["labels"], live.metadata.labels or {}),
        (metadata.get("annotations", {}), live.metadata.annotations or {}),
    ):
        if not wanted.items() <= have.items() or (exactly and len(wanted) != len(have)):
            return False
    if live.spec.source_ref is None or codec.encode(live.spec.source_ref) != manifest["spec"]["sourceRef"]:
        return False
    if artifact is None:
        return True
    shown, conditions = live.status.artifact, [codec.encode(each) for each in live.status.conditions]
    return (
        shown is not None
        and msgspec.structs.replace(shown, last_update_time=artifact.last_update_time) == artifact
        and any(_READY.items() <= condition.items() for condition in conditions)
    )


def _status(live: ExternalArtifact, artifact: Artifact) -> Manifest:
    """The status that shows an artifact. Ready keeps the time since when it is."""
    before = next((each for each in live.status.conditions if each.type == "Ready" and each.status == "True"), None)
    ready: dict[str, Any] = {
        **_READY,
        "observedGeneration": live.metadata.generation,
        "lastTransitionTime": before.last_transition_time if before else format_time(time.time()),
    }
    return {
        "apiVersion": _KIND.api_version,
        "kind": _KIND.kind,
        "metadata": {"name": live.metadata.name, "namespace": live.metadata.namespace},
        "status": {"artifact": codec.encode(artifact), "conditions": [ready]},
    }


def other_owner(live: ExternalArtifact, generator: ArtifactGenerator) -> str:
    """Whose an ExternalArtifact is, when it isn't this generator's: what nobody claims is, and what it made in an
    earlier life."""
    ref, own = live.spec.source_ref, generator.metadata
    if live.metadata.labels.get(LABEL) == own.uid or ref is None:
        return ""
    namespace = ref.namespace or own.namespace
    if (ref.kind, ref.name, namespace) == (generator.resource.kind, own.name, own.namespace):
        return ""
    return f"{ref.kind} '{namespace}/{ref.name}'"


def _owner(namespace: str, name: str) -> Owner:
    return Owner(_KIND.kind, namespace, name)
