"""CustomResourceDefinitions: what they define, and how objects of custom kinds are read, defaulted and checked."""

from __future__ import annotations

from kubeapi.crd import numbers
from kubeapi.crd.definition import Definition, Version

__all__ = ["Definition", "Version", "numbers"]
