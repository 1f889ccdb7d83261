"""CustomResourceDefinitions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeapi.errors import Cause

Struct = Mapping[str, Any]

KIND = ("apiextensions.k8s.io", "CustomResourceDefinition")


def check(manifest: Struct, old: Struct | None) -> list[Cause]:
    return []
