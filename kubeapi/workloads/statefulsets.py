"""StatefulSets: numbered pods, one after the other, each with the claims of its own."""

from __future__ import annotations

from typing import Any

from kubeapi import writes
from kubeapi.errors import StatusError
from kubeapi.store import Entry
from kubeapi.workloads import revisions
from kubeapi.workloads.base import PODS, Workload, is_ready, template_hash
from kubeapi.writes import Options

Manifest = dict[str, Any]

HASH = "controller-revision-hash"


class StatefulSets(Workload):
    api_version = "apps/v1"
    kind = "StatefulSet"

    def reconcile(self, key: str, live: Manifest) -> None:
        metadata, spec = live["metadata"], live["spec"]
        revision = f"{metadata['name']}-{template_hash(spec['template'])}"
        pods = {entry.name: (entry, entry.manifest()) for entry in self.tools.owned(metadata["uid"], PODS)}
        if "deletionTimestamp" not in metadata:
            revisions.keep(self, live, template_hash(spec["template"]))
            self._advance(live, pods, revision)
        self._report(live, pods, revision)

    def _advance(self, live: Manifest, pods: dict[str, tuple[Entry, Manifest]], revision: str) -> None:
        """Take the next step: the lowest missing pod, or the highest one too many or out of date."""
        spec = live["spec"]
        wanted = spec.get("replicas", 1)
        start = (spec.get("ordinals") or {}).get("start", 0)
        names = [f"{live['metadata']['name']}-{number}" for number in range(start, start + wanted)]
        in_parallel = spec.get("podManagementPolicy") == "Parallel"
        for name in names:
            found = pods.get(name)
            if found is None:
                self._create(live, name, revision)
                if not in_parallel:
                    return
            elif (found[1].get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                self.delete_pod(found[0])
                return
            elif not is_ready(found[1]) and not in_parallel:
                # An unready pod of an old template is replaced: its turn would never come otherwise.
                if _revision(found[1]) != revision and not found[0].deleting:
                    self.delete_pod(found[0])
                return
        extra = sorted((name for name in pods if name not in names), key=_ordinal, reverse=True)
        for name in extra:
            self.delete_pod(pods[name][0])
            if not in_parallel:
                return
        strategy = spec.get("updateStrategy") or {}
        if extra or strategy.get("type") == "OnDelete":
            return
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        for name in reversed(names):
            found = pods.get(name)
            if found is None or found[0].deleting or not is_ready(found[1]):
                return
            if _revision(found[1]) != revision and _ordinal(name) >= partition:
                self.delete_pod(found[0])
                return

    def _create(self, live: Manifest, name: str, revision: str) -> None:
        template = dict(live["spec"]["template"])
        template["spec"] = dict(template.get("spec") or {})
        volumes = list(template["spec"].get("volumes") or ())
        for claim in live["spec"].get("volumeClaimTemplates") or ():
            claim_name = f"{claim['metadata']['name']}-{name}"
            self._claim(live, claim, claim_name)
            volumes = [v for v in volumes if v.get("name") != claim["metadata"]["name"]]
            volumes.append({"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim_name}})
        if volumes:
            template["spec"]["volumes"] = volumes
        template["spec"].setdefault("hostname", name)
        template["spec"].setdefault("subdomain", live["spec"].get("serviceName", ""))
        if not template["spec"]["subdomain"]:
            del template["spec"]["subdomain"]
        labels = {
            HASH: revision,
            "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": str(_ordinal(name)),
        }
        self.create_pod(live, template, name, labels)

    def _claim(self, live: Manifest, claim: Manifest, name: str) -> None:
        namespace = live["metadata"]["namespace"]
        resource = self.cluster.resource("v1", "PersistentVolumeClaim")
        if self.cluster.entry(resource, namespace, name) is not None:
            return
        labels = {
            **((live["spec"].get("selector") or {}).get("matchLabels") or {}),
            **(claim["metadata"].get("labels") or {}),
        }
        manifest = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "labels": labels},
            "spec": dict(claim["spec"]),
        }
        try:
            writes.create(self.cluster, resource, namespace, manifest, Options())
        except StatusError as error:
            if error.reason != "AlreadyExists":
                raise

    def _report(self, live: Manifest, pods: dict[str, tuple[Entry, Manifest]], revision: str) -> None:
        before = live.get("status") or {}
        all_pods = [pod for _, pod in pods.values()]
        ready = sum(1 for pod in all_pods if is_ready(pod))
        updated = sum(1 for pod in all_pods if _revision(pod) == revision)
        current = before.get("currentRevision") or revision
        wanted = live["spec"].get("replicas", 1)
        if updated == wanted == ready == len(all_pods):
            current = revision
        status: Manifest = {
            "observedGeneration": live["metadata"].get("generation", 0),
            "replicas": len(all_pods),
            "availableReplicas": ready,
            "currentRevision": current,
            "updateRevision": revision,
            "collisionCount": before.get("collisionCount", 0),
        }
        of_current = sum(1 for pod in all_pods if _revision(pod) == current)
        for name, value in (
            ("readyReplicas", ready),
            ("currentReplicas", of_current),
            ("updatedReplicas", updated),
        ):
            if value:
                status[name] = value
        self.save_status(live, status)


def _revision(pod: Manifest) -> str:
    return str((pod["metadata"].get("labels") or {}).get(HASH, ""))


def _ordinal(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1
