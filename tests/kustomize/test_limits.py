"""Inputs whose few lines mean a lot of work: each is either quick or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared import kustomize
from shared.kustomize import BuildError, MemoryTree
from tests.kustomize.mutations import run

COUNT = 1500
BIG = "v" * 1_000_000


def config_map(name: str, data: str = "{}", more: str = "") -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}{more}}}\ndata: {data}\n"


def many(count: int = COUNT) -> str:
    return "---\n".join(config_map(f"c{number}") for number in range(count))


def deployment(containers: list[dict[str, Any]]) -> str:
    spec = {"template": {"spec": {"containers": containers}}}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec})


def patched(base: str, patch: str) -> dict[str, str]:
    return {"kustomization.yaml": "resources: [a.yaml]\npatches: [{path: p.yaml}]\n", "a.yaml": base, "p.yaml": patch}


def listed(kustomization: str, objects: str) -> dict[str, str]:
    return {"kustomization.yaml": "resources: [a.yaml]\n" + kustomization, "a.yaml": objects}


def doubling() -> dict[str, str]:
    files = {"base/kustomization.yaml": "resources: [a.yaml]\n", "base/a.yaml": config_map("c")}
    below = ["../base", "../base"]
    for level in range(30):
        for side in "ab":
            files[f"l{level}{side}/kustomization.yaml"] = f"namePrefix: {side}-\nresources: {json.dumps(below)}\n"
        below = [f"../l{level}a", f"../l{level}b"]
    return {**files, "kustomization.yaml": "resources: [l29a]\n"}


def ports(first: int, **more: str) -> list[dict[str, Any]]:
    return [{"name": "a", "ports": [{"containerPort": first + n, **more} for n in range(COUNT)]}]


FEW = {
    "ports that two keys tell apart": patched(
        *(deployment(ports(first, protocol="TCP")) for first in (0, 700))
    ),
    "containers by the thousand": patched(
        *(deployment([{"name": f"c{n}", "image": "x"} for n in range(COUNT)]) for _ in range(2))
    ),
    "a long set": patched(
        *(config_map("c", more=f", finalizers: [{', '.join(f'{x}{n}' for n in range(COUNT))}]") for x in "ab")
    ),
    "generators that add": listed(
        "configMapGenerator:\n" + "".join(f"- {{name: d{n}, literals: [a=b]}}\n" for n in range(COUNT)), many()
    ),
    "generators that merge": listed(
        "configMapGenerator:\n"
        + "".join(f"- {{name: c{n}, behavior: merge, literals: [a=b]}}\n" for n in range(COUNT)),
        many(),
    ),
    "patches by name": listed(
        "patches:\n" + "".join(f"- patch: {json.dumps(config_map(f'c{n}'))}\n" for n in range(COUNT)), many()
    ),
    "one name in many namespaces": listed(
        "namePrefix: x-\n",
        "---\n".join(
            f"{{apiVersion: v1, kind: Secret, metadata: {{name: s, namespace: n{n}}}}}\n---\n"
            f"{{apiVersion: v1, kind: Pod, metadata: {{name: p, namespace: n{n}}},"
            " spec: {volumes: [{secret: {secretName: s}}]}}\n"
            for n in range(COUNT // 2)
        ),
    ),
}  # fmt: skip
TOO_MUCH = {
    "overlays that double what they list": (doubling(), "steps"),
    "a component for every object": (
        {
            **listed(f"components: [{', '.join(['c'] * 500)}]\n", many(500)),
            "c/kustomization.yaml": "{apiVersion: kustomize.config.k8s.io/v1alpha1, kind: Component, namePrefix: a}\n",
        },
        "steps",
    ),
    "a patch that copies its copies": (
        listed(
            "patches:\n- target: {kind: .*}\n  patch: |-\n"
            + "".join(f"    - {{op: copy, from: /data, path: /data/c{n}}}\n" for n in range(40)),
            config_map("c"),
        ),
        "copying",
    ),
    "a variable that is put everywhere": (
        {
            **listed(
                "vars: [{name: V, objref: {kind: ConfigMap, apiVersion: v1, name: c}, fieldref: {fieldpath: data.v}}]\n"
                "configurations: [c.yaml]\n",
                config_map("c", f"{{v: {BIG}}}")
                + "---\n"
                + config_map("d", "{" + ", ".join(f"k{n}: x$(V)$(V)" for n in range(500)) + "}"),
            ),
            "c.yaml": "varReference: [{path: data, kind: ConfigMap}]\n",
        },
        "variables",
    ),
    "a value that is put everywhere": (
        listed(
            "replacements:\n- source: {kind: ConfigMap, name: c, fieldPath: data.v}\n"
            "  targets: [{select: {name: d}, fieldPaths: [spec.*]}]\n",
            config_map("c", f"{{v: {BIG}}}")
            + f"---\n{config_map('d')}spec: {json.dumps([str(n) for n in range(COUNT)])}\n",
        ),
        "replacements",
    ),
    "a file that is put everywhere": (
        {
            "kustomization.yaml": "configMapGenerator:\n"
            + "".join(f"- {{name: d{n}, files: [a=big, b=big]}}\n" for n in range(100)),
            "big": BIG,
        },
        "generators",
    ),
    "items that no key tells apart": (
        patched(*(deployment([{"name": f"c{n // 2}"} for n in range(COUNT)]) for _ in range(2))),
        "no key of their own",
    ),
}


@pytest.mark.parametrize("name", FEW)
def test_much_that_is_only_large_is_built_in_time(name: str) -> None:
    assert run(FEW[name], "/", {}) == ("built", "")


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_multiplies_is_refused_in_time_and_says_why(name: str) -> None:
    files, why = TOO_MUCH[name]
    assert run(files, "/", {}) == ("refused", "")
    with pytest.raises(BuildError, match=why):
        kustomize.build(MemoryTree(files))
