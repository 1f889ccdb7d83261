"""A watch that is refused, for whatever reason and however long, is asked for again; the others go on meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kubeapi.errors import StatusError
from shared.api.kustomize import Kustomization
from tests.faults.changes import applied, change, require_converged
from tests.kit.objects import config_map, files, kustomization, source
from tests.kit.toolkit import KUSTOMIZE, Toolkit

REFUSALS: dict[str, dict[str, Any]] = {
    "an error of the server": {"code": 500},
    "a conflict": {"code": 409, "reason": "Conflict"},
    "no permission": {"code": 403, "reason": "Forbidden"},
    "no login": {"code": 401, "reason": "Unauthorized"},
    "too many requests": {"code": 429, "reason": "TooManyRequests", "retry_after": 1},
    "no such resource": {"code": 404, "reason": "NotFound"},
    "too old a version": {"code": 410, "reason": "Expired"},
}


@pytest.mark.parametrize("why", REFUSALS)
async def test_a_refused_watch_is_asked_for_again(toolkit: Toolkit, why: str) -> None:
    await applied(toolkit)
    faults = toolkit.server.faults
    rule = faults.fail(user=KUSTOMIZE, resource="gitrepositories", nth=0, **REFUSALS[why])
    assert faults.drop_watches("gitrepositories") > 0
    async with asyncio.timeout(20):
        while rule.seen < 2:
            await asyncio.sleep(0.02)
    # What is not refused goes on.
    await toolkit.cluster.have(kustomization("other", name_prefix="other-"))
    await toolkit.cluster.until(Kustomization, "other", ready=True, within=10)
    await toolkit.cluster.delete(Kustomization, "other")
    await toolkit.cluster.until_gone(Kustomization, "other")
    commit = await change(toolkit, 1)
    faults.clear()
    await require_converged(toolkit, 1, commit)


@pytest.mark.parametrize("code", [410, 500, 403])
async def test_an_error_in_a_watch_makes_it_begin_anew(toolkit: Toolkit, code: int) -> None:
    await applied(toolkit)
    for number in range(1, 4):
        ours = [each for each in toolkit.server.faults.streams if each.resource.group.endswith(".toolkit.fluxcd.io")]
        assert ours
        for stream in ours:
            stream.fail(StatusError(code, "InternalError", "etcdserver: no leader"))
        commit = await change(toolkit, number)
        await require_converged(toolkit, number, commit)


async def test_one_kind_that_may_not_be_watched_holds_up_no_other(toolkit: Toolkit) -> None:
    toolkit.server.faults.fail(user=KUSTOMIZE, resource="buckets", nth=0, code=403, reason="Forbidden")
    toolkit.cluster.repo.commit({"a.yaml": files(config_map())})
    await toolkit.start()
    await toolkit.cluster.have(source("app"), kustomization("app"))
    app = await toolkit.cluster.until(Kustomization, "app", ready=True, within=10)
    assert len(app.inventory) == 1
