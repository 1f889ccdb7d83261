"""What a URL asks for: verb, resource, namespace, name, as authorization and the handlers need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(slots=True)
class RequestInfo:
    """One request. `resource` is empty for paths that are no resource, such as /healthz or discovery."""

    verb: str
    path: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def is_resource(self) -> bool:
        return bool(self.resource)


def parse(method: str, path: str, query: Mapping[str, str]) -> RequestInfo:
    """Read a URL, its path as it was sent; a path that is no resource path gives its HTTP method as the verb."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    path = unquote(path)
    other = RequestInfo(method.lower(), path)
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return other
    watched = rest[0] == "watch" and len(rest) > 1
    if watched:
        rest = rest[1:]
    namespace = name = subresource = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in ("status", "finalize"):
            rest = rest[2:]
    resource = rest[0]
    if len(rest) > 1:
        name = rest[1]
    if len(rest) > 2:
        subresource = "/".join(rest[2:])
    verb = _VERBS.get(method, "")
    if method in ("GET", "HEAD"):
        wants_watch = watched or query.get("watch", "").lower() in ("true", "1")
        verb = "watch" if wants_watch else ("get" if name else "list")
        if verb in ("list", "watch") and not name:
            name = _name_in_selector(query.get("fieldSelector", ""))
    elif method == "DELETE" and not name:
        verb = "deletecollection"
    if not verb:
        return other
    return RequestInfo(verb, path, group, version, resource, subresource, namespace, name)


def _name_in_selector(selector: str) -> str:
    """A list that selects one name is authorized as a request for that name."""
    for term in selector.split(","):
        path, found, value = term.partition("=")
        if found and path == "metadata.name":
            return value.removeprefix("=")
    return ""
