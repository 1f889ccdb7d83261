"""What is kept of a live object's metadata: enough to tell whether someone touched what is ours, and what it asks.

metadata (of a watch, or of an answer) → Live
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any, TypeAlias

import msgspec

from shared.apply import fields, policies, takeover
from shared.apply.identity import DEFAULT_GROUP
from shared.apply.policies import Policy
from shared.apply.takeover import Predecessors
from shared.kube.watch import Metadata

Edition: TypeAlias = tuple[str, int, bytes]


@dataclass(frozen=True, slots=True)
class Live:
    """A live object, some hundred bytes of it."""

    uid: str
    version: int
    """The resourceVersion. Those of one resource can be compared: the greater is the later."""
    generation: int
    owner: tuple[str, str] | None
    """Namespace and name in the owner labels; None when one of them is missing."""
    fields: bytes
    """The digest of the field set of our Apply entry; empty when we have none."""
    written: str
    """When that entry last changed, by the server's clock, in whole seconds."""
    policy: Policy
    takeover_due: bool
    """A predecessor's fields or leftovers are on it."""
    deleting: bool
    touched: bytes
    """A digest of who wrote it and when, without what was written to its status."""

    @property
    def edition(self) -> Edition:
        """Differs when anything but the status may have changed."""
        return self.uid, self.generation or self.version, self.touched


@dataclass(frozen=True, slots=True)
class Reader:
    """Makes Live of metadata, for one field manager and one group of owner labels."""

    predecessors: Predecessors
    group: str = DEFAULT_GROUP

    def of_watch(self, metadata: Metadata) -> Live:
        raw = bytes(metadata.managed_fields)
        return self._live(
            uid=metadata.uid,
            version=metadata.resource_version,
            generation=metadata.generation,
            labels=metadata.labels,
            annotations=metadata.annotations,
            entries=_decode(raw) if raw else (),
            deleting=metadata.deletion_timestamp is not None,
        )

    def of_manifest(self, manifest: Mapping[str, Any]) -> Live:
        metadata = manifest.get("metadata") or {}
        return self._live(
            uid=metadata.get("uid") or "",
            version=metadata.get("resourceVersion") or "",
            generation=metadata.get("generation") or 0,
            labels=metadata.get("labels") or {},
            annotations=metadata.get("annotations") or {},
            entries=msgspec.convert(fields.entries_of(manifest), list[_Entry]),
            deleting=bool(metadata.get("deletionTimestamp")),
        )

    def _live(
        self,
        *,
        uid: str,
        version: str,
        generation: int,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        entries: Iterable[_Entry],
        deleting: bool,
    ) -> Live:
        ours: _Entry | None = None
        is_due = takeover.has_leftovers(labels, annotations)
        touched = hashlib.blake2b(digest_size=8)
        for entry in entries:
            if not entry.subresource:
                touched.update(f"{entry.manager}\0{entry.operation}\0{entry.time}\0".encode())
            if entry.manager == self.predecessors.manager and entry.operation == "Apply" and not entry.subresource:
                ours = entry
            elif self.predecessors.include(entry.manager, entry.operation, entry.subresource):
                is_due = True
        name, namespace = labels.get(f"{self.group}/name"), labels.get(f"{self.group}/namespace")
        return Live(
            uid=uid,
            version=int(version) if version.isdigit() else 0,
            generation=generation,
            owner=(intern(namespace), intern(name)) if name and namespace else None,
            fields=b"" if ours is None else ours.digest,
            written="" if ours is None else ours.time,
            policy=policies.read(labels, annotations, self.group),
            takeover_due=is_due,
            deleting=deleting,
            touched=touched.digest(),
        )


class _Entry(msgspec.Struct, rename="camel"):
    """What matters of an entry of managedFields."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    time: str = ""
    fields_v1: Any = None

    @property
    def digest(self) -> bytes:
        """Of its field set."""
        if isinstance(self.fields_v1, msgspec.Raw):
            return fields.digest_of_json(bytes(self.fields_v1))
        return fields.digest(self.fields_v1 or {})


class _RawEntry(_Entry):
    """As it comes from a watch: a field set that isn't ours need not be parsed."""

    fields_v1: msgspec.Raw = msgspec.Raw(b"{}")


_decode = msgspec.json.Decoder(list[_RawEntry]).decode
