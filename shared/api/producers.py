"""The kinds that have an artifact, as those see them who only build from it.

A fleet has thousands of sources, and a whole one takes more than twice the memory.
"""

from __future__ import annotations

from typing import cast

import msgspec

from shared.api.meta import Artifact, Named, Part, Resource
from shared.api.source import Bucket, ExternalArtifact, GitRepository, OCIRepository


class ProducerStatus(Part, kw_only=True):
    """What was made last."""

    artifact: Artifact | None = None
    """The artifact of the newest revision that could be had."""


class Producer(Named, kw_only=True):
    """A source: which it is, and its artifact."""

    status: ProducerStatus = msgspec.field(default_factory=ProducerStatus)


def _producer(whole: type[Resource]) -> type[Producer]:
    made = msgspec.defstruct(whole.__name__, [], bases=(Producer,), namespace={"resource": whole.resource})
    return cast(type[Producer], made)


PRODUCERS: dict[str, type[Producer]] = {
    whole.resource.kind: _producer(whole) for whole in (GitRepository, OCIRepository, Bucket, ExternalArtifact)
}
"""Their types, by kind."""


def artifact_of(obj: Named | None) -> Artifact | None:
    """The artifact of an object of any kind that has one; None when there is none, or no object."""
    return getattr(getattr(obj, "status", None), "artifact", None)


def has_new_artifact(old: Named | None, new: Named | None) -> bool:
    """Whether a change of an object brought another artifact, for those who make something of it."""
    before, after = artifact_of(old), artifact_of(new)
    return after is not None and (before is None or before.known_by != after.known_by)
