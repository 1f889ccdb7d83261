"""image-reflector-controller and image-automation-controller: newest images back into Git. Not built yet."""

from __future__ import annotations

import sys

NOT_BUILT = "{name} isn't built yet: {kinds} stay as they are; run Flux's {name} for them"


def reflector() -> int:
    """The command image-reflector-controller: says that there is nothing to run."""
    print(
        NOT_BUILT.format(name="image-reflector-controller", kinds="ImageRepositories and ImagePolicies"),
        file=sys.stderr,
    )
    return 1


def automation() -> int:
    """The command image-automation-controller: says that there is nothing to run."""
    print(NOT_BUILT.format(name="image-automation-controller", kinds="ImageUpdateAutomations"), file=sys.stderr)
    return 1
