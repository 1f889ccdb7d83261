"""What was applied before: at most five entries, the newest first, one for each content and outcome. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.api.kustomize import Snapshot
from shared.api.meta import format_duration

LIMIT = 5


def recorded(
    history: Sequence[Snapshot], *, digest: str, outcome: str, now: str, took: float, metadata: dict[str, str]
) -> list[Snapshot]:
    """The history after one more reconciliation of the content `digest` that ended with `outcome` in `took` seconds.

    The same content with the same outcome is counted, not repeated, and comes first again.
    """
    old = next((s for s in history if s.digest == digest and s.last_reconciled_status == outcome), None)
    newest = Snapshot(
        digest=digest,
        first_reconciled=old.first_reconciled if old else now,
        last_reconciled=now,
        last_reconciled_duration=format_duration(round(took, 3)),
        last_reconciled_status=outcome,
        total_reconciliations=(old.total_reconciliations if old else 0) + 1,
        metadata=metadata,
    )
    return [newest, *(s for s in history if s is not old)][:LIMIT]
