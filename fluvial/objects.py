"""The two objects that tie a cluster to a repository: a GitRepository, and a Kustomization of one of its paths."""

from __future__ import annotations

import time

from fluvial.installation import FIELD_MANAGER, NAMESPACE
from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.api.source import GitRepository
from shared.kube.client import Client

NAME = "flux-system"
"""Of both objects; what `flux bootstrap` calls them, too."""
SOURCE = GitRepository.resource
KUSTOMIZATION = Kustomization.resource


def manifests(url: str, branch: str, path: str, *, interval: str = "1m", secret: str = "") -> list[Manifest]:
    """Both objects, for a branch of the repository at `url`. `secret` names one with credentials in the namespace."""
    metadata = {"name": NAME, "namespace": NAMESPACE}
    reference = {"secretRef": {"name": secret}} if secret else {}
    return [
        {
            "apiVersion": SOURCE.api_version,
            "kind": SOURCE.kind,
            "metadata": metadata,
            "spec": {"url": url, "ref": {"branch": branch}, "interval": interval, **reference},
        },
        {
            "apiVersion": KUSTOMIZATION.api_version,
            "kind": KUSTOMIZATION.kind,
            "metadata": metadata,
            "spec": {
                "sourceRef": {"kind": SOURCE.kind, "name": NAME},
                "path": path,
                "interval": "10m",
                "retryInterval": "1m",
                "prune": True,
            },
        },
    ]


def secret(name: str, **data: str) -> Manifest:
    """A Secret in the namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "stringData": data,
    }


async def apply(client: Client, objects: list[Manifest]) -> None:
    """Apply objects in their order."""
    for manifest in objects:
        await client.apply(manifest, field_manager=FIELD_MANAGER)


async def request(client: Client) -> None:
    """Ask for the repository to be looked at now, as a webhook through a Receiver, or `flux reconcile`, would."""
    patch = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": f"{time.time_ns()}"}}}
    await client.patch(
        SOURCE.api_version, SOURCE.kind, NAME, NAMESPACE, patch, type="merge", field_manager=FIELD_MANAGER
    )
