"""Hostile inputs: valid trees of files, each broken in a way that a number decides.

    python -m tests.kustomize.mutations [10000] [--seed 1] [--first 0]

builds so many mutated trees and reports every one that ends in something else than a result or a BuildError, that takes
more than 2 s of CPU, or whose build makes the process larger by 448 MiB (to 512, for it has some 60). The same numbers
give the same inputs; one that was reported is built again alone with `--first NUMBER 1`. Behaviour cases beside the
repository are taken as further seeds when they are there.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from shared import kustomize
from shared.text import yaml

SECONDS = 2.0
MEBIBYTES = 448
CASES = Path(__file__).parents[2].parent / "shared" / "kustomize" / "cases"

Files = dict[str, str]

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
  labels: {app: app}
spec:
  replicas: 1
  selector:
    matchLabels: {app: app}
  template:
    metadata:
      labels: {app: app}
    spec:
      serviceAccountName: app
      containers:
      - name: app
        image: registry.example.com/app:1.0
        command: [run, $(NAME)]
        env:
        - {name: A, valueFrom: {configMapKeyRef: {name: settings, key: a}}}
        ports:
        - {containerPort: 8080, protocol: TCP}
        - {containerPort: 8080, protocol: UDP}
        volumeMounts: [{name: data, mountPath: /data}]
      volumes:
      - name: data
        secret: {secretName: token}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: app, annotations: {note: &note "a: [1, 2]"}}
spec:
  selector: {app: app}
  ports: &ports
  - {name: http, port: 80, targetPort: 8080}
  - {name: https, port: 443, targetPort: 8443}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: app}}
- apiVersion: rbac.authorization.k8s.io/v1
  kind: RoleBinding
  metadata: {name: app}
  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: app}
  subjects: [{kind: ServiceAccount, name: app, namespace: old}, {kind: ServiceAccount, name: default}]
"""
OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../base, extra.yaml]
components: [../component]
namespace: shop
namePrefix: prod-
nameSuffix: -v1
commonLabels: {team: web}
commonAnnotations: {owner: web}
labels:
- {pairs: {tier: front}, includeSelectors: true, fields: [{path: spec/x, kind: Widget, create: true}]}
images: [{name: registry.example.com/app, newName: mirror/app, newTag: "2.0"}]
replicas: [{name: app, count: 3}]
configMapGenerator:
- {name: settings, literals: [a=1], files: [file=data.txt], envs: [data.env], options: {labels: {kept: here}}}
secretGenerator:
- {name: token, type: Opaque, literals: [token=secret]}
generatorOptions: {labels: {made: "yes"}, disableNameSuffixHash: false}
patches:
- path: patch.yaml
- target: {kind: Service, name: "ap.", labelSelector: "app!=b"}
  patch: |-
    - {op: add, path: /metadata/labels, value: {a: b}}
    - {op: copy, from: /spec, path: /metadata/copied}
    - {op: test, path: /spec/ports/0/port, value: 80}
    - {op: replace, path: /spec/ports/0/port, value: 81}
    - {op: move, from: /metadata/copied, path: /metadata/moved}
    - {op: remove, path: /metadata/moved}
replacements:
- source: {kind: Service, name: app, fieldPath: spec.ports.0.port}
  targets:
  - select: {kind: Deployment}
    fieldPaths: ["spec.template.spec.containers.[name=app].ports.*.containerPort"]
  - select: {kind: Service}
    fieldPaths: [metadata.annotations.note.a.0]
    options: {create: true}
vars:
- {name: NAME, objref: {kind: Service, name: app, apiVersion: v1}, fieldref: {fieldpath: "spec.ports[0].name"}}
configurations: [config.yaml]
crds: [crds.json]
openapi: {path: schema.json}
buildMetadata: [originAnnotations, transformerAnnotations, managedByLabel]
sortOptions: {order: legacy, legacySortOptions: {orderFirst: [Namespace], orderLast: [Deployment]}}
transformers:
- |-
  apiVersion: builtin
  kind: ValueAddTransformer
  metadata: {name: add}
  value: x
  targets: [{selector: {kind: Deployment}, fieldPath: metadata/annotations/path, filePathPosition: 1}]
