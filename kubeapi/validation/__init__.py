"""What an object must be to be stored, and what the server makes of it: built-in kinds and custom ones.

read:   decoded body → the object as the server holds it: known fields only, defaults set
check:  new object and old one → nothing, or 422 with every problem
hollow: what passed → as it is stored
"""

from __future__ import annotations

from kubeapi.validation.admission import Merged, check, prepare, read
from kubeapi.validation.stored import hollow

__all__ = ["Merged", "check", "hollow", "prepare", "read"]
