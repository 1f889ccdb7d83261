"""Columns of the built-in kinds: a name, how to find the cell, from which width on (1: `-o wide`), its type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from kubeapi import selectors
from kubeapi.ages import since
from kubeapi.tables_workloads import (
    NONE,
    UNKNOWN,
    WORKLOADS,
    containers,
    count,
    dig,
    either,
    images,
    labels,
    value,
)

Manifest = Mapping[str, Any]
Cell = Callable[[Manifest, datetime], Any]
Row = tuple[str, Cell | str] | tuple[str, Cell | str, int] | tuple[str, Cell | str, int, str]


def _external(service: Manifest, now: datetime) -> str:
    """Where a Service is reached from outside."""
    spec = service.get("spec") or {}
    kind = spec.get("type", "ClusterIP")
    own = ",".join(spec.get("externalIPs") or ())
    if kind == "ExternalName":
        return str(spec.get("externalName") or NONE)
    if kind != "LoadBalancer":
        return own or NONE
    points = dig(service, "status.loadBalancer.ingress") or ()
    found = ",".join(str(one.get("ip") or one.get("hostname") or "") for one in points)
    return ",".join(part for part in (found, own) if part) or "<pending>"


def _ports(service: Manifest, now: datetime) -> str:
    parts = []
    for port in dig(service, "spec.ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        parts.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(parts) or NONE


def _external_of_node(node: Manifest, kind: str) -> str:
    for address in dig(node, "status.addresses") or ():
        if address.get("type") == kind:
            return str(address.get("address"))
    return NONE


def _node_status(node: Manifest, now: datetime) -> str:
    ready = next((c for c in dig(node, "status.conditions") or () if c.get("type") == "Ready"), None)
    status = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{status},SchedulingDisabled" if dig(node, "spec.unschedulable") else status


def _roles(node: Manifest, now: datetime) -> str:
    prefix = "node-role.kubernetes.io/"
    found = {k[len(prefix) :] for k in dig(node, "metadata.labels") or {} if k.startswith(prefix)}
    found |= {v for k, v in (dig(node, "metadata.labels") or {}).items() if k == "kubernetes.io/role"}
    return ",".join(sorted(filter(None, found))) or NONE


def _hosts(ingress: Manifest, now: datetime) -> str:
    found = [rule["host"] for rule in dig(ingress, "spec.rules") or () if rule.get("host")]
    shown = ",".join(found[:3])
    return (f"{shown} + {len(found) - 3} more..." if len(found) > 3 else shown) or "*"


def _points(ingress: Manifest, now: datetime) -> str:
    points = dig(ingress, "status.loadBalancer.ingress") or ()
    return ",".join(str(one.get("ip") or one.get("hostname") or "") for one in points)


def _endpoints(endpoints: Manifest, now: datetime) -> str:
    found = []
    for subset in endpoints.get("subsets") or ():
        ports = [port.get("port") for port in subset.get("ports") or ()] or [None]
        found += [
            f"{address['ip']}:{port}" if port else str(address["ip"])
            for port in ports
            for address in subset.get("addresses") or ()
        ]
    return _some(found)


def _some(found: list[str]) -> str:
    shown = ",".join(found[:3])
    return (f"{shown} + {len(found) - 3} more..." if len(found) > 3 else shown) or NONE


def _slice_ports(one: Manifest, now: datetime) -> str:
    ports = one.get("ports")
    if not ports:
        return "<unset>"
    return _some([str(port.get("port") or "*") for port in ports])


def _slice_addresses(one: Manifest, now: datetime) -> str:
    return _some([str(a) for endpoint in one.get("endpoints") or () for a in endpoint.get("addresses") or ()]).replace(
        NONE, "<unset>"
    )


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(modes: Any) -> str:
    return ",".join(_MODES.get(mode, str(mode)) for mode in dict.fromkeys(modes or ()))


def _claim_status(claim: Manifest, now: datetime) -> str:
    if dig(claim, "metadata.deletionTimestamp"):
        return "Terminating"
    return str(dig(claim, "status.phase") or "")


def _bound(claim: Manifest, path: str) -> Any:
    return dig(claim, path) if dig(claim, "spec.volumeName") else ""


def _claim(volume: Manifest, now: datetime) -> str:
    reference = dig(volume, "spec.claimRef")
    return f"{reference.get('namespace', '')}/{reference.get('name', '')}" if reference else ""


def _event_source(event: Manifest, now: datetime) -> str:
    found = dict(event.get("source") or event.get("deprecatedSource") or {})
    component = found.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    host = found.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {host}" if component and host else str(component or host)


def _event_object(event: Manifest, now: datetime) -> str:
    reference = event.get("involvedObject") or event.get("regarding") or {}
    return f"{str(reference.get('kind', '')).lower()}/{reference.get('name', '')}"


def _first_seen(event: Manifest) -> Any:
    return event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime")


def _last_seen(event: Manifest, now: datetime) -> str:
    series = event.get("series") or {}
    found = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("deprecatedLastTimestamp")
    return since(found or _first_seen(event), now)


def _event_count(event: Manifest, now: datetime) -> str:
    series = event.get("series") or {}
    return str(series.get("count") or event.get("count") or event.get("deprecatedCount") or 1)


def _role_ref(binding: Manifest, now: datetime) -> str:
    reference = binding.get("roleRef") or {}
    return f"{reference.get('kind')}/{reference.get('name')}"


def _subjects(kind: str) -> Cell:
    def cell(binding: Manifest, now: datetime) -> str:
        found = [one for one in binding.get("subjects") or () if one.get("kind") == kind]
        if kind == "ServiceAccount":
            return ", ".join(f"{one.get('namespace', '')}/{one.get('name')}" for one in found)
        return ", ".join(str(one.get("name")) for one in found)

    return cell


def _class_name(manifest: Manifest, now: datetime) -> str:
    name = str(dig(manifest, "metadata.name"))
    annotations = dig(manifest, "metadata.annotations") or {}
    for prefix in ("storageclass.kubernetes.io/", "storageclass.beta.kubernetes.io/"):
        if annotations.get(f"{prefix}is-default-class") == "true":
            return f"{name} (default)"
    return name


def _parameters(ingress_class: Manifest, now: datetime) -> str:
    found = dig(ingress_class, "spec.parameters")
    if not found:
        return NONE
    kind = f"{found['kind']}.{found['apiGroup']}" if found.get("apiGroup") else found["kind"]
    return f"{kind}/{found['name']}"


def _metrics(autoscaler: Manifest, now: datetime) -> str:
    spec = autoscaler.get("spec") or {}
    wanted = list(spec.get("metrics") or ())
    if not wanted and spec.get("targetCPUUtilizationPercentage"):
        wanted = [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"averageUtilization": spec["targetCPUUtilizationPercentage"]},
                },
            }
        ]
    current = {
        (m.get("type"), (m.get("resource") or {}).get("name")): (m.get("resource") or {}).get("current") or {}
        for m in dig(autoscaler, "status.currentMetrics") or ()
    }
    found = []
    for metric in wanted:
        source = metric.get("resource") or {}
        target = source.get("target") or {}
        seen = current.get((metric.get("type"), source.get("name")), {})
        if target.get("averageUtilization") is not None:
            has = f"{seen['averageUtilization']}%" if "averageUtilization" in seen else UNKNOWN
            found.append(f"{source.get('name')}: {has}/{target['averageUtilization']}%")
        else:
            found.append(f"{source.get('name') or metric.get('type')}: {seen.get('averageValue', UNKNOWN)}")
    return (f"{', '.join(found[:2])} + {len(found) - 2} more..." if len(found) > 2 else ", ".join(found)) or NONE


def _reference(autoscaler: Manifest, now: datetime) -> str:
    target = dig(autoscaler, "spec.scaleTargetRef") or {}
    return f"{target.get('kind')}/{target.get('name')}"


def _pod_selector(policy: Manifest, now: datetime) -> str:
    found = selectors.format_labels(selectors.of_label_selector(dig(policy, "spec.podSelector")) or ())
    return found or NONE


def _quota(kind: str) -> Cell:
    def cell(quota: Manifest, now: datetime) -> str:
        hard, used = dig(quota, "status.hard") or {}, dig(quota, "status.used") or {}
        names = sorted(name for name in hard if name.startswith("limits") is (kind == "limits"))
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in names)

    return cell


def _csr_condition(request: Manifest, now: datetime) -> str:
    found = [str(c.get("type")) for c in dig(request, "status.conditions") or ()]
    if dig(request, "status.certificate"):
        found.append("Issued")
    return ",".join(found) or "Pending"


def _available(service: Manifest, now: datetime) -> str:
    for one in dig(service, "status.conditions") or ():
        if one.get("type") == "Available":
            return "True" if one["status"] == "True" else f"{one['status']} ({one.get('reason', '')})"
    return "Unknown"


def _backend(service: Manifest, now: datetime) -> str:
    found = dig(service, "spec.service")
    return f"{found.get('namespace')}/{found.get('name')}" if found else "Local"


def _owner(manifest: Manifest, now: datetime) -> str:
    for one in dig(manifest, "metadata.ownerReferences") or ():
        if one.get("controller"):
            group = str(one.get("apiVersion", "")).rpartition("/")[0]
            return f"{str(one['kind']).lower()}{'.' + group if group else ''}/{one['name']}"
    return NONE


def _length(path: str) -> Cell:
    return lambda manifest, now: len(dig(manifest, path) or ())


def _param_kind(manifest: Manifest, now: datetime) -> str:
    found = dig(manifest, "spec.paramKind")
    return f"{found.get('apiVersion')}/{found.get('kind')}" if found else "<unset>"


def _param_ref(manifest: Manifest, now: datetime) -> str:
    found = dig(manifest, "spec.paramRef")
    if not found:
        return "<unset>"
    return f"{found['namespace']}/{found.get('name', '*')}" if found.get("namespace") else str(found.get("name", "*"))


_DATED: tuple[Row, ...] = (("Name", "name"), ("Created At", "created"))
_BINDING: tuple[Row, ...] = (
    ("Name", "name"),
    ("Role", _role_ref),
    ("Age", "age"),
    ("Users", _subjects("User"), 1),
    ("Groups", _subjects("Group"), 1),
    ("ServiceAccounts", _subjects("ServiceAccount"), 1),
)
_WEBHOOKS: tuple[Row, ...] = (("Name", "name"), ("Webhooks", _length("webhooks"), 0, "integer"), ("Age", "age"))
_POLICY_BINDING: tuple[Row, ...] = (
    ("Name", "name"),
    ("PolicyName", value("spec.policyName")),
    ("ParamRef", _param_ref),
    ("Age", "age"),
)

BUILT_IN: dict[tuple[str, str], tuple[Row, ...]] = {
    **WORKLOADS,
    ("", "configmaps"): (("Name", "name"), ("Data", count("data", "binaryData")), ("Age", "age")),
    ("", "secrets"): (("Name", "name"), ("Type", value("type")), ("Data", count("data")), ("Age", "age")),
    ("", "serviceaccounts"): (("Name", "name"), ("Age", "age")),
    ("", "namespaces"): (("Name", "name"), ("Status", value("status.phase")), ("Age", "age")),
    ("", "services"): (
        ("Name", "name"),
        ("Type", value("spec.type", "ClusterIP")),
        ("Cluster-IP", value("spec.clusterIP", NONE)),
        ("External-IP", _external),
        ("Port(s)", _ports),
        ("Age", "age"),
        ("Selector", lambda manifest, now: labels(dig(manifest, "spec.selector")), 1),
    ),
    ("", "endpoints"): (("Name", "name"), ("Endpoints", _endpoints), ("Age", "age")),
    ("", "nodes"): (
        ("Name", "name"),
        ("Status", _node_status),
        ("Roles", _roles),
        ("Age", "age"),
        ("Version", value("status.nodeInfo.kubeletVersion")),
        ("Internal-IP", lambda manifest, now: _external_of_node(manifest, "InternalIP"), 1),
        ("External-IP", lambda manifest, now: _external_of_node(manifest, "ExternalIP"), 1),
        ("OS-Image", either("status.nodeInfo.osImage", UNKNOWN), 1),
        ("Kernel-Version", either("status.nodeInfo.kernelVersion", UNKNOWN), 1),
        ("Container-Runtime", either("status.nodeInfo.containerRuntimeVersion", UNKNOWN), 1),
    ),
    ("", "events"): (
        ("Last Seen", _last_seen),
        ("Type", value("type")),
        ("Reason", value("reason")),
        ("Object", _event_object),
        ("Subobject", lambda e, now: str(dig(e, "involvedObject.fieldPath") or ""), 1),
        ("Source", _event_source, 1),
        ("Message", lambda e, now: str(e.get("message") or e.get("note") or "").strip()),
        ("First Seen", lambda e, now: since(_first_seen(e), now), 1),
        ("Count", _event_count, 1),
        ("Name", "name", 1),
    ),
    ("", "persistentvolumeclaims"): (
        ("Name", "name"),
        ("Status", _claim_status),
        ("Volume", value("spec.volumeName")),
        ("Capacity", lambda m, now: _bound(m, "status.capacity.storage") or ""),
        ("Access Modes", lambda m, now: _modes(_bound(m, "status.accessModes"))),
        ("StorageClass", value("spec.storageClassName")),
        ("VolumeAttributesClass", either("spec.volumeAttributesClassName", "<unset>")),
        ("Age", "age"),
        ("VolumeMode", either("spec.volumeMode", "<unset>"), 1),
    ),
    ("", "persistentvolumes"): (
        ("Name", "name"),
        ("Capacity", value("spec.capacity.storage")),
        ("Access Modes", lambda m, now: _modes(dig(m, "spec.accessModes"))),
        ("Reclaim Policy", value("spec.persistentVolumeReclaimPolicy")),
        ("Status", _claim_status),
        ("Claim", _claim),
        ("StorageClass", value("spec.storageClassName")),
        ("VolumeAttributesClass", either("spec.volumeAttributesClassName", "<unset>")),
        ("Reason", value("status.reason")),
        ("Age", "age"),
        ("VolumeMode", either("spec.volumeMode", "<unset>"), 1),
    ),
    ("", "podtemplates"): (
        ("Name", "name"),
        ("Containers", containers("template.spec")),
        ("Images", images("template.spec")),
        ("Pod Labels", lambda m, now: labels(dig(m, "template.metadata.labels"))),
    ),
    ("", "resourcequotas"): (
        ("Name", "name"),
        ("Request", _quota("requests")),
        ("Limit", _quota("limits")),
        ("Age", "age"),
    ),
    ("", "limitranges"): _DATED,
    ("apiregistration.k8s.io", "apiservices"): (
        ("Name", "name"),
        ("Service", _backend),
        ("Available", _available),
        ("Age", "age"),
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions"): _DATED,
    ("rbac.authorization.k8s.io", "roles"): _DATED,
    ("rbac.authorization.k8s.io", "clusterroles"): _DATED,
    ("rbac.authorization.k8s.io", "rolebindings"): _BINDING,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): _BINDING,
    ("autoscaling", "horizontalpodautoscalers"): (
        ("Name", "name"),
        ("Reference", _reference),
        ("Targets", _metrics),
        ("MinPods", lambda m, now: str(dig(m, "spec.minReplicas") or "<unset>")),
        ("MaxPods", lambda m, now: dig(m, "spec.maxReplicas") or 0),
        ("Replicas", lambda m, now: dig(m, "status.currentReplicas") or 0),
        ("Age", "age"),
    ),
    ("certificates.k8s.io", "certificatesigningrequests"): (
        ("Name", "name"),
        ("Age", "age"),
        ("SignerName", value("spec.signerName")),
        ("Requestor", value("spec.username")),
        (
            "RequestedDuration",
            lambda m, now: f"{dig(m, 'spec.expirationSeconds')}s" if dig(m, "spec.expirationSeconds") else NONE,
        ),
        ("Condition", _csr_condition),
    ),
    ("networking.k8s.io", "ingressclasses"): (
        ("Name", "name"),
        ("Controller", value("spec.controller")),
        ("Parameters", _parameters),
        ("Age", "age"),
    ),
    ("networking.k8s.io", "ingresses"): (
        ("Name", "name"),
        ("Class", either("spec.ingressClassName", NONE)),
        ("Hosts", _hosts),
        ("Address", _points),
        ("Ports", lambda m, now: "80, 443" if dig(m, "spec.tls") else "80"),
        ("Age", "age"),
    ),
    ("networking.k8s.io", "networkpolicies"): (("Name", "name"), ("Pod-Selector", _pod_selector), ("Age", "age")),
    ("networking.k8s.io", "ipaddresses"): (("Name", "name"), ("ParentRef", value("spec.parentRef.name"))),
    ("networking.k8s.io", "servicecidrs"): (
        ("Name", "name"),
        ("CIDRs", lambda m, now: ",".join(dig(m, "spec.cidrs") or ())),
        ("Age", "age"),
    ),
    ("policy", "poddisruptionbudgets"): (
        ("Name", "name"),
        ("Min Available", lambda m, now: _present(m, "spec.minAvailable")),
        ("Max Unavailable", lambda m, now: _present(m, "spec.maxUnavailable")),
        ("Allowed Disruptions", value("status.disruptionsAllowed", 0), 0, "integer"),
        ("Age", "age"),
    ),
    ("storage.k8s.io", "storageclasses"): (
        ("Name", _class_name),
        ("Provisioner", value("provisioner")),
        ("ReclaimPolicy", value("reclaimPolicy", "Delete")),
        ("VolumeBindingMode", value("volumeBindingMode", "Immediate")),
        ("AllowVolumeExpansion", lambda m, now: bool(m.get("allowVolumeExpansion"))),
        ("Age", "age"),
    ),
    ("storage.k8s.io", "csinodes"): (
        ("Name", "name"),
        ("Drivers", _length("spec.drivers"), 0, "integer"),
        ("Age", "age"),
    ),
    ("storage.k8s.io", "csistoragecapacities"): _DATED,
    ("storage.k8s.io", "volumeattributesclasses"): (
        ("Name", "name"),
        ("DriverName", value("driverName")),
        ("Age", "age"),
    ),
    ("scheduling.k8s.io", "priorityclasses"): (
        ("Name", "name"),
        ("Value", value("value", 0), 0, "integer"),
        ("Global-Default", lambda m, now: bool(m.get("globalDefault")), 0, "boolean"),
        ("Age", "age"),
        ("PreemptionPolicy", value("preemptionPolicy")),
    ),
    ("coordination.k8s.io", "leases"): (("Name", "name"), ("Holder", value("spec.holderIdentity")), ("Age", "age")),
    ("node.k8s.io", "runtimeclasses"): (("Name", "name"), ("Handler", value("handler")), ("Age", "age")),
    ("discovery.k8s.io", "endpointslices"): (
        ("Name", "name"),
        ("AddressType", value("addressType")),
        ("Ports", _slice_ports),
        ("Endpoints", _slice_addresses),
        ("Age", "age"),
    ),
    ("apps", "controllerrevisions"): (
        ("Name", "name"),
        ("Controller", _owner),
        ("Revision", lambda m, now: str(m.get("revision", 0))),
        ("Age", "age"),
    ),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): _WEBHOOKS,
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): _WEBHOOKS,
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): (
        ("Name", "name"),
        ("Validations", _length("spec.validations"), 0, "integer"),
        ("ParamKind", _param_kind),
        ("Age", "age"),
    ),
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): (
        ("Name", "name"),
        ("Mutations", _length("spec.mutations"), 0, "integer"),
        ("ParamKind", _param_kind),
        ("Age", "age"),
    ),
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"): _POLICY_BINDING,
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"): _POLICY_BINDING,
}


def _present(manifest: Manifest, path: str) -> str:
    found = dig(manifest, path)
    return "N/A" if found is None else str(found)


__all__ = ["BUILT_IN"]
