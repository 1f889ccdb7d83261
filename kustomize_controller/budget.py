"""May what the source doesn't have any more be deleted without asking?

what would be deleted, all that there is, spec.prunePolicy → yes, or PruneHeld until it is confirmed
"""

from __future__ import annotations

from collections.abc import Sequence

from kustomize_controller.build import Built
from shared.api.kustomize import Kustomization
from shared.apply import ObjectId
from shared.loop.verdict import Failed

HELD = "PruneHeld"
"""The reason, and the condition that is there as long as a deletion waits to be confirmed."""
CONFIRM = "kustomize.toolkit.fluxcd.io/confirmPrune"
"""The annotation of a Kustomization that confirms."""
MOST_NAMES = 10
"""Objects that the message names; the others are counted."""


def require_confirmed(ks: Kustomization, revision: str, built: Built, doomed: Sequence[ObjectId], total: int) -> None:
    """PruneHeld when `doomed` are more than may be deleted without asking, and nobody has confirmed that, for this
    revision and for what was built of it. `total` counts them and all that are applied now."""
    if not doomed:
        return
    asked = ks.spec.prune_policy.max_delete if ks.spec.prune_policy else None
    most = None if asked is None else allowed(asked, total)
    if not built.manifests:
        why = "the build is empty, which alone is no reason to delete"
    elif most is not None and len(doomed) > most:
        why = f"spec.prunePolicy.maxDelete is {asked}, which allows {most}"
    else:
        return
    token = f"{revision}/{built.digest.removeprefix('sha256:')[:12]}"
    if (ks.metadata.annotations or {}).get(CONFIRM) == token:
        return
    more = len(doomed) - MOST_NAMES
    shown = ", ".join(map(str, doomed[:MOST_NAMES])) + (f" and {more} more" if more > 0 else "")
    raise Failed(
        HELD,
        f"{len(doomed)} of {total} objects are kept although the source doesn't have them any more: {why}. They are"
        f" {shown}. To delete them: kubectl -n {ks.metadata.namespace} annotate --overwrite"
        f" kustomizations.kustomize.toolkit.fluxcd.io {ks.metadata.name} {CONFIRM}={token}",
        condition=HELD,
    )


def allowed(max_delete: int | str, total: int) -> int:
    """How many of so many objects may be deleted at once. PruneHeld for what is neither a number nor a percentage."""
    text = str(max_delete)
    number = text.removesuffix("%")
    if not (number.isascii() and number.isdigit()):
        raise Failed(HELD, f"spec.prunePolicy.maxDelete is '{text}': it must be a number, such as 10, or 25%")
    return total * int(number) // 100 if text.endswith("%") else int(number)
