"""Where the server meets the modules that say what objects mean."""

from __future__ import annotations

from typing import Any

from kubeapi import fields, interim

crd: Any = interim
validation: Any = interim

try:
    from kubeapi import validation as validation_module

    if hasattr(validation_module, "admit"):
        validation = validation_module
except ImportError:
    pass
try:
    from kubeapi import crd as crd_module

    if hasattr(crd_module, "Definition"):
        crd = crd_module
except ImportError:
    pass

__all__ = ["crd", "fields", "validation"]
