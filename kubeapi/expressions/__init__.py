"""The CEL functions that a Kubernetes API server adds to the language: for the rules of CRDs and for admission.

Values that aren't JSON (quantities, addresses, URLs, versions, an authorizer) travel through an expression as objects
with one field that says what they are; two are equal when they mean the same.
"""

from __future__ import annotations

from kubeapi.expressions import access, network, numbers, texts
from shared.text import cel

LIBRARY = cel.Library([*texts.FUNCTIONS, *numbers.FUNCTIONS, *network.FUNCTIONS, *access.FUNCTIONS])

__all__ = ["LIBRARY", "access"]
