"""The schemas of Kubernetes' built-in kinds, as data: no request, no clock, no cluster.

`lookup` and `resources` say what a real API server of the release `release()` knows; `normalise` uses it on a manifest.
"""

from __future__ import annotations

from shared.schema.catalog import BuiltIn, Subresource, definitions, description, lookup, release, resources, schema
from shared.schema.node import Schema
from shared.schema.normalise import normalise

__all__ = [
    "BuiltIn",
    "Schema",
    "Subresource",
    "definitions",
    "description",
    "lookup",
    "normalise",
    "release",
    "resources",
    "schema",
]
