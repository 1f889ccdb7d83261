"""python -m notification_controller: notification-controller."""

from __future__ import annotations

import sys

from notification_controller import main

if __name__ == "__main__":
    sys.exit(main())
