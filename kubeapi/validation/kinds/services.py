"""Services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kubeapi.errors import Cause
from kubeapi.validation import causes, fields, names

Struct = Mapping[str, Any]

_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_FAMILIES = ("IPv4", "IPv6")
_NODE_PORTS = range(30000, 32768)
_ONE_DAY = 86400


def status(manifest: Struct) -> list[Cause]:
    """Where a load balancer listens."""
    points = ((manifest.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    path = "status.loadBalancer.ingress"
    if not points:
        return []
    if manifest["spec"].get("type") != "LoadBalancer":
        return [causes.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    found: list[Cause] = []
    for index, one in enumerate(points):
        if one.get("ip"):
            found += fields.address(one["ip"], f"{path}[{index}].ip")
        if one.get("hostname"):
            found += fields.named(one["hostname"], names.subdomain, f"{path}[{index}].hostname")
    return found


def check(manifest: Struct, old: Struct | None) -> list[Cause]:
    spec = manifest["spec"]
    kind = spec.get("type") or ""
    found: list[Cause] = []
    if old is not None:
        found += _kept_address(spec, old["spec"])
    # Addresses are allocated before anything else is looked at.
    addresses = _addresses(spec, kind)
    if addresses and not found:
        return addresses
    found += addresses
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None" and kind != "ExternalName":
        found.append(causes.required("spec.ports"))
    if kind == "ExternalName":
        found += _external_name(spec)
    elif kind == "LoadBalancer":
        for port in ports:
            if port.get("port") == 10250:
                detail = "may not expose port 10250 externally since it is used by kubelet"
                found.append(causes.invalid("spec.ports[0].port", 10250, detail))
    found += _ports(ports, kind)
    found += _duplicates(ports, kind)
    found += fields.plain_labels(spec.get("selector"), "spec.selector")
    found += fields.one_of(spec.get("sessionAffinity"), ("ClientIP", "None"), "spec.sessionAffinity", needed=True)
    found += _affinity(spec)
    found += fields.one_of(kind, _TYPES, "spec.type", needed=True)
    for index, one in enumerate(spec.get("externalIPs") or ()):
        found += fields.address(one, f"spec.externalIPs[{index}]")
    found += _balancer(spec, kind)
    found += _traffic(spec, kind)
    return found


def _external_name(spec: Struct) -> list[Cause]:
    name = spec.get("externalName") or ""
    found: list[Cause] = []
    if spec.get("clusterIPs"):
        value = spec["clusterIPs"]
        found.append(causes.forbidden("spec.clusterIPs", f"may not be set for ExternalName services: {value}"))
    if not name:
        found.append(causes.required("spec.externalName"))
    else:
        found += fields.named(name.removesuffix("."), names.subdomain, "spec.externalName")
    return found


def _ports(ports: list[Struct], kind: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, one in enumerate(ports):
        path, name = f"spec.ports[{index}]", one.get("name") or ""
        if not name:
            if len(ports) > 1:
                found.append(causes.required(f"{path}.name"))
        else:
            problems = names.label(name)
            found += [causes.invalid(f"{path}.name", name, problem) for problem in problems]
            if not problems and name in seen:
                found.append(causes.duplicate(f"{path}.name", name))
            seen.add(name)
        found += fields.port(one.get("port") or 0, f"{path}.port")
        found += fields.one_of(one.get("protocol"), _PROTOCOLS, f"{path}.protocol", needed=True)
        if one.get("targetPort") is not None:
            found += fields.port(one["targetPort"], f"{path}.targetPort")
        if one.get("appProtocol") is not None:
            found += fields.named(one["appProtocol"], names.qualified, f"{path}.appProtocol")
        node_port = one.get("nodePort")
        if node_port and kind in ("ClusterIP", "ExternalName"):
            detail = f"may not be used when `type` is '{kind}'"
            found.append(causes.forbidden(f"{path}.nodePort", detail))
    if not found and kind in ("NodePort", "LoadBalancer"):
        found += _node_ports(ports)
    return found


def _node_ports(ports: list[Struct]) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(ports):
        given = one.get("nodePort")
        if given and given not in _NODE_PORTS:
            detail = "provided port is not in the valid range. The range of valid ports is 30000-32767"
            found.append(causes.invalid(f"spec.ports[{index}].nodePort", given, detail))
    return found


def _duplicates(ports: list[Struct], kind: str) -> list[Cause]:
    found: list[Cause] = []
    for key in ("nodePort", "port"):
        seen: set[tuple[Any, Any]] = set()
        for index, one in enumerate(ports):
            mark = (one.get("protocol"), one.get(key))
            if key == "nodePort" and not one.get(key):
                continue
            if mark in seen:
                if key == "nodePort":
                    found.append(causes.duplicate(f"spec.ports[{index}].nodePort", one[key]))
                else:
                    shown = {"Name": "", "Protocol": one.get("protocol"), "AppProtocol": None, "Port": one.get(key, 0)}
                    value = causes.Ordered({**shown, "TargetPort": 0, "NodePort": 0})
                    found.append(causes.duplicate(f"spec.ports[{index}]", value))
            seen.add(mark)
    return found


def _affinity(spec: Struct) -> list[Cause]:
    config = spec.get("sessionAffinityConfig")
    if spec.get("sessionAffinity") == "ClientIP":
        path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is None:
            return [causes.required("spec.sessionAffinityConfig", "must be set when session affinity is ClientIP")]
        if not 0 < seconds <= _ONE_DAY:
            return [causes.invalid(path, seconds, f"must be greater than 0 and less than {_ONE_DAY}")]
    elif spec.get("sessionAffinity") == "None" and config is not None:
        detail = "must not be set when session affinity is None"
        return [causes.forbidden("spec.sessionAffinityConfig", detail)]
    return []


def _addresses(spec: Struct, kind: str) -> list[Cause]:
    found: list[Cause] = []
    if kind == "ExternalName":
        return found
    first = spec.get("clusterIP") or ""
    listed = spec.get("clusterIPs") or ([first] if first else [])
    if spec.get("clusterIPs") and first and listed[0] != first:
        detail = "first value must match `clusterIP`"
        found.append(causes.invalid("spec.clusterIPs", listed, detail))
    if len(listed) > 2:
        found.append(causes.invalid("spec.clusterIPs", listed, "may only hold up to 2 values"))
    for index, one in enumerate(listed):
        path = f"spec.clusterIPs[{index}]"
        if one == "None":
            if len(listed) > 1:
                found.append(causes.invalid("spec.clusterIPs", listed, "'None' must be the first and only value"))
            elif kind in ("NodePort", "LoadBalancer"):
                found.append(causes.invalid(path, one, f"may not be set to 'None' for {kind} services"))
        elif one:
            found += fields.address(one, path)
    for index, one in enumerate(spec.get("ipFamilies") or ()):
        if one not in _FAMILIES:
            found.append(causes.unsupported(f"spec.ipFamilies[{index}]", one, _FAMILIES))
    policy = spec.get("ipFamilyPolicy")
    known = ("PreferDualStack", "RequireDualStack", "SingleStack")
    if policy is not None and policy not in known:
        found.append(causes.unsupported("spec.ipFamilyPolicy", policy, known))
    return found


def _balancer(spec: Struct, kind: str) -> list[Cause]:
    found: list[Cause] = []
    ranges = spec.get("loadBalancerSourceRanges") or ()
    if ranges and kind != "LoadBalancer":
        detail = "may only be used when `type` is 'LoadBalancer'"
        found.append(causes.forbidden("spec.LoadBalancerSourceRanges", detail))
    for index, one in enumerate(ranges):
        found += fields.network(one.strip(), f"spec.LoadBalancerSourceRanges[{index}]")
    allocate = spec.get("allocateLoadBalancerNodePorts")
    if allocate is not None and kind != "LoadBalancer":
        detail = "may only be used when `type` is 'LoadBalancer'"
        found.append(causes.forbidden("spec.allocateLoadBalancerNodePorts", detail))
    if spec.get("loadBalancerClass") is not None:
        if kind != "LoadBalancer":
            detail = "may only be used when `type` is 'LoadBalancer'"
            found.append(causes.forbidden("spec.loadBalancerClass", detail))
        else:
            found += fields.named(spec["loadBalancerClass"], names.qualified, "spec.loadBalancerClass")
    return found


def _traffic(spec: Struct, kind: str) -> list[Cause]:
    found: list[Cause] = []
    external = spec.get("externalTrafficPolicy")
    visible = kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs"))
    if external:
        if not visible:
            detail = "may only be set for externally-accessible services"
            found.append(causes.invalid("spec.externalTrafficPolicy", external, detail))
        elif external not in ("Cluster", "Local"):
            found.append(causes.unsupported("spec.externalTrafficPolicy", external, ("Cluster", "Local")))
    elif visible:
        found.append(causes.required("spec.externalTrafficPolicy"))
    internal = spec.get("internalTrafficPolicy")
    if kind in ("NodePort", "LoadBalancer", "ClusterIP") and internal not in ("Cluster", "Local"):
        found += fields.one_of(internal, ("Cluster", "Local"), "spec.internalTrafficPolicy", needed=True)
    health = spec.get("healthCheckNodePort")
    if health and not (kind == "LoadBalancer" and external == "Local"):
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        found.append(causes.invalid("spec.healthCheckNodePort", health, detail))
    return found


def _kept_address(spec: Struct, before: Struct) -> list[Cause]:
    """A Service keeps its address, unless it becomes or was an ExternalName."""
    if "ExternalName" in (spec.get("type"), before.get("type")):
        return []
    new, old = spec.get("clusterIP") or "", before.get("clusterIP") or ""
    listed, known = spec.get("clusterIPs") or [], before.get("clusterIPs") or []
    if new != old:
        if new and new != "None" and not fields.is_address(new):
            return []  # which is told already
        return [
            causes.invalid("spec.clusterIPs[0]", [new] if listed[:1] != [new] else listed, "may not change once set")
        ]
    if listed and known and listed[0] != known[0]:
        return [causes.invalid("spec.clusterIPs[0]", listed, "may not change once set")]
    return []
