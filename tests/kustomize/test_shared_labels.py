"""A label that one step put into several places of an object stays one label there, as kustomize has it."""

from __future__ import annotations

import pytest

from shared import kustomize
from shared.text import yaml

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec: {containers: [{name: web, image: nginx}]}
"""
PATCH = "patches: [{{patch: '{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web{}}}}}'}}]"


def labels(base: str, overlay: str) -> tuple[str | None, str | None, str | None]:
    """The label `app` of the object, its selector and its template."""
    files = {
        "base/kustomization.yaml": f"resources: [web.yaml]\n{base}\n",
        "base/web.yaml": DEPLOYMENT,
        "overlay/kustomization.yaml": f"resources: [../base]\n{overlay}\n",
    }
    (made,) = kustomize.build(kustomize.MemoryTree(files), "overlay").values
    template, selector = made["spec"]["template"], made["spec"].get("selector", {})
    return (
        made["metadata"].get("labels", {}).get("app"),
        selector.get("matchLabels", {}).get("app"),
        template.get("metadata", {}).get("labels", {}).get("app"),
    )


@pytest.mark.parametrize(
    "overlay",
    [
        "labels: [{pairs: {app: new}}]",
        PATCH.format(", labels: {app: new}"),
        PATCH.format("}, spec: {template: {metadata: {labels: {app: new}}}"),
        """\
replacements:
- sourceValue: new
  targets: [{select: {kind: Deployment}, fieldPaths: [metadata.labels.app]}]
""",
    ],
)
def test_a_common_label_changes_everywhere_when_it_changes_in_one_place(overlay: str):
    assert labels("commonLabels: {app: old}", overlay) == ("new", "new", "new")


def test_a_json_patch_changes_one_place_and_ends_the_sharing():
    patch = yaml.dump([{"op": "replace", "path": "/metadata/labels/app", "value": "new"}])
    overlay = yaml.dump({"patches": [{"target": {"kind": "Deployment"}, "patch": patch}]})
    assert labels("commonLabels: {app: old}", overlay) == ("new", "old", "old")
    assert labels("commonLabels: {app: old}", overlay + "labels: [{pairs: {app: last}}]") == ("last", "old", "old")


def test_a_label_that_an_object_had_itself_is_not_shared():
    base = PATCH.format(", labels: {app: own}") + "\ncommonLabels: {app: old}"
    assert labels(base, "labels: [{pairs: {app: new}}]") == ("new", "old", "old")


def test_a_label_that_was_removed_in_one_place_is_shared_by_the_others():
    removed = PATCH.format(", labels: {app: null}")
    assert labels("commonLabels: {app: old}", removed) == (None, "old", "old")
    assert labels("commonLabels: {app: old}", removed + "\nlabels: [{pairs: {app: new}}]") == ("new", "old", "old")


def test_of_two_values_in_one_patch_the_later_place_wins():
    both = PATCH.format(", labels: {app: one}}, spec: {selector: {matchLabels: {app: two}}")
    assert labels("commonLabels: {app: old}", both) == ("two", "two", "two")
