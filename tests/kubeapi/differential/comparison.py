"""What of two servers' answers must be the same.

An Answer is a status code, warnings and a body, freed of what no two servers share: uids, times, resourceVersions,
allocated addresses and ports, the order in which a server happens to list problems.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

Manifest = dict[str, Any]

_PATCHED = re.compile(r'(Invalid value: \\"\{).*?(\}\\": )')
"""The object that a patch made, in the message that refuses it."""
_INSIDE = re.compile(
    r"Invalid value: \{(?:(?!Invalid value).)*\}: (field is immutable|cannot set `allow)"
    r"|Invalid value: \[\{.*\}\]: (must have exactly)|(\n@@ .*)",
    re.DOTALL,
)
"""Values and differences that a real server shows as its own types are inside."""
UID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_RECORDED = re.compile(r"(ResourceVersion in record) \(\d+\)")
_LIST = re.compile(r"\[(.*)\]$", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What is compared: code, warnings, body."""

    code: int
    warnings: tuple[str, ...]
    body: Any

    def shown(self) -> str:
        return f"{self.code} {list(self.warnings)}\n{json.dumps(self.body, indent=1, sort_keys=True)}"


def comparable(answer: Any) -> Answer:
    """What is compared of a response."""
    said = re.findall(r'299 \S+ "((?:[^"\\]|\\.)*)"', answer.headers.get("Warning", ""))
    # What the embedded API says of its own limits is no difference.
    warnings = sorted(text for text in said if not text.startswith("the embedded Kubernetes API"))
    text = re.sub(UID, "<uid>", answer.text)
    try:
        body = _events(text) if text.startswith('{"type":') else json.loads(text)
    except ValueError:
        body = text
    return Answer(answer.status_code, tuple(text.replace('\\"', '"') for text in warnings), _freed(body))


def _freed(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    if body.get("kind") == "Status":
        return _freed_status(body)
    metadata = body.get("metadata") or {}
    for key in ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "selfLink", "continue"):
        if metadata.get(key):
            metadata[key] = f"<{key}>"
    entries = metadata.get("managedFields") or []
    for entry in entries:
        entry["time"] = "<time>"
    entries.sort(key=lambda one: json.dumps(one, sort_keys=True))
    if body.get("kind") == "Table":
        _free_table(body)
    elif isinstance(body.get("items"), list):
        kind = str(body.get("kind")).removesuffix("List")
        for item in body["items"]:
            # Items of built-in kinds don't say what they are; what is freed depends on it.
            said = "kind" in item
            item.setdefault("kind", kind)
            _freed(item)
            if not said:
                item.pop("kind")
    else:
        _free_kind(body)
    return body


def _events(text: str) -> Manifest:
    """The events of a watch. Only the first of its tables says what the columns are."""
    events = [json.loads(line) for line in text.splitlines()]
    columns = events[0]["object"].get("columnDefinitions")
    for one in events:
        if columns and one["object"].get("kind") == "Table":
            one["columns"] = one["object"]["columnDefinitions"] is not None
            one["object"]["columnDefinitions"] = columns
        _freed(one["object"])
    return {"events": events}


def _free_table(body: Manifest) -> None:
    names = [column["name"] for column in body.get("columnDefinitions") or ()]
    for row in body.get("rows") or ():
        row["cells"] = [
            f"<{name}>" if name in ("Age", "Created At", "Last Schedule", "Cluster-IP", "Port(s)") else cell
            for name, cell in zip(names, row["cells"], strict=True)
        ]
        _freed(row.get("object"))


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


def _freed_status(body: Manifest) -> Manifest:
    """A Status whose problems are in one order, and told apart from each other."""
    body = json.loads(_PATCHED.sub(r"\1<patched>\2", json.dumps(body)))
    body["message"] = _RECORDED.sub(r"\1 (N)", _INSIDE.sub(_without_inside, body.get("message", "")))
    if "errors:\n" in body["message"]:
        head, _, tail = body["message"].partition("errors:\n")
        lines = sorted(tail.split("\n"))
        # A real server stops at the first undeclared field of a map, whichever that is.
        undeclared = [line for line in lines if "not declared in schema" in line]
        body["message"] = head + (undeclared[0].strip() if undeclared else "errors:\n" + "\n".join(lines))
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
