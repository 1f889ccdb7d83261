"""Ingresses, ingress classes and network policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, names

Struct = Mapping[str, Any]

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_FORBIDDEN_IN_PATHS = ("//", "/./", "/../", "%2f", "%2F")
_FORBIDDEN_AT_END = ("/..", "/.")
_PROTOCOLS = ("SCTP", "TCP", "UDP")


def ingress(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest["spec"] if manifest.get("spec") else {}
    found: list[Cause] = []
    rules, backend = spec.get("rules") or (), spec.get("defaultBackend")
    if not rules and backend is None:
        detail = "either `defaultBackend` or `rules` must be specified"
        found.append(causes.invalid("spec", list(rules) or None, detail))
    if backend is not None:
        found += _backend(backend, "spec.defaultBackend")
    for index, one in enumerate(rules):
        found += _rule(one, f"spec.rules[{index}]")
    for index, one in enumerate(spec.get("tls") or ()):
        for position, host in enumerate(one.get("hosts") or ()):
            rule = names.wildcard if "*" in host else names.subdomain
            found += fields.named(host, rule, f"spec.tls[{index}].hosts[{position}]")
        if one.get("secretName"):
            found += fields.named(one["secretName"], names.subdomain, f"spec.tls[{index}].secretName")
    if spec.get("ingressClassName") is not None:
        found += fields.named(spec["ingressClassName"], names.subdomain, "spec.ingressClassName")
        annotated = (manifest["metadata"].get("annotations") or {}).get("kubernetes.io/ingress.class")
        if old is None and annotated is not None:
            path = "metadata.annotations.kubernetes.io/ingress.class"
            detail = "can not be set when the class field is also set"
            found.append(causes.invalid(path, annotated, detail))
    return found


def _rule(one: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    host = one.get("host")
    if host:
        if fields.is_address(host):
            found.append(causes.invalid(f"{path}.host", host, "must be a DNS name, not an IP address"))
        found += fields.named(host, names.wildcard if "*" in host else names.subdomain, f"{path}.host")
    if one.get("http") is not None:
        paths = one["http"].get("paths") or ()
        if not paths:
            found.append(causes.required(f"{path}.http.paths"))
        for index, below in enumerate(paths):
            found += _path(below, f"{path}.http.paths[{index}]")
    return found


def _path(one: Struct, path: str) -> list[Cause]:
    kind, given = one.get("pathType"), one.get("path") or ""
    if kind is None:
        return [causes.required(f"{path}.pathType", "pathType must be specified")]
    found: list[Cause] = []
    if kind in ("Exact", "Prefix"):
        if not given.startswith("/"):
            found.append(causes.invalid(f"{path}.path", given, "must be an absolute path"))
        problems = [f"must not contain '{text}'" for text in _FORBIDDEN_IN_PATHS if text in given]
        problems += [f"cannot end with '{text}'" for text in _FORBIDDEN_AT_END if given.endswith(text)]
        found += [causes.invalid(f"{path}.path", given, problem) for problem in problems]
    elif kind == "ImplementationSpecific":
        if given and not given.startswith("/"):
            found.append(causes.invalid(f"{path}.path", given, "must be an absolute path"))
    else:
        found.append(causes.unsupported(f"{path}.pathType", kind, _PATH_TYPES))
    return found + _backend(one.get("backend") or {}, f"{path}.backend")


def _backend(one: Struct, path: str) -> list[Cause]:
    service, resource = one.get("service"), one.get("resource")
    if service is not None and resource is not None:
        return [causes.invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return [causes.required(f"{path}.resource.{key}") for key in ("kind", "name") if not resource.get(key)]
    if service is None:
        return [causes.invalid(path, "", "resource or service backend is required")]
    found: list[Cause] = []
    name = service.get("name")
    if not name:
        found.append(causes.required(f"{path}.service.name"))
    else:
        found += fields.named(name, names.label_1035, f"{path}.service.name")
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        found.append(causes.invalid(path, "", "cannot set both port name & port number"))
    elif port.get("name"):
        found += fields.named(port["name"], names.port_name, f"{path}.service.port.name")
    elif port.get("number"):
        found += fields.port(port["number"], f"{path}.service.port.number")
    else:
        found.append(causes.required(path, "port name or number is required"))
    return found


def ingress_class(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest.get("spec") or {}
    found: list[Cause] = []
    controller = spec.get("controller") or ""
    if old is not None and (old.get("spec") or {}).get("controller") != controller:
        found.append(causes.immutable("spec.controller", controller))
    if len(controller) > 250:
        found.append(causes.too_long("spec.controller", 250))
    if not controller:
        found.append(causes.required("spec.controller"))
    elif "/" not in controller:
        detail = 'must be a domain-prefixed path (such as "acme.io/foo")'
        found.append(causes.invalid("spec.controller", controller, detail))
    else:
        host = controller.partition("/")[0]
        found += [causes.invalid("spec.controller", host, problem) for problem in names.subdomain(host)]
    return found


def network_policy(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest.get("spec") or {}
    found = fields.selector(spec.get("podSelector"), "spec.podSelector")
    for kind, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(kind) or ()):
            path = f"spec.{kind}[{index}]"
            for position, port in enumerate(rule.get("ports") or ()):
                found += _policy_port(port, f"{path}.ports[{position}]")
            for position, peer in enumerate(rule.get(peers) or ()):
                found += _peer(peer, f"{path}.{peers}[{position}]")
    types = spec.get("policyTypes") or ()
    if len(types) > 2:
        found.append(causes.invalid("spec.policyTypes", list(types), "may not specify more than two policyTypes"))
    for index, kind in enumerate(types):
        if kind not in ("Ingress", "Egress"):
            found.append(causes.unsupported(f"spec.policyTypes[{index}]", kind, ("Ingress", "Egress")))
    return found


def _policy_port(one: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    protocol, port, end = one.get("protocol"), one.get("port"), one.get("endPort")
    if protocol is not None and protocol not in _PROTOCOLS:
        found.append(causes.unsupported(f"{path}.protocol", protocol, ("TCP", "UDP", "SCTP")))
    if port is not None:
        found += fields.port(port, f"{path}.port")
    if end is not None:
        if port is None:
            found.append(causes.required(f"{path}.port", "must be specified when `endPort` is specified"))
        elif isinstance(port, str):
            detail = "may not be specified when `port` is non-numeric"
            found.append(causes.invalid(f"{path}.endPort", end, detail))
        elif end < port:
            found.append(causes.invalid(f"{path}.endPort", end, "must be greater than or equal to `port`"))
    return found


def _peer(one: Struct, path: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("podSelector", "namespaceSelector"):
        found += fields.selector(one.get(key), f"{path}.{key}")
    block = one.get("ipBlock")
    selectors = fields.set_fields(one, ("podSelector", "namespaceSelector"))
    if block is not None:
        cidr = block.get("cidr") or ""
        found += fields.network(cidr, f"{path}.ipBlock.cidr") if cidr else [causes.required(f"{path}.ipBlock.cidr")]
        for index, other in enumerate(block.get("except") or ()):
            found += fields.network(other, f"{path}.ipBlock.except[{index}]")
        if selectors:
            found.append(causes.forbidden(path, "may not specify both ipBlock and another peer"))
    elif not selectors:
        found.append(causes.required(path, "must specify a peer"))
    return found


def endpoint_slice(manifest: Struct, old: Struct | None) -> list[Cause]:
    kind = manifest.get("addressType") or ""
    found = fields.one_of(kind, ("FQDN", "IPv4", "IPv6"), "addressType", needed=True)
    seen: set[str] = set()
    for index, one in enumerate(manifest.get("ports") or ()):
        path, name = f"ports[{index}]", one.get("name") or ""
        if name:
            found += fields.named(name, names.label, f"{path}.name")
        if name in seen:
            found.append(causes.duplicate(f"{path}.name", name))
        seen.add(name)
        if one.get("protocol") not in _PROTOCOLS:
            found += fields.one_of(one.get("protocol"), _PROTOCOLS, f"{path}.protocol", needed=True)
        if one.get("appProtocol") is not None:
            found += fields.named(one["appProtocol"], names.qualified, f"{path}.appProtocol")
    for index, one in enumerate(manifest.get("endpoints") or ()):
        path = f"endpoints[{index}]"
        addresses = one.get("addresses") or ()
        if not addresses:
            found.append(causes.required(f"{path}.addresses", "must contain at least 1 address"))
        for position, address in enumerate(addresses):
            found += _slice_address(address, kind, f"{path}.addresses", position)
        if one.get("hostname") is not None:
            found += fields.named(one["hostname"], names.label, f"{path}.hostname")
    if old is not None and kind != old.get("addressType"):
        found.append(causes.immutable("addressType", kind))
    return found


def _slice_address(address: str, kind: str, path: str, position: int) -> list[Cause]:
    if kind == "FQDN":
        return fields.named(address.removesuffix("."), names.subdomain, f"{path}[{position}]")
    if kind not in ("IPv4", "IPv6"):
        return []
    problems = fields.endpoint(address, f"{path}[{position}]")
    if fields.is_address(address) and (":" in address) != (kind == "IPv6"):
        problems.append(causes.invalid(path, address, f"must be an {kind} address"))
    return problems
