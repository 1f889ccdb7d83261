"""python -m helm_controller: helm-controller."""

from __future__ import annotations

import sys

from helm_controller import main

if __name__ == "__main__":
    sys.exit(main())
