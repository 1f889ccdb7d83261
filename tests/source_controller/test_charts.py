"""Indexes and packages are read with distrust; what is chosen and built is what Helm would choose and build."""

from __future__ import annotations

import json
import tarfile

import pytest

from shared.text import yaml
from source_controller.charts import index, package
from source_controller.charts.errors import IndexFailed, ReferenceFailed, ValuesFailed
from source_controller.helmrepository import human
from tests.kit.charts import chart
from tests.kit.charts import package as packaged
from tests.kit.registry import tar_gz


def listing(*versions):
    entries = [{"name": "demo", "version": version, "urls": [f"demo-{version}.tgz"]} for version in versions]
    return index.parse(json.dumps({"apiVersion": "v1", "entries": {"demo": entries}}).encode(), limit=1 << 20)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("*", "2.0.0"),
        ("", "2.0.0"),
        ("1.x", "1.10.0"),
        ("1.2.0", "1.2.0"),
        (">=2.0.0-0", "2.1.0-rc.1"),
        ("2.1.0-rc.1", "2.1.0-rc.1"),
        ("~1.2", "1.2.0"),
    ],
)
def test_the_highest_version_in_the_range_is_found(wanted, found):
    assert listing("1.2.0", "1.10.0", "2.0.0", "2.1.0-rc.1").find("demo", wanted).version == found


@pytest.mark.parametrize(
    ("name", "wanted", "problem"),
    [
        ("absent", "*", "no chart name found"),
        ("demo", "9.x", "no 'demo' chart with version matching '9.x' found"),
        ("demo", "nonsense", "nonsense"),
    ],
)
def test_what_is_not_listed_is_told(name, wanted, problem):
    with pytest.raises(ReferenceFailed, match=problem):
        listing("1.0.0").find(name, wanted)


def test_entries_that_are_none_are_left_out():
    entries = {"demo": [None, {}, {"version": "nonsense"}, {"version": "1.0.0"}, 7], "none": None, "text": "x"}
    found = index.parse(json.dumps({"apiVersion": "v1", "entries": entries}).encode(), limit=1000)
    assert found.find("demo", "*").version == "1.0.0"
    assert json.loads(b"".join(found.json()))["entries"] == {"demo": [{"name": "demo", "version": "1.0.0"}]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"{not yaml", "index.yaml"),
        (b"", "empty"),
        (b"[]", "empty"),
        (b"entries: {}", "no API version"),
        (b"apiVersion: v1\nentries: []\nx: 1", ""),
        (b"a" * 2000, "more than 1000"),
    ],
)
def test_an_index_that_is_none_says_why(text, problem):
    if not problem:
        assert json.loads(b"".join(index.parse(text, limit=1000).json()))["entries"] == {}
        return
    with pytest.raises(IndexFailed, match=problem):
        index.parse(text, limit=1000)


def test_equal_charts_give_equal_bytes():
    one = package.from_package(packaged(chart("app")), package.Sizes())
    other = package.from_package(package.pack(one), package.Sizes())
    assert other.files == one.files
    assert package.pack(other) == package.pack(one)


def test_a_package_never_reaches_outside(tmp_path):
    evil = tar_gz({"app/Chart.yaml": chart("app")["Chart.yaml"], "../../evil": "x", "app/../../evil": "y"})
    assert set(package.from_package(evil, package.Sizes()).files) == {"Chart.yaml"}
    secret = tmp_path / "secret"
    secret.write_text("s")
    folder = tmp_path / "root" / "app"
    folder.mkdir(parents=True)
    (folder / "Chart.yaml").write_text(chart("app")["Chart.yaml"])
    (folder / "values.yaml").symlink_to(secret)
    found = package.from_folder(folder, tmp_path / "root", package.Sizes())
    assert set(found.files) == {"Chart.yaml"}
    assert package.inside(tmp_path / "root", "../../etc/passwd") == tmp_path / "root" / "etc" / "passwd"


