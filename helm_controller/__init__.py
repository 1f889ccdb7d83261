"""helm-controller: makes a release what a chart and values say. Not built yet."""

from __future__ import annotations

import sys

NOT_BUILT = "helm-controller isn't built yet: HelmReleases stay as they are; run Flux's helm-controller for them"


def main() -> int:
    """The command: says that there is nothing to run."""
    print(NOT_BUILT, file=sys.stderr)
    return 1
