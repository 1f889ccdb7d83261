"""Random kustomizations, built here and by the reference binary: the same bytes, or an error from both.

    python -m tests.kustomize.test_differential [2000] [--seed 1]     a longer run that prints what differs

The binary is $KUSTOMIZE, or the one that `make tools` built; without one these tests are skipped.
"""

from __future__ import annotations

import argparse
import difflib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from shared import kustomize
from tests.kustomize.random_builds import Files, trees


def reference() -> str:
    """The path of the binary, empty when there is none."""
    built = sorted(Path("~/.cache/fluvial").expanduser().glob("bin*/kustomize"))
    return os.environ.get("KUSTOMIZE") or next((str(path) for path in built), "")


def theirs(binary: str, files: Files) -> str | None:
    """What the binary prints; None when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run(
            [binary, "build", "overlay"], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
    return done.stdout if done.returncode == 0 else None


def ours(files: Files) -> tuple[str | None, str]:
    """What the engine prints, or None and why it fails."""
    try:
        return kustomize.build(kustomize.MemoryTree(files), "overlay").yaml(), ""
    except kustomize.BuildError as error:
        return None, str(error)


def difference(binary: str, files: Files) -> str:
    """Where the two differ; empty when they agree."""
    there, (here, why) = theirs(binary, files), ours(files)
    if there == here:
        return ""
    if there is None:
        return "the binary fails, the engine does not"
    if here is None:
        return f"the engine fails, the binary does not: {why}"
    lines = difflib.unified_diff(there.splitlines(), here.splitlines(), "theirs", "ours", lineterm="", n=2)
    return "\n".join(lines)


@pytest.mark.skipif(not reference(), reason="no kustomize binary: `make tools` builds it")
@seed(20)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(trees())
def test_random_builds_agree_with_the_reference(files: Files):
    assert difference(reference(), files) == ""


def main() -> int:
    made = argparse.ArgumentParser(description="Compare random builds with the reference binary.")
    made.add_argument("count", nargs="?", type=int, default=2000)
    made.add_argument("--seed", type=int, default=1)
    options = made.parse_args()
    binary, counts = reference(), {"built": 0, "refused": 0, "different": 0}

    @seed(options.seed)
    @settings(
        max_examples=options.count,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        database=None,
    )
    @given(trees())
    def run(files: Files) -> None:
        found = difference(binary, files)
        counts["different" if found else "built" if ours(files)[0] is not None else "refused"] += 1
        if found:
            print("=" * 80)
            for name, text in files.items():
                print(f"--- {name}\n{text}", end="")
            print(f"=== {found}")

    run()
    print(counts)
    return 1 if counts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
