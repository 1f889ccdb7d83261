"""The two generated tables of the engine: merge keys and scopes of the built-in kinds, and the default field specs.

`generate.py` makes both files from the Go modules that kustomize 5.8 is built from; nothing here is edited by hand.
They are read once, on first use.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@cache
def openapi() -> dict[str, Any]:
    """`kinds` ("apps/v1 Deployment" → node number), `nodes` (see generate.py) and `scopes` (→ namespaced?)."""
    with gzip.open(HERE / "openapi.json.gz", "rt", encoding="utf-8") as file:
        table: dict[str, Any] = json.load(file)
    return table


@cache
def field_specs() -> dict[str, Any]:
    """The default field specs by transformer, as kustomize's own configuration files would write them."""
    table: dict[str, Any] = json.loads((HERE / "fieldspecs.json").read_text(encoding="utf-8"))
    return table
