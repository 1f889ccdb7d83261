"""APIServices: which server serves a group and version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, names

Struct = Mapping[str, Any]


def api_service(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec, name = manifest.get("spec") or {}, manifest["metadata"].get("name") or ""
    group, version = spec.get("group") or "", spec.get("version") or ""
    found: list[Cause] = []
    if name != f"{version}.{group}":
        detail = f'must be `spec.version+"."+spec.group`: "{version}.{group}"'
        found.append(causes.invalid("metadata.name", name, detail))
    if not group and version != "v1":
        found.append(causes.required("spec.group", "only v1 may have an empty group and it better be legacy kube"))
    if group:
        found += fields.named(group, names.subdomain, "spec.group")
    found += fields.named(version, names.label_1035, "spec.version")
    for key, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        value = spec.get(key) or 0
        if not 0 < value <= most:
            found.append(causes.invalid(f"spec.{key}", value, f"must be positive and less than {most}"))
    service, insecure = spec.get("service"), bool(spec.get("insecureSkipTLSVerify"))
    if service is None:
        if spec.get("caBundle"):
            size = len(spec["caBundle"]) * 3 // 4
            found.append(causes.invalid("spec.caBundle", f"{size} bytes", "local APIServices may not have a caBundle"))
        if insecure:
            detail = "local APIServices may not have insecureSkipTLSVerify"
            found.append(causes.invalid("spec.insecureSkipTLSVerify", True, detail))
        return found
    found += [causes.required(f"spec.service.{key}") for key in ("namespace", "name") if not service.get(key)]
    port = service.get("port", 443)
    problems = names.port_number(port)
    if problems:
        found.append(causes.invalid("spec.service.port", port, f"port is not valid: {', '.join(problems)}"))
    if insecure and spec.get("caBundle"):
        found.append(causes.invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present"))
    return found
