"""What was applied before: at most five entries, the newest first, one for each content and outcome."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from shared.api.kustomize import Kustomization, Snapshot
from shared.api.meta import format_duration, format_time
from shared.loop.attempt import Attempt
from shared.loop.verdict import NotReady

LIMIT = 5
SUCCEEDED = "ReconciliationSucceeded"


@contextlib.contextmanager
def kept(ks: Kustomization, attempt: Attempt[Kustomization], digest: str) -> Iterator[None]:
    """Around what is done with a build: its outcome goes into the history of the status.

    A pass that nobody asked for, of the same spec, and that finds all as the last one left it is not counted: nothing
    happened.
    """
    try:
        yield
    except NotReady as error:
        _record(ks, attempt, digest, error.reason)
        raise
    newest = ks.status.history[0] if ks.status.history else None
    repeated = newest is not None and (newest.digest, newest.last_reconciled_status, newest.metadata) == (
        digest,
        SUCCEEDED,
        attempt.about,
    )
    if not repeated or attempt.requested or ks.status.observed_generation != attempt.generation:
        _record(ks, attempt, digest, SUCCEEDED)


def _record(ks: Kustomization, attempt: Attempt[Kustomization], digest: str, outcome: str) -> None:
    ks.status.history = recorded(
        ks.status.history,
        digest=digest,
        outcome=outcome,
        now=format_time(time.time()),
        took=time.monotonic() - attempt.started,
        metadata=attempt.about,
    )


def recorded(
    history: Sequence[Snapshot], *, digest: str, outcome: str, now: str, took: float, metadata: dict[str, str]
) -> list[Snapshot]:
    """The history after one more reconciliation of the content `digest` that ended with `outcome` in `took` seconds.

    The same content with the same outcome is counted, not repeated, and comes first again. Pure.
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
