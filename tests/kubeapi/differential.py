"""The same requests to two API servers, and what of the answers must be the same.

A case is a user's session in a namespace of its own: each step is one request. An Answer is its status code, warnings
and body, freed of what no two servers share: uids, times, resourceVersions, allocated addresses and ports, the order
in which a server happens to list problems.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from shared import schema

Manifest = dict[str, Any]

PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
CUSTOM = {"Widget": ("widgets", True), "ClusterWidget": ("clusterwidgets", False)}
BUILT_IN = {(one.api_version, one.kind): (one.plural, one.namespaced) for one in schema.resources()}
_PATCHED = re.compile(r'(Invalid value: \\"\{).*?(\}\\": )')
"""The object that a patch made, in the message that refuses it."""
_INSIDE = re.compile(
    r"Invalid value: \{(?:(?!Invalid value).)*\}: (field is immutable|cannot set `allow)"
    r"|Invalid value: \[\{.*\}\]: (must have exactly)|(\n@@ .*)",
    re.DOTALL,
)
"""Values and differences that a real server shows as its own types are inside."""
UID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_LIST = re.compile(r"\[(.*)\]$", re.DOTALL)


@dataclass(frozen=True)
class Step:
    """One request about an object of `manifest`'s kind and name."""

    verb: str
    """create, update, get, delete, or a kind of patch: json, merge, strategic, apply."""
    manifest: Manifest
    body: Any = None
    """What is sent instead of the manifest; a function gets the live object and returns the body."""
    subresource: str = ""
    query: dict[str, str] = field(default_factory=dict)
    loose: bool = False
    """Compare only code and reason: the message names what is inside of the real server, or is a matter of chance."""


def create(manifest: Manifest, *, loose: bool = False, **query: str) -> Step:
    return Step("create", manifest, query=query, loose=loose)


def update(manifest: Manifest, change: Callable[[Manifest], Any], subresource: str = "", **query: str) -> Step:
    """Read the object, change it in place (what `change` returns is not used), and put it back."""

    def body(live: Manifest) -> Manifest:
        change(live)
        return live

    return Step("update", manifest, body, subresource, query)


def patch(kind: str, manifest: Manifest, body: Any, subresource: str = "", **query: str) -> Step:
    return Step(kind, manifest, body, subresource, query)


def apply(manifest: Manifest, manager: str = "flux", subresource: str = "", **query: str) -> Step:
    return Step("apply", manifest, None, subresource, {"fieldManager": manager, **query})


def get(manifest: Manifest) -> Step:
    return Step("get", manifest)


def delete(manifest: Manifest, body: Any = None) -> Step:
    return Step("delete", manifest, body)


@dataclass(frozen=True)
class Answer:
    """What is compared: code, warnings, body."""

    code: int
    warnings: tuple[str, ...]
    body: Any

    def shown(self) -> str:
        return f"{self.code} {list(self.warnings)}\n{json.dumps(self.body, indent=1, sort_keys=True)}"


