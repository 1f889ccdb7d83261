"""What goes wrong with signatures."""

from __future__ import annotations


class SignatureError(Exception):
    """There is no signature, or none that is trusted; or what is needed to say so is missing or can't be read."""