"""
TREES: list[Files] = [
    {
        "kustomization.yaml": OVERLAY.replace("../", ""),
        "extra.yaml": "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {parts: [{id: a, n: 1}]}\n",
        "patch.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  template:
    spec:
      containers:
      - name: app
        env: [{name: B, value: "2"}, {$patch: delete, name: A}]
        ports: [{containerPort: 8080, protocol: TCP, name: web}]
      - {name: sidecar, image: side}
      volumes: [{$patch: replace}, {name: data, emptyDir: {}}]
""",
        "data.txt": "text\n",
        "data.env": "A=1\n# comment\nB\n",
        "config.yaml": """\
nameReference:
- {kind: ConfigMap, fieldSpecs: [{path: spec/configName, kind: Widget}]}
varReference: [{path: spec/template/spec/containers/command, kind: Deployment}]
images: [{path: spec/image, kind: Widget}]
""",
        "crds.json": json.dumps(
            {
                "com.example.v1.Widget": {
                    "Schema": {
                        "properties": {
                            "apiVersion": {"type": "string"},
                            "kind": {"type": "string"},
                            "metadata": {"type": "object"},
                            "spec": {"$ref": "com.example.v1.Spec"},
                        }
                    }
                },
                "com.example.v1.Spec": {
                    "Schema": {
                        "properties": {
                            "secret": {
                                "x-kubernetes-object-ref-api-version": "v1",
                                "x-kubernetes-object-ref-kind": "Secret",
                                "type": "string",
                            }
                        }
                    }
                },
            }
        ),
        "schema.json": json.dumps(
            {
                "definitions": {
                    "v1.Widget": {
                        "x-kubernetes-group-version-kind": [
                            {"group": "example.com", "version": "v1", "kind": "Widget"}
                        ],
                        "properties": {
                            "spec": {
                                "properties": {
                                    "parts": {
                                        "type": "array",
                                        "x-kubernetes-patch-strategy": "merge",
                                        "x-kubernetes-patch-merge-key": "id",
                                        "items": {"$ref": "#/definitions/v1.Widget"},
                                    }
                                }
                            }
                        },
                    }
                }
            }
        ),
        "base/kustomization.yaml": "resources: [app.yaml, service.yaml]\n",
        "base/app.yaml": DEPLOYMENT,
        "base/service.yaml": SERVICE,
        "component/kustomization.yaml": """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
configMapGenerator:
- {name: settings, behavior: merge, literals: [c=3]}
""",
    },
    {
        "kustomization.yaml": """\
bases: [base]
patchesStrategicMerge:
- |-
  {apiVersion: apps/v1, kind: Deployment, metadata: {name: app}, spec: {paused: true}}
patchesJson6902:
- target: {group: apps, version: v1, kind: Deployment, name: app}
  patch: '[{"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "x", "image": "y"}}]'
imageTags: [{name: busybox, newTag: v2}]
generators: [generator.yaml]
transformers: [transformer.yaml]
helmCharts: []
""",
        "generator.yaml": "{apiVersion: builtin, kind: SecretGenerator, metadata: {name: s}, literals: [a=b]}\n",
        "transformer.yaml": """\
apiVersion: builtin
kind: PrefixSuffixTransformer
metadata: {name: t}
prefix: a-
suffix: -b
fieldSpecs: [{path: metadata/name}]
---
apiVersion: builtin
kind: NamespaceTransformer
metadata: {name: n, namespace: far}
setRoleBindingSubjects: allServiceAccounts
fieldSpecs: [{path: metadata/namespace, create: true}]
""",
        "base/kustomization.yaml": "resources:\n- app.yaml\n- service.yaml\n",
        "base/app.yaml": DEPLOYMENT,
        "base/service.yaml": SERVICE,
    },
]


