# ruff: noqa: E501
"""Objects of many kinds: applied, they are seen to be in sync, whatever the server filled in or wrote in another way."""

from __future__ import annotations

from typing import Any

import pytest

from shared import apply
from shared.text import yaml
from tests.apply.world import World

ZOO = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      securityContext: {runAsUser: 1000, fsGroup: 1000}
      initContainers:
      - {name: init, image: busybox, command: [sh, -c, "true"], env: [{name: A, value: "1"}, {name: B, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}
      containers:
      - name: main
        image: postgres
        ports: [{name: db, containerPort: 5432}, {name: metrics, containerPort: 9187, protocol: TCP}]
        env: [{name: C, valueFrom: {secretKeyRef: {name: s, key: k}}}]
        envFrom: [{configMapRef: {name: c}}]
        livenessProbe: {tcpSocket: {port: db}, initialDelaySeconds: 5}
        readinessProbe: {httpGet: {path: /ready, port: 9187}}
        resources: {requests: {cpu: 0.5, memory: 512Mi}, limits: {memory: 0.5Gi}}
        volumeMounts: [{name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {sizeLimit: 1024Mi}}, {name: cfg, configMap: {name: c, items: [{key: a, path: a}]}}]
      tolerations: [{key: x, operator: Exists, effect: NoSchedule}]
      affinity:
        podAntiAffinity:
          preferredDuringSchedulingIgnoredDuringExecution:
          - {weight: 1, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: db}}}}
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {app: db}}}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}, annotations: {a: b}}
    spec:
      hostNetwork: true
      serviceAccountName: default
      containers: [{name: main, image: agent, args: [--x, "1"], ports: [{containerPort: 53, hostPort: 53, protocol: UDP}, {containerPort: 53, hostPort: 53, protocol: TCP}]}]
      volumes: [{name: host, hostPath: {path: /var/log}}]
  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 10%}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      backoffLimit: 2
      template:
        spec: {restartPolicy: Never, containers: [{name: main, image: job}]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: db, port: 5432, targetPort: db}, {name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, annotations: {x: "y"}}
spec:
  ingressClassName: nginx
  rules: [{host: a.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
  tls: [{hosts: [a.example.com], secretName: tls}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {a: b}}}], ports: [{port: 80}]}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  minReplicas: 1
  maxReplicas: 3
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}, {type: Pods, pods: {metric: {name: rps}, target: {type: AverageValue, averageValue: 1000m}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods, configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
subjects: [{kind: ServiceAccount, name: default}, {kind: User, name: jane}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota}
spec: {hard: {requests.cpu: "100", pods: 1k, memory: 1000Gi}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec: {limits: [{type: Container, default: {cpu: 1000m}, defaultRequest: {cpu: 100m}}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1024Mi}}}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {k: v}
data: {b: Yg==}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: sa}
imagePullSecrets: [{name: pull}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, finalizers: []}
data: {a: "1", empty: ""}
binaryData: {b: AAE=}
"""
IN_DOUBT = {"LimitRange": ".spec.limits"}
"""What an audit can't tell from drift: it costs an apply, which then changes nothing."""
OBJECTS: list[Any] = yaml.load_all(ZOO)


async def test_what_was_applied_is_seen_to_be_in_sync(world: World) -> None:
    await world.apply(*OBJECTS)
    desired = [world.here(manifest) for manifest in OBJECTS]
    found = await apply.audit(world.client, desired, owner=world.owner, ledger=world.ledger)
    assert {id.kind: what for id, what in found.items() if what} == IN_DOUBT


@pytest.mark.parametrize("kind", [manifest["kind"] for manifest in OBJECTS])
async def test_a_second_apply_of_it_changes_nothing(world: World, kind: str) -> None:
    objects = [manifest for manifest in OBJECTS if manifest["kind"] == kind]
    await world.apply(*objects)
    world.ledger.forget(world.owner)
    [change] = await world.apply(*objects, audit=True)
    assert change.action == "unchanged"
