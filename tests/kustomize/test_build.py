"""Builds of small trees, one behaviour each."""

from __future__ import annotations

import pytest

from shared import kustomize
from shared.kustomize import BuildError, BuildOptions, MemoryTree

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  key: value\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
spec:
  replicas: 1
  selector:
    matchLabels:
      app: app
  template:
    metadata:
      labels:
        app: app
    spec:
      containers:
      - name: app
        image: registry.example.com/app:1.0
        envFrom:
        - configMapRef:
            name: settings
        ports:
        - containerPort: 8080
"""


def build(files: dict[str, str], path: str = "/", **options: object) -> str:
    return kustomize.build(MemoryTree(files), path, BuildOptions(**options)).yaml()  # type: ignore[arg-type]


def test_an_overlay_changes_what_its_base_says():
    text = build(
        {
            "base/kustomization.yaml": "resources: [app.yaml]\n",
            "base/app.yaml": DEPLOYMENT,
            "overlay/kustomization.yaml": """\
resources: [../base]
namespace: shop
namePrefix: prod-
labels:
- pairs: {tier: web}
  includeSelectors: true
images:
- name: registry.example.com/app
  newTag: "2.0"
replicas:
- name: app
  count: 3
configMapGenerator:
- name: settings
  literals: [a=1]
patches:
- patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: app
    spec:
      template:
        spec:
          containers:
          - name: app
            ports:
            - containerPort: 9090
""",
        },
        "overlay",
    )
    assert (
        text
        == """\
apiVersion: v1
data:
  a: "1"
kind: ConfigMap
metadata:
  labels:
    tier: web
  name: prod-settings-h29d89cmmt
  namespace: shop
---
apiVersion: apps/v1
kind: Deployment
metadata:
  labels:
    tier: web
  name: prod-app
  namespace: shop
spec:
  replicas: 3
  selector:
    matchLabels:
      app: app
      tier: web
  template:
    metadata:
      labels:
        app: app
        tier: web
    spec:
      containers:
      - envFrom:
        - configMapRef:
            name: prod-settings-h29d89cmmt
        image: registry.example.com/app:2.0
        name: app
        ports:
        - containerPort: 9090
        - containerPort: 8080
"""
    )


def test_all_that_is_wrong_is_listed_with_its_place():
    files = {
        "kustomization.yaml": "resources: [one.yaml, two.yaml, missing.yaml]\n",
        "one.yaml": "kind: ConfigMap\nmetadata: {}\n",
        "two.yaml": "a: [1\nb: 2\n",
    }
    with pytest.raises(BuildError) as caught:
        build(files)
    places = [(p.file, p.field) for p in caught.value.problems]
    assert places == [
        ("one.yaml", "metadata.name"),
        ("two.yaml", ""),
        ("kustomization.yaml", "resources[2]"),
    ]
    assert len(str(caught.value).splitlines()) == 3


def test_an_unknown_field_is_named():
    with pytest.raises(BuildError) as caught:
        build({"kustomization.yaml": "resorces: [a.yaml]\nnamePrefix: 5\n"})
    assert [p.field for p in caught.value.problems] == ["namePrefix", "resorces"]


def test_a_file_outside_the_directory_is_refused_unless_the_restrictor_is_off():
    files = {
        "app/kustomization.yaml": "resources: [../other/cm.yaml]\n",
        "other/cm.yaml": CONFIG_MAP.format(name="cm"),
    }
    with pytest.raises(kustomize.BuildError, match="not in or below app"):
        build(files, "app")
    assert "name: cm" in build(files, "app", load_restrictor="LoadRestrictionsNone")


def test_a_cycle_is_refused():
    files = {"a/kustomization.yaml": "resources: [../b]\n", "b/kustomization.yaml": "resources: [../a]\n"}
    with pytest.raises(kustomize.BuildError, match="cycle"):
        build(files, "a")


def test_remote_bases_are_refused_without_a_port():
    with pytest.raises(kustomize.BuildError, match="remote"):
        build({"kustomization.yaml": "resources: ['https://github.com/example/repo//base?ref=v1']\n"})


def test_remote_bases_come_through_the_port():
    class Port:
        def clone(self, repository: kustomize.Repository) -> kustomize.Tree:
            assert (repository.clone, repository.path, repository.ref) == (
                "https://github.com/example/repo",
                "base",
                "v1",
            )
            return MemoryTree(
                {"base/kustomization.yaml": "resources: [cm.yaml]", "base/cm.yaml": CONFIG_MAP.format(name="far")}
            )

        def download(self, url: str) -> bytes:
            if not url.endswith(".yaml"):
                raise kustomize.NotFound("a page for people")
            return CONFIG_MAP.format(name="file").encode()

    files = {
        "kustomization.yaml": "resources: ['https://github.com/example/repo//base?ref=v1', 'https://example.com/cm.yaml']\n"
    }
    result = kustomize.build(MemoryTree(files), "/", BuildOptions(remote=Port()))
    assert [item.name for item in result.resources] == ["far", "file"]


def test_a_kustomization_in_memory_takes_the_place_of_the_file():
    tree = MemoryTree({"cm.yaml": CONFIG_MAP.format(name="cm")})
    result = kustomize.build(tree, kustomization={"resources": ["cm.yaml"], "namePrefix": "x-"})
    assert [item.name for item in result.resources] == ["x-cm"]
    assert result.files == {"cm.yaml"}
    assert result.resources[0].files == ("cm.yaml",)


def test_what_kustomize_reads_as_text_stays_text():
    text = build(
        {"kustomization.yaml": "resources: [cm.yaml]", "cm.yaml": CONFIG_MAP.format(name="cm") + "  on: yes\n"}
    )
    assert 'on: "yes"' in text.replace('"on"', "on")
