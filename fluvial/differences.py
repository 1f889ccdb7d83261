"""What is different between an object as it is and as it would be, for people; values of Secrets are never shown.

Pure. What the server sets by itself (versions, times, managed fields, status) is no difference.
"""

from __future__ import annotations

import copy
import difflib

from shared.api.meta import Manifest
from shared.text import yaml

_SERVER_SET = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""A copy of the whole object, values of Secrets included."""
CONTEXT = 3
"""Unchanged lines around a change."""


def lines(live: Manifest | None, applied: Manifest | None) -> list[str]:
    """The changed lines of the objects' YAML with some around them, each with its sign; empty when nothing differs.

    None is an object that isn't there. Of one that comes or goes, all lines are shown.
    """
    before, after = _shown(live), _shown(applied)
    _mask(before or {}, after or {})
    old, new = ([] if one is None else yaml.dump(one).splitlines() for one in (before, after))
    found = list(difflib.unified_diff(old, new, n=CONTEXT, lineterm=""))
    return [line for line in found[2:] if (live is not None and applied is not None) or not line.startswith("@@")]


def _shown(manifest: Manifest | None) -> Manifest | None:
    if manifest is None:
        return None
    shown = copy.deepcopy(manifest)
    shown.pop("status", None)
    metadata = shown.get("metadata") or {}
    for field in _SERVER_SET:
        metadata.pop(field, None)
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict):
        annotations.pop(_LAST_APPLIED, None)
        if not annotations:
            del metadata["annotations"]
    return shown


def _mask(before: Manifest, after: Manifest) -> None:
    """Replace the values of Secrets by marks that tell only whether they differ."""
    secrets = [one for one in (before, after) if one.get("kind") == "Secret" and one.get("apiVersion") == "v1"]
    if not secrets:
        return
    for section in ("data", "stringData"):
        old, new = before.get(section), after.get(section)
        old, new = old if isinstance(old, dict) else {}, new if isinstance(new, dict) else {}
        for key in {*old, *new}:
            is_changed = key in old and key in new and old[key] != new[key]
            if key in old:
                old[key] = "*** (before)" if is_changed else "***"
            if key in new:
                new[key] = "*** (after)" if is_changed else "***"
