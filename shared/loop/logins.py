"""Logins: the clouds' logins of a process, by its flags."""

from __future__ import annotations

import sys
from typing import Any

from shared.auth import Clouds, Tokens
from shared.auth.accounts import GATE
from shared.kube.accounts import Accounts
from shared.loop import metrics
from shared.loop.flags import Flag, Gate
from shared.loop.process import Runtime

FLAGS = (
    Flag("token-cache-max-size", "int", 100, "How many tokens of clouds and GitHub Apps are kept; 0 for none."),
    Flag("token-cache-max-duration", "duration", "1h", "How long such a token is kept, at most an hour."),
)
GATES = (
    Gate(GATE, False, "Let objects name a ServiceAccount that logs in for them: at clouds, clusters, key services."),
)


def clouds(runtime: Runtime, default_account: str = "") -> Clouds:
    """The logins; `default_account` is for objects that name no ServiceAccount."""
    options = runtime.options
    tokens = Tokens(options.token_cache_max_size, options.token_cache_max_duration)
    if options.token_cache_max_size > 0:
        runtime.services.enter_context(metrics.tokens(tokens))
    return Clouds(
        Accounts(runtime.client),
        tokens,
        object_level=options.feature_gates[GATE],
        default_account=default_account,
    )


def require_gate(options: Any, *flags: str) -> None:
    """Ends the process when one of these flags names a default account while objects have no identities."""
    chosen = [flag for flag in flags if getattr(options, flag.replace("-", "_"))]
    if chosen and not options.feature_gates[GATE]:
        print(f"--{chosen[0]} needs --feature-gates={GATE}=true", file=sys.stderr)
        raise SystemExit(2)
