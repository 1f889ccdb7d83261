"""The tables of merge keys, scopes and default fields are what their script makes of upstream's modules."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(shutil.which("go") is None, reason="Go downloads the modules that the tables are made from")
def test_the_tables_in_the_repository_are_what_the_script_makes() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "shared.kustomize.tables.generate", "--check"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