@cache
def seeds() -> list[tuple[Files, str, dict[str, Any]]]:
    """(files, directory to build, options) of inputs that mutations begin with."""
    found: list[tuple[Files, str, dict[str, Any]]] = [(tree, ".", {}) for tree in TREES]
    for path in sorted(CASES.glob("*.json")) if CASES.is_dir() else ():
        case = json.loads(path.read_text())
        if case["group"] != "helm":
            restrictor = case["options"].get("load_restrictor", "LoadRestrictionsRootOnly")
            found.append((case["files"], case["path"], {"load_restrictor": restrictor}))
    return found


# How one file is broken. Each takes the random numbers and the text and gives another text.


def truncated(rng: random.Random, text: str) -> str:
    return text[: rng.randrange(len(text) + 1)]


def spliced(rng: random.Random, text: str) -> str:
    """A piece is lost, repeated, or put somewhere else."""
    start, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
    at = rng.randrange(len(text) + 1)
    piece = text[start:end]
    return rng.choice((text[:start] + text[end:], text[:at] + piece + text[at:], text[:start] + piece * 2 + text[end:]))


def noisy(rng: random.Random, text: str) -> str:
    """Single characters are replaced by ones that mean something, or nothing at all."""
    chars = list(text)
    for _ in range(rng.randrange(1, 6)):
        if chars:
            chars[rng.randrange(len(chars))] = rng.choice("{}[]:,-&*#?|>!%@`\"'\n\t $\0\x07\x85\u2028\ufeff\ud800~.0")
    return "".join(chars)


def relined(rng: random.Random, text: str) -> str:
    """Lines are lost, repeated, swapped or indented."""
    lines = text.split("\n")
    for _ in range(rng.randrange(1, 4)):
        at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        how = rng.randrange(4)
        if how == 0 and len(lines) > 1:
            del lines[at]
        elif how == 1:
            lines.insert(other % (len(lines) + 1), lines[at % len(lines)])
        elif how == 2:
            lines[at % len(lines)] = "  " + lines[at % len(lines)]
        else:
            lines[at % len(lines)], lines[other % len(lines)] = lines[other % len(lines)], lines[at % len(lines)]
    return "\n".join(lines)


_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64 - 1, -(2**63), 1.5, 1e300, "", " ", "x", "null", "true", "1e3",
    "0x10",
    "~", "*", "&a", "<<", "$(NAME)", "$patch", "[", "{", "a.b.c", "../..", "/", ".", "(", "(a+)+$", "a" * 300, "\ud800",
    "2001-01-01", "http://example.invalid/x", "git@example.invalid:a/b", [], {}, [[]], [None], [1], ["a"], [{}],
    {"": None}, {"name": "app"}, {"name": []}, {"name": {}}, {"$patch": "delete"}, {"$patch": "replace"},
    {"$patch": []},    [{"$patch": "delete"}], {"kind": "List", "items": None},
    {"apiVersion": "v1", "kind": "List", "items": [[], 1, None]},
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}, {"name": {"a": 1}, "value": []},
)  # fmt: skip


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in list(pairs):
        yield value, key
        yield from _places(child)


def _deep(value: Any, levels: int, *, mapping: bool) -> Any:
    for _ in range(levels):
        value = {"a": value} if mapping else [value]
    return value


def _changed(rng: random.Random, value: Any) -> Any:
    """One value, replaced by another one of another type, size or depth."""
    how = rng.randrange(12)
    if how == 0 and isinstance(value, str):
        return value * rng.choice((2, 50, 5000))
    if how == 1 and isinstance(value, list):
        return value * rng.choice((2, 40, 300))
    if how == 2 and isinstance(value, dict):
        return {
            **value,
            **{f"{key}{number}": item for number in range(rng.choice((1, 300))) for key, item in value.items()},
        }
    if how == 3:
        return _deep(value, rng.choice((1, 5, 60, 240, 400)), mapping=rng.random() < 0.5)
    if how == 4:
        return [value]
    if how == 5:
        return {"name": value}
    return copy.deepcopy(rng.choice(_ODD))


