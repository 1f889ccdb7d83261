"""What is known of the files of artifacts."""

from __future__ import annotations

from pathlib import Path

from kustomize_controller.surveys import Surveys


def artifact(root: Path, name: str) -> Path:
    made = root / name
    made.mkdir()
    (made / "a.yaml").write_text(name)
    return made


def test_all_who_build_from_an_artifact_share_what_is_known_of_it(tmp_path):
    surveys, root = Surveys(), artifact(tmp_path, "one")
    assert surveys.of("sha256:1", root) is surveys.of("sha256:1", root)
    assert surveys.of("sha256:2", artifact(tmp_path, "two")) is not surveys.of("sha256:1", root)


def test_what_was_not_used_for_longest_is_forgotten_first(tmp_path):
    surveys = Surveys(most=3)
    roots = {name: artifact(tmp_path, name) for name in ("1", "2", "3")}
    kept = {}
    for name, root in roots.items():
        kept[name] = surveys.of(name, root)
        kept[name].resolve("/a.yaml")
        kept[name].read("/a.yaml")
    assert surveys.of("3", roots["3"]) is kept["3"]
    assert surveys.of("2", roots["2"]) is not kept["2"]
