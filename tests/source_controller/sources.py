"""One source under test, whatever its kind: put it, have it look, wait for how that ends."""

from __future__ import annotations

import hashlib

from tests.source_controller.conftest import condition

FETCH_FAILED = {
    "GitRepository": {"GitOperationFailed"},
    "OCIRepository": {"OCIArtifactPullFailed", "OCIArtifactLayerOperationFailed"},
    "Bucket": {"BucketOperationFailed"},
    "HelmRepository": {"Failed", "IndexationFailed"},
    "HelmChart": {"ChartPullError"},
}


class Source:
    """One source under test, by the name `s`."""

    def __init__(self, world, remote):
        self.world, self.remote, self.kind = world, remote, remote.kind

    async def put(self, **more):
        for kind, name, spec in self.remote.before:
            await self.world.put(name, {**spec, **(more if self.remote.refers_secret == name else {})}, kind)
            await self.world.until(name, lambda obj: condition(obj, "Ready") is not None, kind)
        await self.world.put("s", {**self.remote.spec, **({} if self.remote.refers_secret else more)}, self.kind)

    async def ask(self):
        """Has it look at its remote again."""
        for kind, name, _ in self.remote.before:
            await self.world.ask(name, kind)
        await self.world.ask("s", self.kind)

    async def ready(self, other_than=None):
        """The object once it is Ready, with another artifact than that of `other_than`; its bytes are what it says."""
        known = other_than["status"]["artifact"]["digest"] if other_than else None
        obj = await self.world.until(
            "s",
            lambda obj: (
                condition(obj, "Ready") == "True"
                and condition(obj, "FetchFailed") is None
                and obj["status"]["artifact"]["digest"] != known
            ),
            self.kind,
        )
        self.require_intact(obj)
        return obj

    async def failed(self, says=""):
        """The object once fetching failed for a reason that its kind has."""
        obj = await self.world.until(
            "s",
            lambda obj: (
                condition(obj, "Ready") == "False"
                and condition(obj, "FetchFailed", "reason") in FETCH_FAILED[self.kind]
                and says in condition(obj, "Ready", "message")
            ),
            self.kind,
        )
        assert condition(obj, "Reconciling", "reason") == "ProgressingWithRetry"
        return obj

    def require_intact(self, obj):
        content = self.world.stored(obj).read_bytes()
        assert obj["status"]["artifact"]["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
