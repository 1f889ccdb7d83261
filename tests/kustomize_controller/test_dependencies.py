"""Which Kustomizations come first, and what it takes for them to count as ready."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest

from kustomize_controller import dependencies
from kustomize_controller.sources import Source
from shared.api import codec
from shared.api.kustomize import Kustomization
from shared.api.meta import Artifact
from shared.loop.kinds import Ref
from shared.loop.verdict import Stalled, Waiting

REVISION = "main@sha1:2"


def kustomization(
    name: str, *depends_on: Any, ready: bool = True, revision: str = REVISION, **more: Any
) -> Kustomization:
    wanted = [one if isinstance(one, dict) else {"name": one} for one in depends_on]
    return codec.decode(
        Kustomization,
        {
            "apiVersion": Kustomization.resource.api_version,
            "kind": "Kustomization",
            "metadata": {"name": name, "namespace": "team", "uid": name, "generation": 1, **more},
            "spec": {
                "interval": "1h",
                "prune": True,
                "sourceRef": {"kind": "GitRepository", "name": "repo"},
                "dependsOn": wanted,
            },
            "status": {
                "observedGeneration": 1,
                "lastAppliedRevision": revision,
                "conditions": [
                    {
                        "type": "Ready",
                        "status": str(ready),
                        "reason": "R",
                        "message": "",
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    }
                ],
            },
        },
    )


class Known:
    """An attempt that knows some Kustomizations."""

    def __init__(self, *known: Kustomization, gates: dict[str, bool] | None = None) -> None:
        self._known = {ks.metadata.name: ks for ks in known}
        self.options = Namespace(requeue_dependency=30.0, feature_gates=gates or {})

    def find(self, _: Any, namespace: str, name: str) -> Kustomization | None:
        return self._known.get(name)

    async def read(self, _: Any, namespace: str, name: str) -> Kustomization | None:
        return self._known.get(name)


async def require(ks: Kustomization, *known: Kustomization, gates: dict[str, bool] | None = None) -> None:
    artifact = Artifact(path="", url="", revision=REVISION, digest="sha256:0", last_update_time="")
    source = Source("GitRepository", Ref("team", "repo"), artifact)
    await dependencies.require_ready(ks, Known(ks, *known, gates=gates), source)  # type: ignore[arg-type]


async def test_dependencies_that_are_ready_at_the_revision_let_it_go_on():
    await require(kustomization("app", "infra"), kustomization("infra"))


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ([], "dependency 'team/infra' not found: kustomizations.kustomize.toolkit.fluxcd.io \"infra\" not found"),
        ([kustomization("infra", ready=False)], "dependency 'team/infra' is not ready"),
        ([kustomization("infra", generation=2)], "dependency 'team/infra' is not ready"),
        ([kustomization("infra", revision="main@sha1:1")], "dependency 'team/infra' revision is not up to date"),
    ],
)
async def test_one_that_is_not_is_waited_for_and_named(known, said):
    with pytest.raises(Waiting) as waiting:
        await require(kustomization("app", "infra"), *known)
    assert (waiting.value.reason, waiting.value.message) == ("DependencyNotReady", said)
    assert waiting.value.event == "Dependencies do not meet ready condition, retrying in 30s"


async def test_a_circle_is_shown():
    one, two = kustomization("one", "two", ready=False), kustomization("two", "one", ready=False)
    with pytest.raises(Waiting, match=r"in a circle \(team/one → team/two → team/one\)"):
        await require(one, two)


async def test_a_long_chain_is_no_circle():
    chain = [kustomization(f"k{index}", f"k{index + 1}", ready=False) for index in range(50)]
    with pytest.raises(Waiting) as waiting:
        await require(*chain)
    assert "circle" not in waiting.value.message


async def test_an_expression_decides_in_place_of_the_rules():
    behind = kustomization("infra", revision="main@sha1:1", ready=False, labels={"open": "yes"})
    wanted = {"name": "infra", "readyExpr": "dep.metadata.labels['open'] == self.metadata.labels['open']"}
    await require(kustomization("app", wanted, labels={"open": "yes"}), behind)
    with pytest.raises(Waiting, match="not ready according to readyExpr eval"):
        await require(kustomization("app", wanted, labels={"open": "no"}), behind)
    with pytest.raises(Waiting, match="'team/infra' is not ready"):
        gates = {"AdditiveCELDependencyCheck": True}
        await require(kustomization("app", wanted, labels={"open": "yes"}), behind, gates=gates)


async def test_an_expression_that_cannot_be_read_stalls():
    with pytest.raises(Stalled) as stalled:
        await require(kustomization("app", {"name": "infra", "readyExpr": "dep."}), kustomization("infra"))
    assert stalled.value.reason == "InvalidCELExpression"
    said = "Reconciliation failed terminally due to configuration error: failed to evaluate dependency infra: "
    assert stalled.value.message.startswith(said)


async def test_an_expression_that_does_not_fit_the_dependency_yet_is_waited_for():
    wanted = {"name": "infra", "readyExpr": "dep.metadata.labels['open'] == 'yes'"}
    with pytest.raises(Waiting, match="'team/infra': failed to evaluate the CEL expression") as waiting:
        await require(kustomization("app", wanted), kustomization("infra"))
    assert waiting.value.event == "Dependencies do not meet ready condition, retrying in 30s"


def test_only_what_can_end_a_wait_wakes_those_behind():
    before = kustomization("infra", ready=False)
    assert dependencies.became_ready(before, kustomization("infra"))
    assert dependencies.became_ready(kustomization("infra", revision="main@sha1:1"), kustomization("infra"))
    assert dependencies.became_ready(None, kustomization("infra"))
    assert not dependencies.became_ready(before, kustomization("infra", ready=False))
    assert not dependencies.became_ready(before, None)
    assert not dependencies.became_ready(kustomization("infra"), before)


def test_of_a_dependency_that_an_expression_is_about_every_change_wakes_those_behind():
    app = kustomization("app", "one", {"name": "two", "readyExpr": "true"})
    assert dependencies.judged(app) == [Ref("team", "two")]
    assert dependencies.may_hold_now(kustomization("two"), kustomization("two", ready=False))
    assert not dependencies.may_hold_now(kustomization("two"), None)
