"""Random kustomizations: a base, an overlay and perhaps a component, with features in any combination.

They are mostly valid, so that builds of them are worth comparing; what a combination makes invalid stays in.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from shared.text import yaml

Files = dict[str, str]
SCHEMA = json.dumps(
    {
        "definitions": {
            "v1.Custom": {
                "type": "object",
                "x-kubernetes-group-version-kind": [{"group": "example.com", "kind": "Custom", "version": "v1"}],
                "properties": {"spec": {"type": "object", "properties": {"list": {"type": "array"}}}},
            }
        }
    }
)
REMOVE = '[{"op": "remove", "path": "/spec/ports"}]'
Known = dict[str, list[str]]
"""Names of objects by kind."""
NAMES = ("web", "api", "db")
WORDS = ("a", "b2", "on", "1", "x-y", "true", "a b", "")


def names() -> st.SearchStrategy[str]:
    return st.sampled_from(NAMES)


def some(known: Known, kind: str) -> st.SearchStrategy[str]:
    """The name of a known object, now and then another."""
    there = known.get(kind, [])
    return st.sampled_from([*there * 4, NAMES[0]])


def _name(entry: dict[str, Any]) -> str:
    return str(entry["name"])


def pairs(*, least: int = 0) -> st.SearchStrategy[dict[str, str]]:
    keys = st.sampled_from(("app", "team", "tier", "app.kubernetes.io/name"))
    return st.dictionaries(keys, st.sampled_from(("a", "b2", "on", "1", "x-y")), min_size=least, max_size=2)


def _metadata(name: str, labels: dict[str, str], namespace: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if labels:
        found["labels"] = labels
    if namespace:
        found["namespace"] = namespace
    return found


@st.composite
def objects(draw: st.DrawFn) -> dict[str, Any]:
    """One object that may refer to others by name."""
    kind = draw(
        st.sampled_from(("Deployment", "Service", "ConfigMap", "Secret", "ServiceAccount", "Custom", "Binding"))
    )
    namespace = draw(st.sampled_from((None, None, "home")))
    meta = _metadata(draw(names()), draw(pairs()), namespace)
    other = draw(names())
    if kind == "Deployment":
        selector = draw(pairs(least=1))
        container = {
            "name": draw(st.sampled_from(("main", "side"))),
            "image": draw(st.sampled_from(("nginx", "nginx:1.0", "registry.example.com:5000/app@sha256:abc"))),
            "envFrom": [{"configMapRef": {"name": draw(st.sampled_from((*NAMES, "settings", "flags")))}}],
            "env": [{"name": "A", "value": draw(st.sampled_from((*WORDS, "$(ONE)", "x-$(TWO)/$(ONE)", "$$(ONE)")))}],
            "ports": [{"containerPort": draw(st.sampled_from((80, 8080)))}],
        }
        volume = {"name": "v", "secret": {"secretName": draw(st.sampled_from((*NAMES, "token", "settings")))}}
        template = {
            "metadata": {"labels": selector},
            "spec": {"containers": [container], "serviceAccountName": other, "volumes": [volume]},
        }
        spec = {"replicas": draw(st.integers(0, 5)), "selector": {"matchLabels": selector}, "template": template}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": spec}
    if kind == "Service":
        spec = {
            "selector": draw(pairs(least=1)),
            "ports": [{"port": 80, "targetPort": draw(st.sampled_from((80, "http")))}],
        }
        return {"apiVersion": "v1", "kind": kind, "metadata": meta, "spec": spec}
    if kind == "Custom":
        spec = {"list": [draw(st.sampled_from(WORDS))], "n": draw(st.sampled_from((1, 1.5, True, None, "1")))}
        return {"apiVersion": "example.com/v1", "kind": kind, "metadata": meta, "spec": spec}
    if kind == "Binding":
        subject = {"kind": "ServiceAccount", "name": other, "namespace": draw(st.sampled_from(("home", "default")))}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": role,
            "subjects": [subject],
        }
    data = draw(st.dictionaries(st.sampled_from(("k", "l.txt")), st.sampled_from((*WORDS, "two\nlines\n")), max_size=2))
    found: dict[str, Any] = {"apiVersion": "v1", "kind": kind, "metadata": meta}
    if kind == "ConfigMap":
        found["data"] = data
    if kind == "Secret":
        found["stringData"] = data
    return found


@st.composite
def generators(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {"name": draw(st.sampled_from(("settings", "token", "flags")))}
    literals = draw(st.lists(st.sampled_from(("a=1", "b=x y", "c='q'", "d=", "e=a=b")), unique=True, max_size=3))
    if literals:
        found["literals"] = literals
    if draw(st.booleans()):
        found["options"] = draw(
            st.sampled_from(({"disableNameSuffixHash": True}, {"labels": {"g": "1"}}, {"immutable": True}))
        )
    return found


@st.composite
def patches(draw: st.DrawFn, known: Known) -> dict[str, Any]:
    target = draw(
        st.sampled_from(
            ({"kind": "Deployment"}, {"kind": "Deployment", "name": "w.*"}, {"labelSelector": "app=a"}, {"name": "db"})
        )
    )
    operation = draw(
        st.sampled_from(
            (
                {"op": "add", "path": "/metadata/annotations", "value": {"note": "1"}},
                {"op": "replace", "path": "/metadata/labels", "value": {"app": "z"}},
                {"op": "add", "path": "/spec/extra", "value": [1, "a"]},
                {"op": "remove", "path": "/metadata/labels"},
            )
        )
    )
    containers = [{"name": "main", "image": draw(st.sampled_from(("busybox", "nginx:2"))), "tty": True}]
    merge = draw(
        st.sampled_from(
            (
                {"spec": {"template": {"spec": {"containers": containers}}}},
                {"metadata": {"labels": {"app": None, "new": "1"}}},
                {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}},
                {"spec": {"replicas": 9, "$patch": "replace"}},
                {"spec": None},
            )
        )
    )
    if draw(st.booleans()):
        return {"target": target, "patch": yaml.dump([operation])}
    whole = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": draw(some(known, "Deployment"))}}
    for key, value in merge.items():
        whole[key] = {**whole.get(key, {}), **value} if isinstance(value, dict) and key == "metadata" else value
    if draw(st.booleans()) or not known.get("Deployment"):
        return {"target": target, "patch": yaml.dump(whole)}
    return {"patch": yaml.dump(whole)}


@st.composite
def replacements(draw: st.DrawFn, known: Known) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(known) or ["Service"]))
    source = {"kind": kind, "name": draw(some(known, kind))}
    target: dict[str, Any] = {
        "select": {"kind": draw(st.sampled_from(("Deployment", "Custom")))},
        "fieldPaths": [
            draw(st.sampled_from(("metadata.annotations.from", "spec.list.0", "spec.replicas", "metadata.name")))
        ],
    }
    if draw(st.booleans()):
        target["options"] = draw(st.sampled_from(({"create": True}, {"delimiter": "-", "index": 0, "create": True})))
    return {"source": source, "targets": [target]}


@st.composite
def variables(draw: st.DrawFn, known: Known) -> dict[str, Any]:
    """An old-style variable that takes a field of a known object."""
    kind = draw(st.sampled_from(sorted(known) or ["Service"]))
    versions = {"Deployment": "apps/v1", "Custom": "example.com/v1", "RoleBinding": "rbac.authorization.k8s.io/v1"}
    found: dict[str, Any] = {
        "name": draw(st.sampled_from(("ONE", "TWO"))),
        "objref": {"kind": kind, "name": draw(some(known, kind)), "apiVersion": versions.get(kind, "v1")},
    }
    if draw(st.booleans()):
        found["fieldref"] = {
            "fieldpath": draw(st.sampled_from(("metadata.name", "spec.replicas", "metadata.labels.app")))
        }
    return found


def plugins() -> st.SearchStrategy[str]:
    """A builtin transformer as a document of its own."""
    paths = [{"path": "metadata/labels", "create": True}, {"path": "spec/selector/matchLabels", "kind": "Deployment"}]
    documents: list[dict[str, Any]] = [
        {"kind": "PrefixTransformer", "prefix": "in-", "fieldSpecs": [{"path": "metadata/name"}]},
        {
            "kind": "PrefixSuffixTransformer",
            "suffix": "-out",
            "fieldSpecs": [{"path": "metadata/name", "kind": "Service"}],
        },
        {"kind": "LabelTransformer", "labels": {"plug": "1"}, "fieldSpecs": paths},
        {"kind": "AnnotationsTransformer", "annotations": {"plug": "1"}, "fieldSpecs": paths[:1]},
        {
            "kind": "NamespaceTransformer",
            "unsetOnly": True,
            "fieldSpecs": [{"path": "metadata/namespace", "create": True}],
        },
        {"kind": "ImageTagTransformer", "imageTag": {"name": "nginx", "newTag": "9"}},
        {
            "kind": "ReplicaCountTransformer",
            "replica": {"name": "web", "count": 7},
            "fieldSpecs": [{"path": "spec/replicas"}],
        },
        {"kind": "PatchJson6902Transformer", "target": {"kind": "Service", "name": "web"}, "jsonOp": REMOVE},
        {"kind": "ValueAddTransformer", "value": "v", "targets": [{"fieldPath": "metadata/annotations/value"}]},
    ]
    return st.sampled_from(documents).map(
        lambda found: yaml.dump({"apiVersion": "builtin", "metadata": {"name": "n", "namespace": "plug"}, **found})
    )


@st.composite
def kustomizations(draw: st.DrawFn, resources: list[str], known: Known) -> dict[str, Any]:
    """The fields of one kustomization file above the known objects; generated ones become known."""
    found: dict[str, Any] = {"resources": resources}

    def sometimes(field: str, strategy: st.SearchStrategy[Any], *, one_in: int = 3) -> None:
        if draw(st.integers(1, one_in)) == 1:
            found[field] = draw(strategy)

    sometimes("namespace", st.sampled_from(("shop", "default")))
    sometimes("namePrefix", st.sampled_from(("p-", "pre")))
    sometimes("nameSuffix", st.just("-s"))
    sometimes("commonLabels", pairs(least=1), one_in=6)
    label = st.fixed_dictionaries(
        {"pairs": pairs(least=1)},
        optional={"includeSelectors": st.booleans(), "includeTemplates": st.booleans()},
    )
    sometimes("labels", st.lists(label, min_size=1, max_size=2))
    sometimes("commonAnnotations", pairs(least=1))
    image = st.fixed_dictionaries(
        {"name": st.sampled_from(("nginx", "registry.example.com:5000/app", "ng.*"))},
        optional={
            "newName": st.just("mirror/x"),
            "newTag": st.sampled_from(("2", "v1")),
            "digest": st.just("sha256:def"),
            "tagSuffix": st.just("-alpine"),
        },
    )
    sometimes("images", st.lists(image, min_size=1, max_size=2))
    sometimes("configMapGenerator", st.lists(generators(), min_size=1, max_size=2, unique_by=_name))
    sometimes("secretGenerator", st.lists(generators(), min_size=1, max_size=1), one_in=4)
    for field, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
        for entry in found.get(field, ()):
            if entry["name"] in known.setdefault(kind, []):
                entry["behavior"] = draw(st.sampled_from(("merge", "replace")))
            known[kind].append(entry["name"])
    sometimes("patches", st.lists(patches(known), min_size=1, max_size=2))
    if known.get("Deployment"):
        replica = st.fixed_dictionaries({"name": some(known, "Deployment"), "count": st.integers(0, 9)})
        sometimes("replicas", st.lists(replica, max_size=1), one_in=5)
    sometimes("replacements", st.lists(replacements(known), min_size=1, max_size=1), one_in=4)
    sometimes("vars", st.lists(variables(known), min_size=1, max_size=2, unique_by=_name), one_in=6)
    sometimes("transformers", st.lists(plugins(), min_size=1, max_size=2), one_in=6)
    generated = {
        "apiVersion": "builtin",
        "kind": "ConfigMapGenerator",
        "metadata": {"name": "made"},
        "literals": ["a=1"],
    }
    sometimes("generators", st.just([yaml.dump(generated)]), one_in=10)
    sometimes("validators", st.lists(plugins(), min_size=1, max_size=1), one_in=20)
    legacy = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"paused": True}}
    sometimes("patchesStrategicMerge", st.just([yaml.dump(legacy)]), one_in=10)
    target = st.fixed_dictionaries(
        {"version": st.just("v1"), "kind": st.just("Service"), "name": some(known, "Service")}
    )
    old = st.fixed_dictionaries({"target": target, "patch": st.just(REMOVE)})
    sometimes("patchesJson6902", st.lists(old, min_size=1, max_size=1), one_in=10)
    sometimes("openapi", st.just({"path": "schema.json"}), one_in=12)
    sometimes(
        "buildMetadata",
        st.sampled_from((["originAnnotations"], ["managedByLabel"], ["transformerAnnotations"])),
        one_in=8,
    )
    sometimes("sortOptions", st.sampled_from(({"order": "fifo"}, {"order": "legacy"})), one_in=6)
    sometimes(
        "generatorOptions",
        st.sampled_from(({"disableNameSuffixHash": True}, {"annotations": {"o": "1"}, "labels": {"l": "2"}})),
        one_in=6,
    )
    return found


@st.composite
def trees(draw: st.DrawFn) -> Files:
    """A tree of files with `base/` and `overlay/`."""
    found = draw(st.lists(objects(), min_size=1, max_size=5, unique_by=_identity))
    files = {f"base/{number}.yaml": yaml.dump(item) for number, item in enumerate(found)}
    known: Known = {}
    for item in found:
        known.setdefault(item["kind"], []).append(item["metadata"]["name"])
    base = draw(kustomizations([name.removeprefix("base/") for name in files], known))
    files["base/kustomization.yaml"] = yaml.dump(base)
    overlay = draw(kustomizations(["../base"], known))
    if draw(st.integers(1, 4)) == 1:
        component = draw(kustomizations([], known))
        files["component/kustomization.yaml"] = yaml.dump(
            {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", **component}
        )
        overlay["components"] = ["../component"]
    files["overlay/kustomization.yaml"] = yaml.dump(overlay)
    return files | {f"{folder}/schema.json": SCHEMA for folder in ("base", "overlay", "component")}


def _identity(item: dict[str, Any]) -> tuple[str, str, str]:
    return item["kind"], item["metadata"]["name"], item["metadata"].get("namespace", "")
