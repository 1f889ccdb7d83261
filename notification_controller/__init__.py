"""notification-controller: tells people and other systems, and listens to them. Not built yet."""

from __future__ import annotations

import sys

NOT_BUILT = (
    "notification-controller isn't built yet: no Alert is sent and no Receiver listens; "
    "run Flux's notification-controller for them"
)


def main() -> int:
    """The command: says that there is nothing to run."""
    print(NOT_BUILT, file=sys.stderr)
    return 1
