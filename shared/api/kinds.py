"""All kinds, in the order of their groups."""

from __future__ import annotations

from shared.api.helm import HelmRelease
from shared.api.image import ImagePolicy, ImageRepository, ImageUpdateAutomation
from shared.api.kustomize import Kustomization
from shared.api.meta import Resource
from shared.api.notification import Alert, Provider, Receiver
from shared.api.source import (
    ArtifactGenerator,
    Bucket,
    ExternalArtifact,
    GitRepository,
    HelmChart,
    HelmRepository,
    OCIRepository,
)

KINDS: tuple[type[Resource], ...] = (
    GitRepository,
    OCIRepository,
    HelmRepository,
    HelmChart,
    Bucket,
    ExternalArtifact,
    ArtifactGenerator,
    Kustomization,
    HelmRelease,
    Provider,
    Alert,
    Receiver,
    ImageRepository,
    ImagePolicy,
    ImageUpdateAutomation,
)


def find(group: str, kind: str) -> type[Resource] | None:
    """The type of a group's kind, None when it is none of ours."""
    return _BY_NAME.get((group, kind))


_BY_NAME = {(cls.resource.group, cls.resource.kind): cls for cls in KINDS}
