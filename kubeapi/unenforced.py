"""Objects that are stored but have no effect here: who creates one is told so, in a warning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeapi.resources import Resource
from kubeapi.writes import Options

if TYPE_CHECKING:
    from kubeapi.cluster import Cluster

Manifest = dict[str, Any]


_DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")
_CONVERSION = "the embedded Kubernetes API calls no conversion webhook: versions differ by apiVersion only"


def warn(cluster: Cluster) -> None:
    """Add the warnings to every creation and change of such an object."""
    cluster.admission.on_before.append(_warn)


def _warn(resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
    if options.subresource or resource.storage != _DEFINITIONS:
        return
    spec = manifest.get("spec")
    conversion = spec.get("conversion") if isinstance(spec, dict) else None
    webhook = isinstance(conversion, dict) and conversion.get("strategy") == "Webhook"
    if webhook and _CONVERSION not in options.warnings:
        options.warnings.append(_CONVERSION)