class Subject:
    """One of the two servers."""

    def __init__(self, url: str, token: str, ca: str | bool) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = ca
        self.session.headers["Authorization"] = f"Bearer {token}"
        self.session.headers["User-Agent"] = "differential/1"

    def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        data = None if body is None else json.dumps(body)
        return self.session.request(
            method, self.url + path, data=data, headers={"Content-Type": content_type}, timeout=30
        )

    def prepare(self, namespace: str) -> None:
        """A namespace with the account that pods run under."""
        self.send(
            "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        )
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        self.send("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)

    def run(self, step: Step, namespace: str) -> Answer:
        manifest = placed(step.manifest, namespace)
        path = collection_of(manifest, namespace)
        name = manifest["metadata"].get("name", "")
        if step.verb != "create":
            path += f"/{name}" + (f"/{step.subresource}" if step.subresource else "")
        body: Any = manifest if step.body is None and step.verb not in ("get", "delete") else step.body
        if callable(body):
            live = self.send("GET", path.removesuffix(f"/{step.subresource}")).json()
            body = body(live)
        query = "&".join(f"{key}={value}" for key, value in step.query.items())
        method = {"create": "POST", "update": "PUT", "get": "GET", "delete": "DELETE"}.get(step.verb, "PATCH")
        answer = self.send(
            method, path + (f"?{query}" if query else ""), body, PATCHES.get(step.verb, "application/json")
        )
        return comparable(answer, namespace)


def placed(manifest: Manifest, namespace: str) -> Manifest:
    """The manifest in the case's namespace; a cluster-wide object gets the namespace into its name."""
    out = copy.deepcopy(manifest)
    metadata = out.setdefault("metadata", {})
    if not is_namespaced(out) and out.get("kind") != "CustomResourceDefinition":
        metadata["name"] = f"{namespace}-{metadata.get('name', '')}"
    return out


def plural_of(manifest: Manifest) -> tuple[str, bool]:
    kind = manifest["kind"]
    found = BUILT_IN.get((manifest["apiVersion"], kind)) or CUSTOM.get(kind)
    return found or (re.sub("y$", "ie", kind.lower()) + "s", True)


def is_namespaced(manifest: Manifest) -> bool:
    return plural_of(manifest)[1]


def collection_of(manifest: Manifest, namespace: str) -> str:
    plural, namespaced = plural_of(manifest)
    version = manifest["apiVersion"]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return f"{base}/namespaces/{namespace}/{plural}" if namespaced else f"{base}/{plural}"


# -- what of an answer is compared


def comparable(answer: Any, namespace: str) -> Answer:
    said = re.findall(r'299 \S+ "((?:[^"\\]|\\.)*)"', answer.headers.get("Warning", ""))
    # What the embedded one says of its own limits, the real one has no reason to say.
    warnings = sorted(text for text in said if not text.startswith("the embedded Kubernetes API "))
    # What the embedded API says of its own limits is no difference.
    warnings = [text for text in warnings if not text.startswith("the embedded Kubernetes API")]
    try:
        body = answer.json()
    except ValueError:
        body = answer.text
    return Answer(answer.status_code, tuple(text.replace('\\"', '"') for text in warnings), _freed(body))


def _freed(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    if body.get("kind") == "Status":
        return _freed_status(body)
    metadata = body.get("metadata") or {}
    for key in ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "selfLink"):
        if key in metadata:
            metadata[key] = f"<{key}>"
    entries = metadata.get("managedFields") or []
    for entry in entries:
        entry["time"] = "<time>"
    entries.sort(key=lambda one: json.dumps(one, sort_keys=True))
    _free_kind(body)
    return body


def _free_kind(body: Manifest) -> None:
    spec = body.get("spec") or {}
    if body.get("kind") == "Service":
        address = spec.get("clusterIP")
        if address and address != "None":
            spec["clusterIP"] = "<address>"
            spec["clusterIPs"] = ["<address>" if one == address else one for one in spec.get("clusterIPs", [])]
        for port in spec.get("ports") or ():
            if "nodePort" in port:
                port["nodePort"] = "<port>"
        if "healthCheckNodePort" in spec:
            spec["healthCheckNodePort"] = "<port>"
    if body.get("kind") == "PersistentVolume":
        # Removing this protection is a controller's work.
        body["metadata"].pop("finalizers", None)
        (body.get("status") or {}).pop("lastPhaseTransitionTime", None)
    if body.get("kind") == "Pod":
        text = json.dumps(body)
        body.update(json.loads(re.sub(r"kube-api-access-[a-z0-9]{5}", "kube-api-access-xxxxx", text)))
    if body.get("kind") == "Job":
        text = json.dumps(body)
        body.update(json.loads(re.sub(UID, "<uid>", text)))


def _freed_status(body: Manifest) -> Manifest:
    """A Status whose problems are in one order, and told apart from each other."""
    body = json.loads(_PATCHED.sub(r"\1<patched>\2", re.sub(UID, "<uid>", json.dumps(body))))
    body["message"] = _INSIDE.sub(_without_inside, body.get("message", ""))
    details = body.get("details") or {}
    for cause in details.get("causes") or ():
        cause["message"] = _INSIDE.sub(_without_inside, cause.get("message", ""))
    causes = details.get("causes")
    if causes:
        once = {json.dumps(one, sort_keys=True): one for one in causes}
        details["causes"] = [once[key] for key in sorted(once)]
    message = body.get("message", "")
    listed = _LIST.search(message)
    if listed and causes:
        body["message"] = message[: listed.start()] + "[" + ", ".join(sorted(listed[1].split(", "))) + "]"
    if "unknown field" in body["message"] and ", " in body["message"]:
        head, _, tail = body["message"].partition("strict decoding error: ")
        body["message"] = head + "strict decoding error: " + ", ".join(sorted(tail.split(", ")))
    return body


def _without_inside(match: re.Match[str]) -> str:
    kept = match[1] or match[2]
    return f"Invalid value: <inside>: {kept}" if kept else "<difference>"


def differences(real: Any, embedded: Any, path: str = "") -> list[str]:
    """Where two values differ, a line each: path, real, embedded."""
    if isinstance(real, dict) and isinstance(embedded, dict):
        out: list[str] = []
        for key in sorted({*real, *embedded}):
            out += differences(real.get(key, "(absent)"), embedded.get(key, "(absent)"), f"{path}.{key}")
        return out
    if isinstance(real, list) and isinstance(embedded, list) and len(real) == len(embedded):
        out = []
        for index, (one, other) in enumerate(zip(real, embedded, strict=True)):
            out += differences(one, other, f"{path}[{index}]")
        return out
    if real == embedded and isinstance(real, bool) == isinstance(embedded, bool):
        return []
    return [f"{path}:\n    real     {json.dumps(real)}\n    embedded {json.dumps(embedded)}"]


def compare(real: Answer, embedded: Answer, loose: bool = False) -> list[str]:
    out = differences(real.code, embedded.code, "code")
    if loose:
        return out + differences(real.body.get("reason"), embedded.body.get("reason"), "reason")
    out += differences(list(real.warnings), list(embedded.warnings), "warnings")
    return out + differences(real.body, embedded.body)
