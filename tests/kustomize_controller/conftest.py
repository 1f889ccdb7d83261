"""The controllers inside the test, where a test needs a flag or another clock than all others."""

from __future__ import annotations

from tests.faults.conftest import git, toolkit

__all__ = ["git", "toolkit"]
