"""Where the server meets the modules that say what objects mean."""

from __future__ import annotations

from kubeapi import crd, fields, validation

__all__ = ["crd", "fields", "validation"]
