"""Asks a real API server what the columns of its tables mean, and writes that down for the embedded one.

python -m tests.kubeapi.record_columns
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path

from kubeapi.tables import TEXTS
from shared import schema
from tests.kubeapi.differential import subjects
from tests.kubeapi.differential.generate import TABLE


def main() -> int:
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder, subjects.real(Path(folder)) as real:
        for one in schema.resources():
            if "list" in one.verbs:
                base = f"/apis/{one.group}/{one.version}" if one.group else f"/api/{one.version}"
                answer = real.send("GET", f"{base}/{one.plural}", headers={"Accept": TABLE}).json()
                columns = {column["name"]: column["description"] for column in answer["columnDefinitions"]}
                found[f"{one.group}/{one.plural}"] = columns
    text = json.dumps(found, sort_keys=True, separators=(",", ":"))
    TEXTS.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(found)} tables in {TEXTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
