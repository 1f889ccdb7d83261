"""The controllers inside the test, where a test needs a flag, a cloud or another clock than all others."""

from __future__ import annotations

from tests.faults.conftest import git, toolkit
from tests.kit.clouds import aws, entra, google, internet

__all__ = ["aws", "entra", "git", "google", "internet", "toolkit"]
