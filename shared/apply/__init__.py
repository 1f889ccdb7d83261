"""Desired objects → live objects: apply, prune, wait; what was applied, and who touched it since.

    manifests → staged → change set → inventory → prune → wait_healthy

The `Ledger` remembers what was applied and hears from watches what became of it, so that a pass in which nothing
changed makes no call, and drift is known when it happens.
"""

from shared.apply.absence import wait_gone
from shared.apply.changes import APPLIED, Change, ChangeSet
from shared.apply.drifting import Drifted
from shared.apply.errors import (
    ApplyError,
    HealthCheckError,
    ObjectError,
    PruneError,
    TerminationError,
)
from shared.apply.identity import ObjectId, Owner
from shared.apply.ignoring import RuleError, Rules
from shared.apply.inventory import Inventory
from shared.apply.ledger import Ledger
from shared.apply.pruning import doomed, prune
from shared.apply.staging import Drift, audit, staged
from shared.apply.waiting import wait_healthy

__all__ = [
    "APPLIED",
    "ApplyError",
    "Change",
    "ChangeSet",
    "Drift",
    "Drifted",
    "HealthCheckError",
    "Inventory",
    "Ledger",
    "ObjectError",
    "ObjectId",
    "Owner",
    "PruneError",
    "RuleError",
    "Rules",
    "TerminationError",
    "audit",
    "doomed",
    "prune",
    "staged",
    "wait_gone",
    "wait_healthy",
]
