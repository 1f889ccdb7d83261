"""From the files of an artifact to the objects that are applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kustomize_controller import build
from kustomize_controller.build import Built
from shared.api import codec
from shared.api.kustomize import Kustomization
from shared.kustomize import DiskTree, Survey
from shared.loop.verdict import Failed, NotReady
from tests.kit.gitserver import GitServer

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  colour: {colour}\n"


def kustomization(**spec: Any) -> Kustomization:
    return codec.decode(
        Kustomization,
        {
            "apiVersion": Kustomization.resource.api_version,
            "kind": "Kustomization",
            "metadata": {"name": "app", "namespace": "team", "uid": "1", "generation": 1},
            "spec": {"interval": "1h", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "repo"}, **spec},
        },
    )


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


async def made(
    ks: Kustomization, root: Path, given: dict[str, str] | None = None, *, strict: bool = True, **options: Any
) -> Built:
    files = Survey(DiskTree(root))
    template = await build.template(ks, files, build.require_path(ks, files), **options)
    return await build.filled(ks, template, given, strict=strict)


async def built(ks: Kustomization, root: Path, given: dict[str, str] | None = None, *, strict: bool = True) -> Any:
    result = await made(ks, root, given, strict=strict)
    build.require_decrypted(result)
    return result.manifests


async def test_the_fields_of_the_spec_are_laid_over_what_is_built(tmp_path):
    root = tree(tmp_path, {"app/a.yaml": CONFIG_MAP.format(name="settings", colour="blue")})
    ks = kustomization(
        path="./app",
        targetNamespace="shop",
        namePrefix="eu-",
        commonMetadata={"labels": {"team": "a"}, "annotations": {"note": "b"}},
        patches=[{"patch": "- {op: add, path: /data/size, value: L}", "target": {"kind": "ConfigMap"}}],
    )
    [manifest] = await built(ks, root)
    assert manifest["metadata"] == {
        "name": "eu-settings",
        "namespace": "shop",
        "labels": {"team": "a"},
        "annotations": {"note": "b"},
    }
    assert manifest["data"] == {"colour": "blue", "size": "L"}


async def test_nothing_is_written_into_the_artifact_that_others_read_too(tmp_path):
    root = tree(tmp_path, {"a.yaml": CONFIG_MAP.format(name="settings", colour="blue")})
    before = sorted(path.name for path in root.rglob("*"))
    await built(kustomization(targetNamespace="shop"), root)
    assert sorted(path.name for path in root.rglob("*")) == before


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.yaml": "kind: [unclosed\n"}, "failed to decode Kubernetes YAML from a.yaml:2: "),
        ({"a.yaml": "metadata: {name: x}\n"}, "failed to decode Kubernetes YAML from a.yaml:1: kind: "),
        ({"a.yaml": "apiVersion: v1\nkind: ConfigMap\n"}, "failed to decode Kubernetes YAML from a.yaml:1: "),
        ({"kustomization.yaml": "resources: [absent.yaml]\n"}, "kustomize build failed: accumulating resources: "),
        ({"kustomization.yaml": "resources: [absent.yaml]\n"}, "kustomization.yaml: resources[0]: "),
        (
            {"a.yaml": CONFIG_MAP.format(name="x", colour="1"), "b.yaml": CONFIG_MAP.format(name="x", colour="2")},
            "may not add resource with an already registered id",
        ),
        (
            {"kustomization.yaml": "resources: [a.yaml]\npatches: [{path: p.yaml}]\n"}
            | {"a.yaml": CONFIG_MAP.format(name="x", colour="1"), "p.yaml": CONFIG_MAP.format(name="y", colour="2")},
            "p.yaml:1: ",
        ),
        ({"kustomization.yaml": "resources: [https://example.com/x//y]\n"}, "kustomization.yaml: resources[0]: "),
    ],
)
async def test_what_is_wrong_is_named_with_its_place(tmp_path, files, said):
    with pytest.raises(Failed) as failed:
        await built(kustomization(), tree(tmp_path, files))
    assert failed.value.reason == "BuildFailed"
    assert said in failed.value.message


@pytest.mark.parametrize("metadata", [[], ["originAnnotations"]])
async def test_a_file_with_a_name_in_another_encoding_is_built_and_its_place_spelled_out(tmp_path, metadata):
    root = tree(tmp_path, {"caf\udce9.yaml": CONFIG_MAP.format(name="x", colour="blue")})
    result = await made(kustomization(buildMetadata=metadata), root)
    assert [manifest["data"] for manifest in result.manifests] == [{"colour": "blue"}]
    assert list(result.places.by_object().values()) == [r"caf\xe9.yaml:1"]
    annotations = result.manifests[0]["metadata"].get("annotations", {})
    assert list(annotations.values()) == ([r"path: caf\xe9.yaml" + "\n"] if metadata else [])


async def test_every_broken_file_is_named(tmp_path):
    root = tree(tmp_path, {"a.yaml": "kind: [\n", "b.yaml": "just: data\n", "c.yaml": "- 1\n"})
    with pytest.raises(Failed) as failed:
        await built(kustomization(), root)
    assert [line.split(" from ")[1][:6] for line in failed.value.message.splitlines()] == ["a.yaml", "b.yaml", "c.yaml"]


@pytest.mark.parametrize("path", ["./absent", "a.yaml", "link"])
def test_a_path_that_is_no_directory_of_the_artifact_fails(tmp_path, path):
    root = tree(tmp_path / "root", {"a.yaml": "x"})
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(Failed, match="kustomization path not found: ") as failed:
        build.require_path(kustomization(path=path), DiskTree(root))
    assert failed.value.reason == "ArtifactFailed"
    assert str(tmp_path) not in failed.value.message


def test_a_path_cannot_leave_the_artifact(tmp_path):
    assert build.require_path(kustomization(path="../../.."), DiskTree(tmp_path)) == "/"


async def test_variables_are_filled_in_and_every_undefined_one_is_named(tmp_path):
    root = tree(
        tmp_path,
        {
            "a.yaml": CONFIG_MAP.format(name="a", colour="${colour}"),
            "b.yaml": CONFIG_MAP.format(name="b", colour="${size:=L}"),
        },
    )
    assert [m["data"]["colour"] for m in await built(kustomization(), root, {"colour": "blue"})] == ["blue", "L"]
    more = tree(tmp_path, {"c.yaml": CONFIG_MAP.format(name="c", colour="${weight}")})
    with pytest.raises(Failed) as failed:
        await built(kustomization(), more, {"other": "1"})
    first, second = failed.value.message.splitlines()
    assert first.startswith("var substitution failed for 'ConfigMap/a': ")
    assert first.endswith("(in a.yaml:1)")
    assert second.startswith("var substitution failed for 'ConfigMap/c': ")
    assert second.endswith("(in c.yaml:1)")
    assert await built(kustomization(), more, {"other": "1"}, strict=False)


async def test_variables_stay_out_of_objects_that_say_so_and_where_there_are_none(tmp_path):
    marked = CONFIG_MAP.format(name="a", colour="${colour}").replace(
        "  name: a\n", "  name: a\n  annotations: {kustomize.toolkit.fluxcd.io/substitute: disabled}\n"
    )
    root = tree(tmp_path, {"a.yaml": marked, "b.yaml": CONFIG_MAP.format(name="b", colour="${colour}")})
    assert [m["data"]["colour"] for m in await built(kustomization(), root, {"colour": "x"})] == ["${colour}", "x"]
    assert [m["data"]["colour"] for m in await built(kustomization(), root, None)] == ["${colour}"] * 2


@pytest.mark.parametrize("field", ["data", "stringData"])
async def test_an_encrypted_secret_never_reaches_the_cluster_undecrypted(tmp_path, field):
    secret = (
        f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: team}}\n{field}: {{k: ENC}}\nsops: {{mac: x}}\n"
    )
    with pytest.raises(NotReady, match="Secret/team/s is SOPS encrypted, configuring decryption is required"):
        await built(kustomization(), tree(tmp_path, {"s.yaml": secret}))


async def test_the_digest_is_that_of_the_content_alone(tmp_path):
    one = tree(tmp_path / "1", {"a.yaml": CONFIG_MAP.format(name="x", colour="blue")})
    two = tree(tmp_path / "2", {"other.yaml": "# a comment\n" + CONFIG_MAP.format(name="x", colour="'blue'")})
    three = tree(tmp_path / "3", {"a.yaml": CONFIG_MAP.format(name="x", colour="green")})
    digests = [(await made(kustomization(), at)).digest for at in (one, two, three)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("place", ["https://example.com/a.yaml", "https://example.com/org/repo//base?ref=v1"])
async def test_what_lies_elsewhere_is_refused_when_nothing_may_be_fetched(tmp_path, place):
    root = tree(tmp_path, {"kustomization.yaml": f"resources: ['{place}']"})
    with pytest.raises(Failed, match=r"accumulating resources: .*is remote, and remote .* are disabled"):
        await made(kustomization(), root)


async def test_a_build_tells_whether_a_part_of_it_came_from_elsewhere(tmp_path):
    with GitServer(tmp_path / "git") as server:
        base = server.create("base")
        base.commit({"kustomization.yaml": "resources: [a.yaml]", "a.yaml": CONFIG_MAP.format(name="a", colour="red")})
        root = tree(tmp_path / "tree", {"far/kustomization.yaml": f"resources: ['{base.url}//?ref=main']"})
        tree(root, {"near/a.yaml": CONFIG_MAP.format(name="b", colour="blue")})
        files = Survey(DiskTree(root))
        far, near = [await build.template(kustomization(), files, at, remote_seconds=60) for at in ("/far", "/near")]
    assert [(one.is_remote, one.manifests[0]["metadata"]["name"]) for one in (far, near)] == [
        (True, "a"),
        (False, "b"),
    ]


async def test_charts_are_refused_with_a_word_on_what_does_it(tmp_path):
    root = tree(tmp_path, {"kustomization.yaml": "helmCharts: [{name: app, repo: https://charts.example.com}]"})
    with pytest.raises(Failed, match="a Kustomization renders no charts, a HelmRelease does"):
        await made(kustomization(), root, remote_seconds=60)