def test_helmignore_leaves_out_as_helm_does(tmp_path):
    files = {
        **chart("app"),
        ".helmignore": "# comment\n*.txt\n/ci\ndocs/\nsub/*.md\n",
        "a.txt": "x",
        "deep/b.txt": "x",
        "ci": "x",
        "deep/ci": "kept",
        "docs/x": "x",
        "sub/x.md": "x",
        "sub/deep/x.md": "kept",
        "templates/.hidden": "x",
    }
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    found = package.from_folder(tmp_path, tmp_path, package.Sizes())
    assert set(found.files) == {*chart("app"), ".helmignore", "deep/ci", "sub/deep/x.md"}


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ("name: app\nversion: 1.0.0", "apiVersion is required"),
        ("apiVersion: v2\nversion: 1.0.0", "name is required"),
        ("apiVersion: v2\nname: app", "version is required"),
        ("apiVersion: v2\nname: ../app\nversion: 1.0.0", "name '../app' is invalid"),
        ("apiVersion: v2\nname: app\nversion: one", "version 'one' is invalid"),
        ("{", "Chart.yaml"),
    ],
)
def test_a_chart_that_is_none_says_why(metadata, problem):
    with pytest.raises(ReferenceFailed, match=problem):
        package.from_package(tar_gz({"app/Chart.yaml": metadata}), package.Sizes())


@pytest.mark.parametrize(
    ("data", "sizes", "problem"),
    [
        (b"no tarball", package.Sizes(), "no .tgz"),
        (packaged(chart("app")), package.Sizes(chart=10), "more than 10"),
        (packaged(chart("app")), package.Sizes(file=10), "too large"),
        (tar_gz({"app/values.yaml": ""}), package.Sizes(), "Chart.yaml file is missing"),
    ],
)
def test_a_package_that_is_none_says_why(data, sizes, problem):
    with pytest.raises(ReferenceFailed, match=problem):
        package.from_package(data, sizes)


def test_values_files_are_merged_in_depth():
    merged = package.merge([("a", b"x: {a: 1, b: 1}\nlist: [1, 2]"), ("b", b"x: {b: 2}\nlist: [3]"), ("c", b"")])
    assert merged == {"x": {"a": 1, "b": 2}, "list": [3]}
    for text in (b"[]", b"a: ["):
        with pytest.raises(ValuesFailed, match="unmarshaling values from 'bad' failed"):
            package.merge([("bad", text)])


def test_another_version_and_other_values_are_written(tmp_path):
    made = package.from_package(packaged(chart("app")), package.Sizes())
    made.set_version("1.0.0+abc")
    made.set_values({"replicas": 3})
    (tmp_path / "app.tgz").write_bytes(package.pack(made))
    with tarfile.open(tmp_path / "app.tgz") as archive:
        assert archive.getnames()[0] == "app/Chart.yaml"
        assert yaml.load(archive.extractfile("app/Chart.yaml").read())["version"] == "1.0.0+abc"
        assert archive.extractfile("app/values.yaml").read() == b"replicas: 3\n"


@pytest.mark.parametrize(("size", "shown"), [(17, "17B"), (1234, "1.234kB"), (12345678, "12.35MB"), (1e10, "10GB")])
def test_sizes_are_shown_as_people_write_them(size, shown):
    assert human(size) == shown


def test_an_index_may_repeat_itself_by_anchors():
    text = (
        "apiVersion: v1\nbase: &base\n  a:\n  - version: 1.0.0\nentries:\n  <<: *base\n"
        "  b: &b\n  - version: 1.0.0\n  - version: 2.0.0\n  c: *b\n"
    )
    found = index.parse(text.encode(), limit=1000)
    assert [found.find(name, "*").version for name in "abc"] == ["1.0.0", "2.0.0", "2.0.0"]
    assert [found.find(name, "*").name for name in "abc"] == ["a", "b", "c"]


def test_a_stored_index_has_all_that_was_served():
    entry = {"name": "demo", "version": "1.0.0", "urls": ["x"], "annotations": {"a": [1, 2.5, None, True]}}
    served = {"apiVersion": "v1", "generated": "2026-01-01", "entries": {"demo": [entry]}}
    for text in (json.dumps(served), yaml.dump(served)):
        stored = b"".join(index.parse(text.encode(), limit=1000).json())
        assert json.loads(stored) == served
        assert index.read(stored).find("demo", "1.x") == index.read(stored).brief().find("demo", "1.x")


def test_an_index_that_is_nested_too_deeply_is_refused():
    deep = "[" * 300 + "]" * 300
    text = '{"apiVersion": "v1", "entries": {"demo": [{"version": "1.0.0", "x": %s}]}}' % deep  # noqa: UP031
    with pytest.raises(IndexFailed):
        index.parse(text.encode(), limit=10_000)
