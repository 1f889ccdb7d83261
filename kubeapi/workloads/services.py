"""Services: addresses and node ports when they are made, a load balancer's address after a while. No endpoints: nothing
listens behind them."""

from __future__ import annotations

import ipaddress
import zlib
from typing import Any

from kubeapi.controllers.queue import Controller
from kubeapi.errors import Cause, invalid
from kubeapi.resources import Resource
from kubeapi.store import Change
from kubeapi.workloads.base import FAIL, Tools, Workload
from kubeapi.writes import Options

Manifest = dict[str, Any]

STORAGE = ("", "services")
NETWORK = ipaddress.ip_network("10.96.0.0/16")
NODE_PORTS = range(30000, 32768)


class Allocator(Controller[str]):
    """Gives each Service its addresses and ports, before it is stored; runs on every server."""

    name = "service-allocator"

    def __init__(self, cluster: Any):
        super().__init__(cluster)
        self._addresses: set[str] = set()
        self._ports: set[int] = set()
        cluster.admission.on_before.append(self._before)
        cluster.admission.on_created.append(self._created)
        cluster.admission.on_updated.append(self._updated)

    def start(self) -> None:
        super().start()
        for entry in self.cluster.store.entries(STORAGE):
            self._take(entry.manifest())

    def keys(self, change: Change) -> list[str]:
        if change.storage == STORAGE:
            if change.before is not None:
                self._give_back(change.before.manifest())
            if change.type != "DELETED":
                self._take(change.entry.manifest())
        return []

    def act(self, key: str) -> None:
        """Nothing is left to do: all happens when the Service is written."""

    def _take(self, service: Manifest) -> None:
        spec = service.get("spec") or {}
        self._addresses.update(spec.get("clusterIPs") or ())
        self._ports.update(port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort"))

    def _give_back(self, service: Manifest) -> None:
        spec = service.get("spec") or {}
        self._addresses.difference_update(spec.get("clusterIPs") or ())
        self._ports.difference_update(port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort"))

    def _before(self, resource: Resource, manifest: Manifest, old: Manifest | None, options: Options) -> None:
        """An update that says nothing about what was allocated keeps it."""
        if resource.storage != STORAGE or old is None or options.subresource:
            return
        spec, before = manifest.get("spec"), old.get("spec") or {}
        if not isinstance(spec, dict) or "ExternalName" in (spec.get("type"), before.get("type")):
            return
        for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "healthCheckNodePort"):
            if not spec.get(key) and before.get(key):
                spec[key] = before[key]
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            known = {
                (port.get("protocol", "TCP"), port.get("port")): port["nodePort"]
                for port in before.get("ports") or ()
                if port.get("nodePort")
            }
            ports = [dict(port) for port in spec.get("ports") or () if isinstance(port, dict)]
            for port in ports:
                allocated = known.get((port.get("protocol", "TCP"), port.get("port")))
                if not port.get("nodePort") and allocated:
                    port["nodePort"] = allocated
            if ports:
                spec["ports"] = ports

    def _created(self, resource: Resource, namespace: str, manifest: Manifest, options: Options) -> None:
        # One that is made through its status gets no address.
        if resource.storage == STORAGE and not options.subresource:
            self._allocate(resource, manifest)

    def _updated(self, resource: Resource, manifest: Manifest, old: Manifest, options: Options) -> None:
        if resource.storage == STORAGE and not options.subresource:
            self._allocate(resource, manifest, old)

    def _allocate(self, resource: Resource, manifest: Manifest, old: Manifest | None = None) -> None:
        spec = manifest["spec"] = dict(manifest.get("spec") or {})
        before = (old or {}).get("spec") or {}
        if spec.get("type") == "ExternalName":
            if not spec.get("clusterIP"):
                for key in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
                    spec.pop(key, None)
            return
        address = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
        if not address and (old is None or before.get("type") == "ExternalName"):
            address = self._free_address(manifest["metadata"]["uid"])
        elif address and address not in ("None", before.get("clusterIP")) and (problem := self._not_free(address)):
            told = f'Invalid value: ["{address}"]: failed to allocate IP {address}: {problem}'
            cause = Cause("FieldValueInvalid", told, "spec.clusterIPs")
            raise invalid(resource.group, resource.kind, manifest["metadata"]["name"], [cause])
        if address:  # one that was made through its status has none, as on a real server
            spec["clusterIP"] = address
            spec.setdefault("clusterIPs", [address])
        spec.setdefault("ipFamilies", ["IPv6" if ":" in address else "IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        wants_ports = spec.get("type") == "NodePort" or (
            spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is not False
        )
        ports: list[Manifest] = []
        taken = {port.get("nodePort") for port in before.get("ports") or ()}
        for one in spec.get("ports") or ():
            port = dict(one)
            if wants_ports and not port.get("nodePort"):
                port["nodePort"] = self._free_port(f"{manifest['metadata']['uid']}{port.get('port')}")
                self._ports.add(port["nodePort"])
            elif port.get("nodePort") and port["nodePort"] in self._ports and port["nodePort"] not in taken:
                cause = Cause(
                    "FieldValueInvalid",
                    f"Invalid value: {port['nodePort']}: provided port is already allocated",
                    f"spec.ports[{len(ports)}].nodePort",
                )
                raise invalid(resource.group, resource.kind, manifest["metadata"]["name"], [cause])
            if not wants_ports and spec.get("type", "ClusterIP") == "ClusterIP":
                port.pop("nodePort", None)
            ports.append(port)
        if ports:
            spec["ports"] = ports

    def _not_free(self, address: str) -> str:
        """Why a Service can't have the address that it asks for; empty when it can."""
        if ipaddress.ip_address(address) not in NETWORK:
            return "the provided network does not match the current range"
        return "provided IP is already allocated" if address in self._addresses else ""

    def _free_address(self, seed: str) -> str:
        size = NETWORK.num_addresses
        start = zlib.crc32(seed.encode()) % size
        for step in range(size):
            offset = (start + step) % size
            address = str(NETWORK[offset])
            if 10 < offset < size - 1 and address not in self._addresses:
                return address
        raise invalid(
            "", "Service", "", [Cause("InternalError", "Internal error: no address is free", "spec.clusterIP")]
        )

    def _free_port(self, seed: str) -> int:
        start = zlib.crc32(seed.encode()) % len(NODE_PORTS)
        for step in range(len(NODE_PORTS)):
            port = NODE_PORTS[(start + step) % len(NODE_PORTS)]
            if port not in self._ports:
                return port
        raise invalid("", "Service", "", [Cause("InternalError", "Internal error: no node port is free", "spec.ports")])


class Services(Workload):
    """What happens to a Service afterwards: the address of its load balancer."""

    api_version = "v1"
    kind = "Service"
    children = ()

    def __init__(self, tools: Tools):
        super().__init__(tools)
        self._times: dict[str, float] = {}

    def keys(self, change: Change) -> list[str]:
        if change.storage == STORAGE and change.type == "DELETED":
            self._times.pop(change.entry.uid, None)
        return super().keys(change)

    def reconcile(self, key: str, live: Manifest) -> None:
        metadata, spec = live["metadata"], live["spec"]
        if "deletionTimestamp" in metadata:
            return
        if spec.get("type") != "LoadBalancer" or self.tools.annotation(live, FAIL):
            return
        if ((live.get("status") or {}).get("loadBalancer") or {}).get("ingress"):
            return
        assert self._loop is not None
        due = self._times.setdefault(metadata["uid"], self._loop.time() + self.tools.delay_of(live))
        left = due - self._loop.time()
        if left > 0.0005:
            self.queue_after(key, left)
            return
        address = spec.get("loadBalancerIP") or spec["clusterIP"].replace("10.96.", "192.168.", 1)
        self.save_status(
            live, {**(live.get("status") or {}), "loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
        )