def retyped(rng: random.Random, text: str) -> str:
    """Some values of the documents are replaced, moved or dropped."""
    try:
        documents = yaml.load_all(text)
    except yaml.YAMLError:
        return noisy(rng, text)
    for _ in range(rng.randrange(1, 4)):
        places = list(_places(documents))
        if not places:
            return noisy(rng, text)
        owner, key = rng.choice(places)
        how = rng.randrange(8)
        try:
            if how == 0:
                del owner[key]
            elif how == 1:
                other, name = rng.choice(places)
                owner[key] = json.loads(json.dumps(other[name]))
            elif how == 2 and isinstance(owner, dict):
                owner[rng.choice(("", "<<", "name", "$patch", "kind", "metadata", "x", "items"))] = owner.pop(key)
            else:
                owner[key] = _changed(rng, owner[key])
        except (LookupError, RecursionError):
            continue
    try:
        return "---\n".join(json.dumps(document) + "\n" for document in documents)
    except RecursionError:
        return text


def deep(rng: random.Random, text: str) -> str:
    """Brackets or indentation that go down and down, in the place of a value."""
    levels = rng.choice((50, 249, 251, 1000, 20_000))
    opened, closed = rng.choice((("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")))
    nest = opened * levels + "x" + closed * rng.choice((levels, 0))
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    head, colon, _ = lines[at].partition(":")
    lines[at] = f"{head}: {nest}" if colon else nest
    return "\n".join(lines)


def huge(rng: random.Random, text: str) -> str:
    """Many documents, long texts, long numbers, many keys."""
    how = rng.randrange(6)
    if how == 0:
        return "\n---\n".join([text] * rng.choice((50, 300)))
    if how == 1:
        return text.replace("app", "a" * rng.choice((1000, 100_000)), 3)
    if how == 2:
        return text + "\nextra: {" + ", ".join(f"k{n}: {n}" for n in range(rng.choice((100, 20_000)))) + "}\n"
    if how == 3:
        return text.replace("1", "9" * rng.choice((30, 5000, 100_000)), 2)
    if how == 4:
        return text + "#" + " " * 1_000_000
    return text.replace("name: app", "name: app\n    list: [" + "{name: a, containerPort: 1}, " * 5000 + "]", 1)


def cyclic(rng: random.Random, text: str) -> str:
    """Anchors that hold themselves, or each other many times over; variables and references that lead back."""
    width = rng.choice((2, 10, 50))
    bomb = "a0: &a0 [x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]\n" for n in range(1, rng.choice((5, 10, 30)))
    )
    merges = "b0: &b0 {x: y}\n" + "".join(
        f"b{n}: &b{n} {{<<: [*b{n - 1}, *b{n - 1}], k{n}: *b{n - 1}}}\n" for n in range(1, 25)
    )
    return rng.choice(
        (
            bomb + text,
            text + "\n" + bomb,
            merges + text,
            text.replace("metadata:", "metadata: &m\n  self: *m", 1),
            text + "\nself: &s [*s]\n",
            text + "\nself: &s {<<: *s}\n",
            text.replace("$(NAME)", "$($(NAME))$(NAME)$(NAME" * 50),
            text.replace('"type": "string"', '"$ref": "com.example.v1.Spec"'),
        )
    )


def copying(rng: random.Random, text: str) -> str:
    """JSON patches that double what is there again and again."""
    steps = "".join(f"    - {{op: copy, from: /spec, path: /spec/c{n}}}\n" for n in range(rng.choice((3, 12, 40))))
    if "patches:" in text:
        return text.replace("patches:\n", "patches:\n- target: {kind: .*}\n  patch: |-\n" + steps, 1)
    return text + "\npatches:\n- target: {kind: .*}\n  patch: |-\n" + steps


