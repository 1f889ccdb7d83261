"""Who owns which field, and how a patch changes an object: server-side apply, managedFields, and the other patches."""

from __future__ import annotations

from kubeapi.fields.apply import apply, merged, settled, updated
from kubeapi.fields.errors import Conflict, Invalid
from kubeapi.fields.patches import json_patch, merge_patch
from kubeapi.fields.scaled import VERSION as SCALE_VERSION
from kubeapi.fields.scaled import entries_after, entries_of
from kubeapi.fields.strategic import strategic_patch
from kubeapi.fields.typed import plain as shown

__all__ = [
    "SCALE_VERSION",
    "Conflict",
    "Invalid",
    "apply",
    "entries_after",
    "entries_of",
    "json_patch",
    "merge_patch",
    "merged",
    "settled",
    "shown",
    "strategic_patch",
    "updated",
]
