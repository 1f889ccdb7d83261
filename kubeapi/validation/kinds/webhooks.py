"""Webhook configurations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from kubeapi.errors import Cause
from kubeapi.expressions import compiled
from kubeapi.validation import causes, fields, names
from kubeapi.validation.kinds import conditions

Struct = Mapping[str, Any]

_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_REVIEWS = ("v1", "v1beta1")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")


def check(manifest: Struct, old: Struct | None) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, one in enumerate(manifest.get("webhooks") or ()):
        path = f"webhooks[{index}]"
        found += _hook(one, path)
        found += _reviews(one.get("admissionReviewVersions") or (), f"{path}.admissionReviewVersions")
        name = one.get("name") or ""
        if name and name in seen:
            found.append(causes.duplicate(f"{path}.name", name))
        seen.add(name)
    return found


def _hook(one: Struct, path: str) -> list[Cause]:
    found = _name(one.get("name") or "", f"{path}.name")
    for index, one_rule in enumerate(one.get("rules") or ()):
        found += rule(one_rule, f"{path}.rules[{index}]")
    for key, known in (("failurePolicy", ("Fail", "Ignore")), ("matchPolicy", ("Equivalent", "Exact"))):
        if one.get(key) is not None and one[key] not in known:
            found.append(causes.unsupported(f"{path}.{key}", one[key], known))
    if one.get("reinvocationPolicy") not in (None, "IfNeeded", "Never"):
        found.append(causes.unsupported(f"{path}.reinvocationPolicy", one["reinvocationPolicy"], ("IfNeeded", "Never")))
    effects = one.get("sideEffects")
    if effects is None:
        found.append(causes.required(f"{path}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}"))
    elif effects not in _SIDE_EFFECTS:
        found.append(causes.unsupported(f"{path}.sideEffects", effects, _SIDE_EFFECTS))
    timeout = one.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= 30:
        detail = "the timeout value must be between 1 and 30 seconds"
        found.append(causes.invalid(f"{path}.timeoutSeconds", timeout, detail))
    for key in ("namespaceSelector", "objectSelector"):
        found += fields.selector(one.get(key), f"{path}.{key}")
    named = compiled.names(params=False, variables=False)
    found += conditions.match_conditions(one.get("matchConditions") or (), named, f"{path}.matchConditions")
    return found + _client(one.get("clientConfig") or {}, f"{path}.clientConfig")


def _name(name: str, path: str) -> list[Cause]:
    if not name:
        return [causes.required(path)]
    problems = names.subdomain(name)
    if problems:
        return [causes.invalid(path, name, ",".join(problems))]
    if name.count(".") < 2:
        detail = "should be a domain with at least three segments separated by dots"
        return [causes.invalid(path, name, detail)]
    return []


def _reviews(versions: Any, path: str) -> list[Cause]:
    if not versions:
        return [causes.required(path, f"must specify one of {', '.join(_REVIEWS)}")]
    found: list[Cause] = []
    for index, version in enumerate(versions):
        if version in versions[:index]:
            found.append(causes.invalid(f"{path}[{index}]", version, "duplicate version"))
            continue
        found += fields.named(version, names.label_1035, f"{path}[{index}]")
    if not set(versions) & set(_REVIEWS):
        found.append(causes.invalid(path, list(versions), f"must include at least one of {', '.join(_REVIEWS)}"))
    return found


def rule(one: Struct, path: str) -> list[Cause]:
    """What a webhook or an admission policy is asked about."""
    found: list[Cause] = []
    for key, words in (("operations", "operations"), ("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = one.get(key) or []
        if not values:
            found.append(causes.required(f"{path}.{key}"))
        if len(values) > 1 and "*" in values:
            found.append(causes.invalid(f"{path}.{key}", values, f"if '*' is present, must not specify other {words}"))
    for index, operation in enumerate(one.get("operations") or ()):
        if operation not in _OPERATIONS:
            found.append(causes.unsupported(f"{path}.operations[{index}]", operation, _OPERATIONS))
    found += [
        causes.required(f"{path}.apiVersions[{index}]")
        for index, version in enumerate(one.get("apiVersions") or ())
        if not version
    ]
    resources = one.get("resources") or []
    if not resources:
        found.append(causes.required(f"{path}.resources"))
    found += [causes.required(f"{path}.resources[{index}]") for index, name in enumerate(resources) if not name]
    if len(resources) > 1 and "*/*" in resources:
        detail = "if '*/*' is present, must not specify other resources"
        found.append(causes.invalid(f"{path}.resources", resources, detail))
    elif "*" in resources and _last_whole(resources) != "*":
        detail = "if '*' is present, must not specify other resources without subresources"
        found.append(causes.invalid(f"{path}.resources", resources, detail))
    if one.get("scope") is not None and one["scope"] not in _SCOPES:
        found.append(causes.unsupported(f"{path}.scope", one["scope"], _SCOPES))
    return found


def _last_whole(resources: list[str]) -> str:
    """The last resource without a subresource: the only one that a real server looks at."""
    return next((name for name in reversed(resources) if "/" not in name), "*")


def _client(one: Struct, path: str) -> list[Cause]:
    url, service = one.get("url"), one.get("service") or {}
    if (url is None) == (one.get("service") is None):
        return [causes.required(path, "exactly one of url or service is required")]
    found: list[Cause] = []
    if url is not None:
        form = "; desired format: https://host[/path]"
        parts = urlsplit(url)
        if parts.scheme != "https":
            found.append(causes.invalid(f"{path}.url", parts.scheme, f"'https' is the only allowed URL scheme{form}"))
        if not parts.netloc:
            found.append(causes.invalid(f"{path}.url", "", f"host must be specified{form}"))
        if parts.fragment:
            found.append(causes.invalid(f"{path}.url", parts.fragment, "fragments are not permitted in the URL"))
        if parts.query:
            found.append(causes.invalid(f"{path}.url", parts.query, "query parameters are not permitted in the URL"))
        return found
    where = f"{path}.service"
    found += [causes.required(f"{where}.{key}") for key in ("name", "namespace") if not service.get(key)]
    port = service.get("port", 443)
    if names.port_number(port):
        detail = f"port is not valid: {', '.join(names.port_number(port))}"
        found.append(causes.invalid(f"{where}.port", port, detail))
    given = service.get("path")
    if given and given != "/":
        found += _path(given, f"{where}.path")
    return found


def _path(given: str, path: str) -> list[Cause]:
    if given == "//":
        return [causes.invalid(path, given, "segment[0] may not be empty")]
    found = [] if given.startswith("/") else [causes.invalid(path, given, "must start with a '/'")]
    for index, step in enumerate(given[1:].removesuffix("/").split("/")):
        problems = names.subdomain(step) if step else ()
        if not step:
            found.append(causes.invalid(path, given, f"segment[{index}] may not be empty"))
        found += [causes.invalid(path, given, f"segment[{index}]: {problem}") for problem in problems]
    return found