def crossed(rng: random.Random, files: Files) -> Files:
    """Files take each other's place, and kustomizations list what they should not."""
    names = list(files)
    one, other = rng.choice(names), rng.choice(names)
    how = rng.randrange(4)
    if how == 0:
        return {**files, one: files[other], other: files[one]}
    lists = [name for name in names if name.rpartition("/")[2].startswith(("kustomization", "Kustomization"))]
    listing = rng.choice(lists or names)
    leads = rng.choice(
        (".", "..", "../..", "../base", one, f"../{one}", "/", "", "https://example.invalid/a.git", "x" * 5000)
    )
    field = rng.choice(("resources", "components", "bases", "configurations", "crds", "transformers", "generators"))
    if how == 1:
        return {**files, listing: f"{field}: [{json.dumps(leads)}]\n"}
    if how == 2:
        return {**files, listing: files[listing] + f"\n{field}: {json.dumps([leads, one, leads])}\n"}
    return {name: text for name, text in files.items() if name != one}


TEXTS: tuple[Callable[[random.Random, str], str], ...] = (
    truncated, spliced, noisy, relined, retyped, retyped, retyped, retyped, deep, huge, cyclic, copying,
)  # fmt: skip


def mutated(number: int, seed: int) -> tuple[Files, str, dict[str, Any], str]:
    """(files, directory, options, what was done) of one input."""
    rng = random.Random(f"{seed}:{number}")
    known = seeds()
    files, path, options = known[rng.randrange(len(TREES))] if rng.random() < 0.4 else rng.choice(known)
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not files:
            break
        if rng.random() < 0.1:
            files = crossed(rng, files)
            done.append("crossed")
        else:
            name, how = rng.choice(list(files)), rng.choice(TEXTS)
            files = {**files, name: how(rng, files[name])}
            done.append(f"{how.__name__} {name}")
    return files, path, options, ", ".join(done)


def peak() -> float:
    """The most memory that this process had since `begin_peak`, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def begin_peak() -> float:
    """Forget what was the most, and tell what this process has now, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def run(files: Files, path: str, options: dict[str, Any]) -> tuple[str, str]:
    """(how it ended, what is wrong about that or nothing)."""
    try:
        tree = kustomize.MemoryTree({name: text.encode("utf-8", "surrogatepass") for name, text in files.items()})
    except kustomize.BuildError:
        return "no tree", ""
    before, start = begin_peak(), time.process_time()
    try:
        kustomize.build(tree, path, kustomize.BuildOptions(**options)).yaml()
    except kustomize.BuildError as error:
        ended, wrong = "refused", "" if str(error) else "an error without a message"
    except Exception:
        ended, wrong = "crashed", traceback.format_exc(limit=-4)
    else:
        ended, wrong = "built", ""
    seconds, memory = time.process_time() - start, peak()
    if seconds > SECONDS:
        wrong += f"took {seconds:.1f} s"
    if memory - before > MEBIBYTES:
        wrong += f"took {memory - before:.0f} MiB"
    return ended, wrong


def main() -> int:
    """Build mutated inputs. 1 when one of them misbehaves."""
    made = argparse.ArgumentParser(description="Build mutated inputs.")
    made.add_argument("count", nargs="?", type=int, default=10_000)
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--first", type=int, default=0)
    made.add_argument("--write", metavar="DIR", help="only write the first input to this directory")
    options = made.parse_args()
    if options.write:
        files, path, _, done = mutated(options.first, options.seed)
        for name, text in files.items():
            file = Path(options.write, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode("utf-8", "surrogatepass"))
        print(f"{done}; to build: {path}")
        return 0
    ends: Counter[str] = Counter()
    bad, slowest, largest = 0, (0.0, 0), 0.0
    for number in range(options.first, options.first + options.count):
        files, path, settings, done = mutated(number, options.seed)
        start = time.process_time()
        ended, wrong = run(files, path, settings)
        slowest, largest = max(slowest, (time.process_time() - start, number)), max(largest, peak())
        ends[ended] += 1
        if wrong:
            bad += 1
            print(f"{number} ({done}): {wrong}", flush=True)
    words = ", ".join(f"{count} {ended}" for ended, count in ends.most_common())
    most = f"slowest {slowest[0]:.2f} s ({slowest[1]}), peak {largest:.0f} MiB"
    print(f"{options.count} inputs: {words}; {most}; {bad} wrong")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
