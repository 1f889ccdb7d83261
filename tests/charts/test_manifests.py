"""What a chart renders is sorted, split and printed as Helm does it."""

from __future__ import annotations

import pytest

from shared.charts.errors import ChartError
from shared.charts.manifests import Manifests, split


def test_known_kinds_come_in_the_order_of_an_install_and_others_by_name() -> None:
    kinds = ["Zebra", "Deployment", "Ant", "Namespace", "Service", "Zebra", "ConfigMap"]
    files = {f"c/templates/{at}.yaml": f"kind: {kind}\nat: {at}\n" for at, kind in enumerate(kinds)}
    made = Manifests.of(files)
    assert [each.kind for each in made.objects] == [
        "Namespace", "ConfigMap", "Service", "Deployment", "Ant", "Zebra", "Zebra",
    ]  # fmt: skip
    assert [each.source for each in made.objects[-2:]] == ["c/templates/0.yaml", "c/templates/5.yaml"]


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("a: 1\n---\nb: 2\n", ["a: 1", "b: 2\n"]),
        ("---apiVersion: v1\nkind: X\n", ["apiVersion: v1\nkind: X\n"]),  # `{{- end }}` that took a line end with it
        ("  \n---\n  a: 1\n", ["a: 1\n"]),
        ("---\n\n---\na: 1\n", ["---\na: 1\n"]),
        ("a: |\n  x ---\n", ["a: |\n  x ---\n"]),
        ("", []),
    ],
)
def test_a_file_is_split_where_helm_splits_it(text: str, documents: list[str]) -> None:
    assert split(text) == documents


def test_hooks_and_tests_can_be_left_out_and_notes_never_are_there() -> None:
    annotated = "kind: Job\nmetadata:\n  annotations: {{helm.sh/hook: '{}'}}\n"
    made = Manifests.of(
        {
            "c/templates/NOTES.txt": "hello",
            "c/templates/_helpers.yaml": "kind: Helper\n",
            "c/templates/empty.yaml": " \n",
            "c/templates/job.yaml": annotated.format("pre-install, post-upgrade"),
            "c/templates/map.yaml": "kind: ConfigMap\n",
            "c/templates/test.yaml": annotated.format("Test-Success"),
            "c/templates/unknown.yaml": annotated.format("pre-lunch"),
        },
        [("c/crds/crd.yaml", "kind: CustomResourceDefinition\n")],
    )
    assert [each.hooks for each in made.hooks] == [("pre-install", "post-upgrade"), ("test",)]

    def sources(text: str) -> list[str]:
        return [line.rpartition("/")[2] for line in text.splitlines() if line.startswith("# Source")]

    assert sources(made.text(crds=True)) == ["crd.yaml", "map.yaml", "job.yaml", "test.yaml"]
    assert sources(made.text(tests=False)) == ["map.yaml", "job.yaml"]
    assert sources(made.text(hooks=False)) == ["map.yaml"]


@pytest.mark.parametrize("text", ["a: [", "just text", "- a\n- b"])
def test_what_is_no_object_is_an_error_that_names_the_template(text: str) -> None:
    with pytest.raises(ChartError, match=r"c/templates/bad\.yaml"):
        Manifests.of({"c/templates/bad.yaml": text})
