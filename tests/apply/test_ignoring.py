"""Fields that others may own: which ones, what is sent in their place, and what is compared."""

from __future__ import annotations

from typing import Any

import pytest

from shared.api.parts import IgnoreRule, Selector
from shared.apply import ignoring
from shared.apply.ignoring import RuleError, Rules, compared, yielded
from tests.apply.world import deployment

US, HPA = "kustomize-controller", "autoscaler"


def rules(*paths: str, **target: str) -> Rules:
    return Rules([IgnoreRule(paths=list(paths), target=Selector(**target) if target else None)])


def entry(manager: str, owned: dict[str, Any], operation: str = "Apply") -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": owned}


REPLICAS = {"f:spec": {"f:replicas": {}}}


@pytest.mark.parametrize(
    ("target", "applies"),
    [
        ({}, True),
        ({"kind": "Deployment"}, True),
        ({"kind": "Deploy"}, False),
        ({"kind": "Deploy.*", "name": "w.b", "group": "apps", "version": "v1"}, True),
        ({"namespace": "elsewhere"}, False),
        ({"label_selector": "tier in (front, back)"}, True),
        ({"label_selector": "tier!=front"}, False),
        ({"annotation_selector": "scaled=yes"}, True),
        ({"annotation_selector": "scaled=no"}, False),
    ],
)
def test_a_rule_is_about_the_objects_that_its_target_fits(target: dict[str, str], applies: bool) -> None:
    manifest = deployment()
    manifest["metadata"] |= {"namespace": "apps", "labels": {"tier": "front"}, "annotations": {"scaled": "yes"}}
    assert bool(rules("/spec/replicas", **target).pointers(manifest)) is applies


def test_pointers_are_unescaped_and_counted_once() -> None:
    found = rules("/metadata/annotations/example.org~1a~0b", "/spec", "/spec").pointers(deployment())
    assert found == (("metadata", "annotations", "example.org/a~b"), ("spec",))


@pytest.mark.parametrize("broken", [{"kind": "("}, {"label_selector": "a in"}, {"annotation_selector": "=="}])
def test_a_target_that_cannot_be_read_is_refused(broken: dict[str, str]) -> None:
    with pytest.raises(RuleError, match="ignore rule"):
        rules("/spec", **broken)


@pytest.mark.parametrize("path", ["spec/replicas", ""])
def test_a_path_that_is_no_pointer_is_refused(path: str) -> None:
    with pytest.raises(RuleError, match="no JSON pointer"):
        rules(path)


def test_equal_rules_have_one_digest() -> None:
    assert rules("/a", kind="X").digest == rules("/a", kind="X").digest
    assert len({rules("/a").digest, rules("/b").digest, rules("/a", kind="X").digest, Rules().digest}) == 4


@pytest.mark.parametrize(
    ("entries", "sent"),
    [
        ([entry(US, REPLICAS)], 5),  # somebody's update: ours in name, theirs in value
        ([entry(US, {}), entry(HPA, REPLICAS, "Update")], 5),
        ([entry(US, {}), entry(HPA, REPLICAS)], None),  # another applies it: it is left to that one
        ([entry(US, REPLICAS), entry(HPA, REPLICAS)], None),
        ([entry(US, {}), entry(HPA, {"f:spec": {}})], None),  # owned as a whole
    ],
)
def test_what_differs_is_kept_or_left_to_who_applies_it(entries: list[Any], sent: int | None) -> None:
    desired, live = deployment(replicas=2), deployment(replicas=5)
    found = yielded(desired, live, [("spec", "replicas")], entries, US)
    assert found["spec"].get("replicas") == sent
    assert found["spec"]["template"] == desired["spec"]["template"]
    assert desired == deployment(replicas=2)


def test_what_does_not_differ_is_sent_as_it_is() -> None:
    desired = deployment(replicas=2)
    entries = [entry(US, REPLICAS), entry(HPA, REPLICAS)]
    assert yielded(desired, deployment(replicas=2), [("spec", "replicas"), ("nothing", "0")], entries, US) == desired


def test_what_was_removed_from_the_cluster_is_not_put_back() -> None:
    live = deployment()
    del live["spec"]["replicas"]
    assert "replicas" not in yielded(deployment(), live, [("spec", "replicas")], [entry(US, {})], US)["spec"]


def test_what_left_the_source_is_kept_as_long_as_it_is_ignored() -> None:
    desired = deployment()
    del desired["spec"]["replicas"]
    live = deployment(replicas=4)
    assert yielded(desired, live, [("spec", "replicas")], [entry(US, REPLICAS)], US)["spec"]["replicas"] == 4
    assert (
        "replicas" not in yielded(desired, live, [("spec", "replicas")], [entry(HPA, REPLICAS, "Update")], US)["spec"]
    )


def test_a_pointer_may_lead_through_lists() -> None:
    pointer = ("spec", "template", "spec", "containers", "0", "resources")
    live = deployment()
    live["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "2"}}
    owned = {
        "f:spec": {
            "f:template": {"f:spec": {"f:containers": {'k:{"name":"main"}': {"f:image": {}, "f:resources": {}}}}}
        }
    }
    [container] = yielded(deployment(), live, [pointer], [entry(US, owned)], US)["spec"]["template"]["spec"][
        "containers"
    ]
    assert container["resources"] == {"limits": {"cpu": "2"}}
    desired, left, ours = compared(deployment(), live, owned, [pointer])
    for manifest in (desired, left):
        assert "resources" not in manifest["spec"]["template"]["spec"]["containers"][0]
    containers = ours["f:spec"]["f:template"]["f:spec"]["f:containers"]
    assert containers == {'k:{"name":"main"}': {"f:image": {}}}


def test_what_is_empty_without_the_field_is_not_compared_either() -> None:
    desired = {"metadata": {"annotations": {"a": "1"}}, "data": {"x": "1"}}
    live = {"metadata": {"annotations": {"a": "2", "b": "3"}}, "data": {"x": "1"}}
    owned = {"f:metadata": {"f:annotations": {".": {}, "f:a": {}}}, "f:data": {"f:x": {}}}
    found = compared(desired, live, owned, [("metadata", "annotations", "a")])
    assert found[0] == {"data": {"x": "1"}}
    assert found[2] == {"f:data": {"f:x": {}}}


def test_nothing_is_changed_by_a_pointer_that_leads_nowhere() -> None:
    for pointer in (("spec", "replicas", "x"), ("spec", "template", "spec", "containers", "7"), ("x", "y")):
        assert yielded(deployment(), deployment(), [pointer], [], US) == deployment()
        assert compared(deployment(), deployment(), REPLICAS, [pointer]) == (deployment(), deployment(), REPLICAS)
        assert ignoring.lookup(deployment(), pointer) is ignoring.MISSING
