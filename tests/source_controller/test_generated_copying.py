"""Copying: what an artifact is put together from, step by step, as `cp` would; and that nothing leads out of it."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

from source_controller.generated import copying, placing
from source_controller.generated.placing import CopyError
from source_controller.generated.plan import Copy

CONFIGS = {"config.yaml": "c", "configs/a.yaml": "a", "configs/sub/b.yaml": "b", "configs/README.md": "r"}


@pytest.fixture
def built(tmp_path):
    """`built(steps, repo=files, …)`: the files that the steps make of sources with these files."""

    def build(steps, **sources):
        trees = {}
        for alias, files in sources.items():
            trees[alias] = tmp_path / "sources" / alias
            trees[alias].mkdir(parents=True)
            for name, content in files.items():
                file = trees[alias] / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content if isinstance(content, bytes) else content.encode())
        before = snapshot(tmp_path / "sources")
        copying.build([step if isinstance(step, Copy) else copy(*step) for step in steps], trees, tmp_path / "out")
        assert snapshot(tmp_path / "sources") == before, "the sources are as they were"
        return snapshot(tmp_path / "out")

    return build


def copy(source, to, exclude=(), strategy="Overwrite"):
    alias, _, path = source.removeprefix("@").partition("/")
    return Copy(alias, path, to.removeprefix("@artifact/"), list(exclude), strategy)


def snapshot(root):
    found = {}
    for below, names in placing.walk(root):
        for name in names:
            found[placing.joined(below, name)] = (root / below / name).read_bytes().decode(errors="replace")
    return found


def tarball(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return out.getvalue()


@pytest.mark.parametrize(
    ("source", "to", "made"),
    [
        ("@repo/config.yaml", "@artifact/apps/app.yaml", {"apps/app.yaml": "c"}),
        ("@repo/config.yaml", "@artifact/apps/", {"apps/config.yaml": "c"}),
        ("@repo/config.yaml", "@artifact/", {"config.yaml": "c"}),
        ("@repo/configs/*.yaml", "@artifact/apps/", {"apps/configs/a.yaml": "a"}),
        (
            "@repo/configs/",
            "@artifact/apps/",
            {"apps/configs/a.yaml": "a", "apps/configs/sub/b.yaml": "b", "apps/configs/README.md": "r"},
        ),
        (
            "@repo/configs",
            "@artifact/apps",
            {"apps/configs/a.yaml": "a", "apps/configs/sub/b.yaml": "b", "apps/configs/README.md": "r"},
        ),
        ("@repo/configs/**", "@artifact/apps/", {"apps/a.yaml": "a", "apps/sub/b.yaml": "b", "apps/README.md": "r"}),
        ("@repo/configs/sub/**", "@artifact/", {"b.yaml": "b"}),
        ("@repo/", "@artifact/", CONFIGS),
        ("@repo/**", "@artifact/", CONFIGS),
        ("@repo/c*/s?b", "@artifact/x/", {"x/configs/sub/b.yaml": "b"}),
        ("@repo/c*/a*", "@artifact/x", {"x/configs/a.yaml": "a"}),
    ],
)  # fmt: skip
def test_files_and_directories_go_where_cp_would_put_them(built, source, to, made):
    assert built([(source, to)], repo=CONFIGS) == made


def test_later_steps_overwrite_earlier_ones(built):
    made = built([("@one/**", "@artifact/"), ("@two/**", "@artifact/")], one={"a": "1", "b": "1"}, two={"b": "2"})
    assert made == {"a": "1", "b": "2"}


def test_a_file_goes_into_a_directory_that_an_earlier_step_made(built):
    made = built([("@repo/sub/", "@artifact/"), ("@repo/x", "@artifact/sub")], repo={"sub/a": "a", "x": "x"})
    assert made == {"sub/a": "a", "sub/x": "x"}


@pytest.mark.parametrize(
    ("source", "exclude", "made"),
    [
        ("@repo/configs/**", ["*.md"], {"a.yaml", "sub/b.yaml"}),
        ("@repo/configs/**", ["**/sub/**"], {"a.yaml", "README.md"}),
        ("@repo/configs/**", ["sub/**"], {"a.yaml", "README.md"}),
        ("@repo/configs/**", ["configs/sub/**"], {"a.yaml", "README.md"}),
        ("@repo/configs/**", ["b.yaml"], {"a.yaml", "README.md", }),
        ("@repo/configs/**", ["configs/a.yaml", "*.md"], {"sub/b.yaml"}),
        ("@repo/configs", ["sub/**"], {"configs/a.yaml", "configs/README.md"}),
        ("@repo/configs", ["configs/sub/**"], {"configs/a.yaml", "configs/README.md"}),
        ("@repo/config.yaml", ["config.yaml"], set()),
        ("@repo/*.yaml", ["other"], {"config.yaml"}),
    ],
)  # fmt: skip
def test_what_is_excluded_stays_out(built, source, exclude, made):
    assert built([copy(source, "@artifact/", exclude)], repo=CONFIGS).keys() == made


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (("@repo/missing", "@artifact/"), "source 'missing' does not exist"),
        (("@other/x", "@artifact/"), "source alias 'other' not found"),
        (("@repo/*.txt", "@artifact/"), r"no files match pattern '\*.txt' in source 'repo'"),
        (("@repo/[", "@artifact/"), "syntax error in pattern"),
        (("@repo/*.yaml", "@artifact/", ["*.yaml"]), "all files matching pattern"),
        (("@repo/*.yaml", "@artifact/", ["[*.yaml"]), "invalid exclude pattern"),
        (("@repo/../x", "@artifact/"), "leads out"),
        (("@repo/*/../../x", "@artifact/"), "leads out"),
        (("@repo/config.yaml", "@artifact/../x"), "leads out"),
        (("@repo/configs", "@artifact/", [], "Extract"), "not supported for directories"),
        (("@repo/config.yaml", "@artifact/", [], "Extract"), "requires tarball file"),
    ],
)
def test_a_step_that_can_not_be_done_is_named_with_the_reason(built, step, says):
    with pytest.raises(CopyError, match=says) as found:
        built([step], repo=CONFIGS)
    assert f"from '{step[0]}'" in str(found.value)


@pytest.mark.parametrize("steps", [("@repo/sub", "@repo/x"), ("@repo/x", "@repo/sub")])
def test_a_file_and_a_directory_can_not_be_at_one_place(built, steps):
    first = copy(steps[0], "@artifact/at" if "x" in steps[0] else "@artifact/")
    second = copy(steps[1], "@artifact/sub/a/deep" if "x" in steps[1] else "@artifact/at/")
    with pytest.raises(CopyError, match="is a file already"):
        built([first, second], repo={"sub/a": "a", "x": "x"})


def test_yaml_is_merged_as_helm_merges_values(built):
    made = built(
        [("@chart/", "@artifact/"), copy("@repo/prod.yaml", "@artifact/app/values.yaml", strategy="Merge")],
        chart={"app/values.yaml": "image: {name: app, tag: 1}\nports: [1, 2]\nkept: true\n"},
        repo={"prod.yaml": "image: {tag: 2}\nports: [3]\n---\nnew: null\n"},
    )
    assert made["app/values.yaml"] == "image:\n  name: app\n  tag: 2\nkept: true\nnew: null\nports:\n- 3\n"


def test_a_merge_onto_nothing_is_a_copy(built):
    assert built([copy("@repo/a", "@artifact/b", strategy="Merge")], repo={"a": "no: [yaml"}) == {"b": "no: [yaml"}


@pytest.mark.parametrize(("base", "overlay"), [("a: 1", "- 1"), ("no: [yaml", "a: 1"), ("a: 1", "x" * (4 << 20) + ":")])
def test_what_is_no_map_can_not_be_merged(built, base, overlay):
    steps = [("@one/a", "@artifact/"), copy("@two/a", "@artifact/", strategy="Merge")]
    with pytest.raises(CopyError, match=r"can't be merged|bytes to merge"):
        built(steps, one={"a": base}, two={"a": overlay})


def test_tarballs_are_extracted_and_other_files_are_passed_over(built):
    files = {
        "charts/app-1.tgz": tarball({"app/Chart.yaml": "name: app"}),
        "charts/deep/lib.TAR.GZ": tarball({"lib/x": "x"}),
        "charts/README.md": "",
    }
    made = built([copy("@repo/charts/**/*", "@artifact/all/", strategy="Extract")], repo=files)
    assert made == {"all/app/Chart.yaml": "name: app", "all/lib/x": "x"}


@pytest.mark.parametrize(
    "content",
    [b"no tarball", tarball({"../out": "x"}), tarball({"/etc/x": "x"}), tarball({"a": "x" * 9})[:-9]],
    ids=["no tarball", "out of the tree", "absolute", "truncated"],
)
def test_a_hostile_tarball_is_refused(built, tmp_path, content):
    with pytest.raises(CopyError, match="failed to extract tarball"):
        built([copy("@repo/x.tgz", "@artifact/", strategy="Extract")], repo={"x.tgz": content})
    assert not (tmp_path / "out").joinpath("a").exists()


def test_there_is_a_limit_to_files_and_depth(built, monkeypatch, tmp_path):
    monkeypatch.setattr(placing, "_MAX_FILES", 3)
    with pytest.raises(CopyError, match="more than 3 files"):
        built([("@repo/**", "@artifact/")], repo={str(number): "" for number in range(4)})


def test_an_artifact_is_not_deeper_than_the_limit(built):
    with pytest.raises(CopyError, match="deeper than"):
        built([("@repo/a", "@artifact/" + "d/" * 65)], repo={"a": ""})


def test_names_of_any_bytes_are_copied(built, tmp_path):
    strange = os.fsdecode(b"caf\xe9\nx.yaml")
    made = built([copy("@repo/*.yaml", "@artifact/", ["z*"])], repo={strange: "1", "z.yaml": "2"})
    assert made == {strange: "1"}


def test_the_digest_of_a_tree_is_that_of_its_names_modes_and_contents(tmp_path):
    def digest(name, content, mode=0o600):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        root.mkdir()
        (root / name).write_text(content)
        (root / name).chmod(mode)
        return placing.digest(root)

    first = digest("a", "1")
    assert first == digest("a", "1")
    assert len({first, digest("b", "1"), digest("a", "2"), digest("a", "1", 0o700)}) == 4
