"""python -m image_automation: both commands, image-reflector-controller and image-automation-controller."""

from __future__ import annotations

import sys

from image_automation import automation, reflector

if __name__ == "__main__":
    sys.exit(reflector() | automation())
