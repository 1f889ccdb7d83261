"""What users send: by name, the steps of each case. See tests.kubeapi.differential."""

from __future__ import annotations

from typing import Any

from tests.kubeapi.differential.steps import Step, apply, create, delete, get, patch, update

Manifest = dict[str, Any]


def of(api_version: str, kind: str, name: str = "app", /, *, meta: Any = None, **rest: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **(meta or {})}, **rest}


def configmap(data: Any = None, **rest: Any) -> Manifest:
    return of("v1", "ConfigMap", data={"key": "value"} if data is None else data, **rest)


def container(**rest: Any) -> Manifest:
    return {"name": "app", "image": "nginx:1.25", **rest}


def template(*containers: Any, labels: Any = None, **spec: Any) -> Manifest:
    return {
        "metadata": {"labels": {"app": "web"} if labels is None else labels},
        "spec": {"containers": list(containers or (container(),)), **spec},
    }


def deployment(*containers: Any, pod: Any = None, meta: Any = None, **spec: Any) -> Manifest:
    return of(
        "apps/v1",
        "Deployment",
        meta=meta,
        spec={
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(*containers, **(pod or {})),
            **spec,
        },
    )


def pod(*containers: Any, **spec: Any) -> Manifest:
    return of("v1", "Pod", spec={"containers": list(containers or (container(),)), **spec})


def service(*ports: Any, meta: Any = None, **spec: Any) -> Manifest:
    return of(
        "v1", "Service", meta=meta, spec={"ports": list(ports or ({"port": 80},)), "selector": {"app": "web"}, **spec}
    )


def job(**spec: Any) -> Manifest:
    return of(
        "batch/v1", "Job", spec={"template": {"spec": {"restartPolicy": "Never", "containers": [container()]}}, **spec}
    )


def claim(**spec: Any) -> Manifest:
    base = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return of("v1", "PersistentVolumeClaim", spec={**base, **spec})


def ingress(**spec: Any) -> Manifest:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"host": "a.example", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return of("networking.k8s.io/v1", "Ingress", spec={"rules": [rule], **spec})


def statefulset(**spec: Any) -> Manifest:
    base = {"selector": {"matchLabels": {"app": "web"}}, "serviceName": "web", "template": template()}
    return of("apps/v1", "StatefulSet", spec={**base, **spec})


def daemonset(**spec: Any) -> Manifest:
    return of(
        "apps/v1", "DaemonSet", spec={"selector": {"matchLabels": {"app": "web"}}, "template": template(), **spec}
    )


def cronjob(**spec: Any) -> Manifest:
    base = {"schedule": "*/5 * * * *", "jobTemplate": {"spec": job()["spec"]}}
    return of("batch/v1", "CronJob", spec={**base, **spec})


def hpa(**spec: Any) -> Manifest:
    base = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}, "maxReplicas": 3}
    return of("autoscaling/v2", "HorizontalPodAutoscaler", spec={**base, **spec})


def hooks(**webhook: Any) -> Manifest:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["podtemplates"]}
    base = {"clientConfig": {"url": "https://x.example/"}, "sideEffects": "None", "admissionReviewVersions": ["v1"]}
    one = {"name": "a.example.com", "rules": [rule], "failurePolicy": "Ignore", **base, **webhook}
    return of("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", webhooks=[one])


def put(*path: Any, value: Any) -> Any:
    """A change that sets one field of an object."""

    def change(live: Manifest) -> None:
        node: Any = live
        for key in path[:-1]:
            node = node.setdefault(key, {}) if isinstance(node, dict) else node[key]
        node[path[-1]] = value

    return change


def drop(*path: Any) -> Any:
    def change(live: Manifest) -> None:
        node: Any = live
        for key in path[:-1]:
            node = node[key]
        del node[path[-1]]

    return change


def _with_uid(live: Manifest) -> Manifest:
    return {**live, "metadata": {**live["metadata"], "uid": "x"}}


def crd(name: str, schema: Any = None, meta: Any = None, spec: Any = None, version: Any = None) -> Manifest:
    """A CRD of plural `name`; its versions are the one with this schema unless `spec` says otherwise."""
    schema = {"type": "object", "properties": {"spec": {"type": "object"}}} if schema is None else schema
    one = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **(version or {})}
    base = {
        "group": "check.example.com",
        "scope": "Namespaced",
        "names": {"kind": name.capitalize(), "plural": name},
        "versions": [one],
    }
    return of(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        f"{name}.check.example.com",
        meta=meta,
        spec={**base, **(spec or {})},
    )


def spec_schema(**properties: Any) -> Manifest:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def rule(text: str, **rest: Any) -> Manifest:
    return {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": text, **rest}],
    }


STRICT = {"fieldValidation": "Strict"}
WIDGET = "example.com/v1"


def widget(meta: Any = None, **spec: Any) -> Manifest:
    return of(WIDGET, "Widget", meta=meta, spec={"size": 3, **spec})


def git(meta: Any = None, **spec: Any) -> Manifest:
    base = {"url": "https://example.com/a.git", "interval": "1m"}
    return of("source.toolkit.fluxcd.io/v1", "GitRepository", meta=meta, spec={**base, **spec})


def kustomization(meta: Any = None, **spec: Any) -> Manifest:
    base = {"interval": "1m", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "app"}}
    return of("kustomize.toolkit.fluxcd.io/v1", "Kustomization", meta=meta, spec={**base, **spec})


def release(meta: Any = None, **spec: Any) -> Manifest:
    return of("helm.toolkit.fluxcd.io/v2", "HelmRelease", meta=meta, spec={"interval": "1m", **spec})


PROBES = {"livenessProbe": {"httpGet": {"port": 80}}, "readinessProbe": {"tcpSocket": {"port": "http"}}}
FULL = container(
    **PROBES,
    ports=[{"containerPort": 80, "name": "http"}, {"containerPort": 81}],
    env=[
        {"name": "A", "value": "1"},
        {"name": "B"},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "D", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ],
    resources={"limits": {"cpu": "0.5", "memory": "1024Mi"}, "requests": {"cpu": "100m"}},
    volumeMounts=[{"name": "v", "mountPath": "/v"}, {"name": "c", "mountPath": "/c"}],
)
VOLUMES = [
    {"name": "v", "emptyDir": {}},
    {"name": "c", "configMap": {"name": "c"}},
    {"name": "s", "secret": {"secretName": "s", "items": [{"key": "a", "path": "b"}]}},
    {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
    {"name": "h", "hostPath": {"path": "/x"}},
    {"name": "e"},
]

CASES: dict[str, list[Step]] = {
    # -- names and metadata
    "name-upper": [create(configmap(meta={"name": "App"}))],
    "name-missing": [create(configmap(meta={"name": ""}))],
    "name-generated": [Step("create", configmap(meta={"name": "", "generateName": "Bad_"}), loose=True)],
    "name-too-long": [create(configmap(meta={"name": "a" * 254}))],
    "name-of-service": [create(service(meta={"name": "1web"}))],
    "name-of-role": [create(of("rbac.authorization.k8s.io/v1", "Role", "a:b", rules=[]))],
    "name-of-role-bad": [create(of("rbac.authorization.k8s.io/v1", "Role", "a%b", rules=[]))],
    "label-bad": [create(configmap(meta={"labels": {"a b": "c", "ok": "not ok"}}))],
    "label-key-parts": [create(configmap(meta={"labels": {"a/b/c": "1", "/x": "1", "Up.Per/x": "1", "a/": "1"}}))],
    "label-type": [create(configmap(meta={"labels": {"a": 1}}))],
    "annotation-bad": [create(configmap(meta={"annotations": {"a b": "c"}}))],
    "annotation-type": [
        create(configmap(meta={"annotations": {"a": True}})),
        apply(configmap(meta={"annotations": {"a": True}})),
    ],
    "annotation-size": [create(configmap(meta={"annotations": {"a": "x" * 262145}}))],
    "finalizer": [
        create(configmap(meta={"finalizers": ["example.com/x", "plain"]})),
        create(widget(meta={"finalizers": ["plain", "a.b", "a.b/c"]})),
    ],
    "owner-bad": [
        create(configmap(meta={"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "", "uid": ""}]}))
    ],
    "metadata-unknown": [
        create(configmap(meta={"colour": "red"}), **STRICT),
        create(configmap(meta={"colour": "red"})),
    ],
    "metadata-changed": [
        create(configmap()),
        update(configmap(), put("metadata", "labels", value={"a": "!"})),
        patch("merge", configmap(), {"metadata": {"name": "other"}}),
        patch("merge", configmap(), {"metadata": {"labels": {"a": "b"}}}),
    ],
    # -- unknown fields and wrong types
    "unknown-strict": [create(deployment(colour="red"), **STRICT)],
    "unknown-warn": [create(deployment(colour="red", size=1), fieldValidation="Warn")],
    "unknown-ignore": [create(deployment(colour="red"), fieldValidation="Ignore")],
    "unknown-default": [create(deployment(container(colour="red")))],
    "unknown-apply": [apply(deployment(colour="red")), apply(deployment(container(imagePullpolicy="Always")))],
    "unknown-apply-strict": [apply(deployment(colour="red"), **STRICT)],
    "unknown-patch": [
        create(deployment()),
        patch("merge", deployment(), {"spec": {"colour": "red"}}, **STRICT),
        patch("merge", deployment(), {"spec": {"colour": "red"}}),
        patch("json", deployment(), [{"op": "add", "path": "/spec/colour", "value": "red"}], **STRICT),
        patch("strategic", deployment(), {"spec": {"colour": "red"}}, **STRICT),
        patch("strategic", deployment(), {"spec": {"colour": "red"}}),
    ],
    "unknown-update": [create(deployment()), update(deployment(), put("spec", "colour", value="red"), **STRICT)],
    "type-string": [create(deployment(replicas="1")), apply(deployment(replicas="1"))],
    "type-list": [create(deployment(template=[])), apply(deployment(template=[]))],
    "type-map": [create(deployment(selector="x")), apply(deployment(selector="x"))],
    "type-bool": [create(deployment(paused="yes")), apply(deployment(paused="yes"))],
    "type-env": [
        create(deployment(container(env=[{"name": "A", "value": 1}]))),
        apply(deployment(container(env=[{"name": "A", "value": 1}]))),
    ],
    "type-port": [create(service({"port": "80"})), apply(service({"port": "80"}))],
    "type-data": [create(configmap({"a": 1})), apply(configmap({"a": 1})), create(configmap({"a": None}))],
    "type-number": [create(deployment(replicas=1.5)), create(deployment(replicas=2**40))],
    "type-patch": [
        create(deployment()),
        patch("merge", deployment(), {"spec": {"replicas": "3"}}),
        patch("strategic", deployment(), {"spec": {"replicas": "3"}}),
        patch("json", deployment(), [{"op": "replace", "path": "/spec/replicas", "value": "3"}]),
    ],
    "kind-wrong": [
        Step("create", configmap(), of("v1", "Secret"), loose=True),
        Step("create", configmap(), of("v2", "ConfigMap"), loose=True),
    ],
    "secret-base64": [
        create(of("v1", "Secret", data={"a": "not base64!"})),
        create(of("v1", "Secret", data={"a": "YQ="})),
    ],
    "secret-base64-apply": [apply(of("v1", "Secret", data={"a": "not base64!"}))],
    # -- defaults
    "default-deployment": [create(deployment(replicas=2)), get(deployment())],
    "default-deployment-full": [create(deployment(FULL, container(name="b", image="x"), pod={"volumes": VOLUMES}))],
    "default-deployment-apply": [
        apply(deployment(FULL, pod={"volumes": VOLUMES})),
        apply(deployment(FULL, pod={"volumes": VOLUMES})),
        apply(deployment(container(image="nginx:2"))),
        get(deployment()),
    ],
    "default-recreate": [
        create(deployment(strategy={"type": "Recreate"})),
        create(of("v1", "Secret", stringData={"a": "b"})),
    ],
    "default-pod": [create(pod()), apply(pod(), force="true"), get(pod())],
    "default-pod-full": [
        create(pod(FULL, initContainers=[container(name="i")], volumes=VOLUMES, restartPolicy="Never"))
    ],
    "default-job": [create(job()), get(job())],
    "default-job-apply": [apply(job()), apply(job()), get(job())],
    "default-cronjob": [create(cronjob()), apply(cronjob(), "other"), get(cronjob())],
    "default-statefulset": [
        create(statefulset(volumeClaimTemplates=[{"metadata": {"name": "d"}, "spec": claim()["spec"]}]))
    ],
    "default-daemonset": [create(daemonset()), apply(daemonset())],
    "default-replicaset": [
        create(of("apps/v1", "ReplicaSet", spec={"selector": {"matchLabels": {"app": "web"}}, "template": template()}))
    ],
    "default-service": [create(service()), get(service())],
    "default-service-apply": [
        apply(service()),
        apply(service()),
        apply(service({"port": 80}, {"port": 443, "name": "b"})),
    ],
    "default-service-types": [
        create(service(meta={"name": "np"}, type="NodePort")),
        create(service(meta={"name": "lb"}, type="LoadBalancer")),
        create(service(meta={"name": "en"}, type="ExternalName", externalName="a.example")),
        create(service(meta={"name": "hl"}, clusterIP="None")),
        create(service(meta={"name": "ci"}, sessionAffinity="ClientIP")),
        create(service({"port": 80, "targetPort": "http", "protocol": "UDP", "name": "a"}, meta={"name": "tp"})),
    ],
    "default-ingress": [create(ingress()), apply(ingress())],
    "default-claim": [create(claim()), apply(claim(), "other"), get(claim())],
    "default-volume": [
        create(
            of(
                "v1",
                "PersistentVolume",
                spec={"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}},
            )
        )
    ],
    "default-networkpolicy": [
        create(
            of(
                "networking.k8s.io/v1",
                "NetworkPolicy",
                spec={"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]},
            )
        ),
        create(of("networking.k8s.io/v1", "NetworkPolicy", "b", spec={"podSelector": {}, "egress": [{}]})),
    ],
    "default-hpa": [
        create(
            of(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                spec={"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}, "maxReplicas": 3},
            )
        ),
        create(
            of(
                "autoscaling/v1",
                "HorizontalPodAutoscaler",
                "b",
                spec={"scaleTargetRef": {"kind": "Deployment", "name": "a"}, "maxReplicas": 3},
            )
        ),
    ],
    "default-pdb": [
        create(
            of(
                "policy/v1",
                "PodDisruptionBudget",
                spec={"minAvailable": "50%", "selector": {"matchLabels": {"a": "b"}}},
            )
        )
    ],
    "default-rbac": [
        create(
            of(
                "rbac.authorization.k8s.io/v1",
                "Role",
                rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
            )
        ),
        create(
            of(
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
                roleRef={"kind": "Role", "name": "app"},
                subjects=[{"kind": "ServiceAccount", "name": "x", "namespace": "y"}, {"kind": "User", "name": "u"}],
            )
        ),
        create(of("rbac.authorization.k8s.io/v1", "ClusterRole", rules=[])),
        create(
            of(
                "rbac.authorization.k8s.io/v1",
                "ClusterRoleBinding",
                roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            )
        ),
    ],
    "default-others": [
        create(of("v1", "ServiceAccount")),
        create(of("v1", "Namespace")),
        create(
            of(
                "v1",
                "LimitRange",
                spec={"limits": [{"type": "Container", "default": {"cpu": "1"}, "max": {"cpu": "2"}}]},
            )
        ),
        create(of("v1", "ResourceQuota", spec={"hard": {"pods": "5"}})),
        create(of("v1", "Endpoints", subsets=[{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}])),
        create(of("storage.k8s.io/v1", "StorageClass", provisioner="x.example/y")),
        create(of("scheduling.k8s.io/v1", "PriorityClass", value=1)),
        create(of("networking.k8s.io/v1", "IngressClass", spec={"controller": "x.example/y"})),
        create(of("coordination.k8s.io/v1", "Lease", spec={"holderIdentity": "a", "leaseDurationSeconds": 15})),
        create(
            of(
                "discovery.k8s.io/v1",
                "EndpointSlice",
                addressType="IPv4",
                endpoints=[{"addresses": ["10.0.0.1"]}],
                ports=[{"port": 80}],
            )
        ),
    ],
    "default-webhooks": [
        create(
            of(
                "admissionregistration.k8s.io/v1",
                "ValidatingWebhookConfiguration",
                webhooks=[
                    {
                        "name": "a.example.com",
                        "clientConfig": {"url": "https://x.example/"},
                        "sideEffects": "None",
                        "admissionReviewVersions": ["v1"],
                        "rules": [
                            {
                                "apiGroups": [""],
                                "apiVersions": ["v1"],
                                "operations": ["CREATE"],
                                "resources": ["podtemplates"],
                            }
                        ],
                        "failurePolicy": "Ignore",
                    }
                ],
            )
        ),
    ],
    "quantities": [
        create(claim(resources={"requests": {"storage": "1024Mi"}})),
        create(of("v1", "ResourceQuota", spec={"hard": {"cpu": "0.1", "memory": "1.5Gi", "pods": 5}})),
        create(of("v1", "ResourceQuota", "b", spec={"hard": {"cpu": "abc"}})),
        create(deployment(container(resources={"limits": {"cpu": 1, "memory": "1e3"}}))),
        apply(of("v1", "ResourceQuota", "c", spec={"hard": {"cpu": "1000m", "memory": "1024Mi"}})),
        apply(of("v1", "ResourceQuota", "c", spec={"hard": {"cpu": "1000m", "memory": "1024Mi"}})),
        apply(of("v1", "ResourceQuota", "d", spec={"hard": {"cpu": "abc"}})),
        create(
            deployment(container(resources={"limits": {"cpu": "100"}, "requests": {"cpu": "200"}}), meta={"name": "b"})
        ),
        create(deployment(container(resources={"limits": {"cpu": "-1"}}), meta={"name": "c"})),
        create(deployment(container(resources={"limits": {"colour": "1"}}), meta={"name": "d"})),
        create(claim(resources={"requests": {"storage": "0"}})),
    ],
    # -- required and invalid
    "deployment-no-selector": [create(of("apps/v1", "Deployment", spec={"template": template()}))],
    "deployment-no-template": [create(of("apps/v1", "Deployment", spec={"selector": {"matchLabels": {"app": "web"}}}))],
    "deployment-empty": [create(of("apps/v1", "Deployment", spec={})), create(of("apps/v1", "Deployment"))],
    "deployment-empty-selector": [create(deployment(selector={}))],
    "deployment-selector-mismatch": [create(deployment(selector={"matchLabels": {"app": "other"}}))],
    "deployment-no-containers": [
        create(deployment(template={"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}))
    ],
    "deployment-no-image": [create(deployment({"name": "a"})), create(deployment({"name": "a", "image": " x "}))],
    "deployment-no-name": [create(deployment({"image": "a"}))],
    "deployment-bad-name": [create(deployment({"name": "A_b", "image": "a"}))],
    "deployment-same-name": [create(deployment(container(), container())), apply(deployment(container(), container()))],
    "deployment-replicas": [
        create(deployment(replicas=-1)),
        create(deployment(minReadySeconds=-1)),
        create(deployment(revisionHistoryLimit=-1)),
        create(deployment(progressDeadlineSeconds=0)),
    ],
    "deployment-strategy": [
        create(deployment(strategy={"type": "Blue"})),
        create(deployment(strategy={"type": "Recreate", "rollingUpdate": {}})),
        create(deployment(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}})),
        create(deployment(strategy={"rollingUpdate": {"maxSurge": "x"}})),
        create(deployment(strategy={"rollingUpdate": {"maxUnavailable": "101%"}})),
    ],
    "deployment-restart": [
        create(deployment(pod={"restartPolicy": "Never"})),
        create(deployment(pod={"restartPolicy": "Maybe"})),
        create(deployment(pod={"activeDeadlineSeconds": 5})),
    ],
    "deployment-immutable": [
        create(deployment()),
        update(deployment(), put("spec", "selector", value={"matchLabels": {"app": "other"}})),
        patch(
            "merge",
            deployment(),
            {"spec": {"selector": {"matchLabels": {"b": "c"}}, "template": {"metadata": {"labels": {"b": "c"}}}}},
        ),
        apply(deployment(selector={"matchLabels": {"app": "x"}}, template=template(labels={"app": "x"})), force="true"),
    ],
    "container-fields": [
        create(deployment(container(imagePullPolicy="Sometimes"))),
        create(deployment(container(terminationMessagePolicy="x"))),
        create(deployment(container(ports=[{"containerPort": 0}]))),
        create(
            deployment(
                container(ports=[{"containerPort": 70000, "name": "Not_a_port"}, {"containerPort": 1, "protocol": "X"}])
            )
        ),
        create(deployment(container(ports=[{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]))),
        create(deployment(container(env=[{"name": ""}, {"name": "a=b"}]))),
        create(
            deployment(
                container(env=[{"name": "a", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])
            )
        ),
        create(deployment(container(env=[{"name": "a", "valueFrom": {}}]))),
        create(deployment(container(env=[{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]))),
        create(deployment(container(env=[{"name": "a", "valueFrom": {"configMapKeyRef": {"name": "", "key": ""}}}]))),
        create(deployment(container(envFrom=[{"configMapRef": {"name": "Bad_"}}]))),
        create(deployment(container(volumeMounts=[{"name": "no", "mountPath": "/x"}]))),
        create(deployment(container(volumeMounts=[{"name": "v", "mountPath": ""}]), pod={"volumes": VOLUMES})),
        create(
            deployment(
                container(volumeMounts=[{"name": "v", "mountPath": "/a"}, {"name": "c", "mountPath": "/a"}]),
                pod={"volumes": VOLUMES},
            )
        ),
        create(
            deployment(
                container(volumeMounts=[{"name": "v", "mountPath": "/a", "subPath": "../b"}]), pod={"volumes": VOLUMES}
            )
        ),
        create(deployment(container(livenessProbe={}))),
        create(deployment(container(livenessProbe={"httpGet": {"port": 0}}))),
        create(deployment(container(livenessProbe={"httpGet": {"port": 80}, "exec": {"command": ["x"]}}))),
        create(deployment(container(livenessProbe={"httpGet": {"port": 80}, "periodSeconds": -1}))),
        create(deployment(container(livenessProbe={"httpGet": {"port": 80}, "successThreshold": 2}))),
        create(deployment(container(livenessProbe={"exec": {}}))),
        create(deployment(container(lifecycle={"preStop": {}}))),
        create(deployment(container(securityContext={"privileged": True, "allowPrivilegeEscalation": False}))),
        create(deployment(container(securityContext={"runAsUser": -1}))),
        create(deployment(container(workingDir=""))),
    ],
    "pod-fields": [
        create(deployment(pod={"dnsPolicy": "x"})),
        create(deployment(pod={"terminationGracePeriodSeconds": -1})),
        create(deployment(pod={"serviceAccountName": "Bad_"})),
        create(deployment(pod={"nodeSelector": {"a b": "c"}})),
        create(deployment(pod={"imagePullSecrets": [{"name": ""}]}, meta={"name": "pulls"})),
        create(
            deployment(pod={"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}, {"operator": "Equal"}]})
        ),
        create(deployment(pod={"hostNetwork": True})),
        create(deployment(pod={"volumes": [{"name": "a"}, {"name": "a"}]})),
        create(deployment(pod={"volumes": [{"name": "A_"}]})),
        create(deployment(pod={"volumes": [{"name": "a", "emptyDir": {}, "configMap": {"name": "x"}}]})),
        create(
            deployment(
                pod={
                    "volumes": [
                        {"name": "a", "configMap": {}},
                        {"name": "b", "secret": {}},
                        {"name": "c", "persistentVolumeClaim": {"claimName": ""}},
                        {"name": "d", "hostPath": {"path": ""}},
                    ]
                }
            )
        ),
        create(
            deployment(
                pod={
                    "volumes": [
                        {
                            "name": "a",
                            "configMap": {"name": "x", "defaultMode": 1000, "items": [{"key": "", "path": "/x"}]},
                        }
                    ]
                }
            )
        ),
        create(
            deployment(pod={"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "x"}]})
        ),
        create(
            deployment(
                pod={
                    "affinity": {
                        "podAntiAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": [
                                {"labelSelector": {"matchLabels": {"a": "b"}}}
                            ]
                        }
                    }
                }
            )
        ),
        create(deployment(pod={"securityContext": {"runAsUser": -5, "fsGroup": -1}})),
        create(deployment(pod={"initContainers": [container(), {"name": "b"}]})),
        create(deployment(pod={"hostAliases": [{"ip": "x", "hostnames": ["A_"]}]})),
        create(deployment(pod={"priorityClassName": "Bad_"})),
    ],
    "pod-immutable": [
        create(pod()),
        update(pod(), put("spec", "containers", 0, "image", value="nginx:2")),
        update(pod(), put("spec", "containers", 0, "name", value="other")),
        update(pod(), put("spec", "restartPolicy", value="Never")),
        update(pod(), put("spec", "containers", 0, "env", value=[{"name": "A", "value": "b"}])),
        apply(pod(container(command=["x"])), force="true"),
    ],
    "pod-priority": [create(pod(priorityClassName="nope")), create(pod(serviceAccountName="nope"))],
    "service-invalid": [
        create(of("v1", "Service", spec={"selector": {"a": "b"}})),
        create(service({"port": 0})),
        create(service({"port": 70000})),
        create(service({"port": 80}, {"port": 81})),
        create(service({"port": 80, "name": "a"}, {"port": 81, "name": "a"})),
        create(service({"port": 80, "name": "a"}, {"port": 80, "name": "b"})),
        create(service({"port": 80, "name": "A_"})),
        create(service({"port": 80, "protocol": "HTTP"})),
        create(service({"port": 80, "targetPort": "Not_ok"})),
        create(service({"port": 80, "targetPort": 0})),
        create(service({"port": 80, "targetPort": 70000})),
        create(service(type="Cluster")),
        create(service(type="ExternalName")),
        create(service(type="ExternalName", externalName="A_b")),
        create(service(clusterIP="1.2.3")),
        create(service(sessionAffinity="x")),
        create(service({"port": 80, "nodePort": 30001})),
        create(service({"port": 80, "nodePort": 1}, type="NodePort")),
        create(service(externalTrafficPolicy="Local")),
        create(service(selector={"a b": "c"})),
        create(service(externalIPs=["x"])),
        create(service(loadBalancerSourceRanges=["1.2.3.4/33"], type="LoadBalancer")),
        create(service(clusterIP="None", type="NodePort")),
        create(service({"port": 80, "appProtocol": "a b"})),
        create(service(ipFamilies=["IPv5"])),
        create(service(internalTrafficPolicy="x")),
    ],
    "service-immutable": [
        create(service()),
        update(service(), put("spec", "clusterIP", value="10.96.99.99")),
        update(service(), put("spec", "clusterIP", value="")),
        patch("merge", service(), {"spec": {"clusterIP": "None"}}),
        apply(service(clusterIP="None"), force="true"),
        patch("merge", service(), {"spec": {"type": "NodePort"}}),
        patch("merge", service(), {"spec": {"type": "ClusterIP"}}),
        patch("merge", service(), {"spec": {"type": "ExternalName", "externalName": "a.example"}}),
        get(service()),
    ],
    "configmap-immutable": [
        create(configmap(immutable=True)),
        patch("merge", configmap(), {"data": {"key": "other"}}),
        patch("merge", configmap(), {"immutable": False}),
        patch("merge", configmap(), {"metadata": {"labels": {"a": "b"}}}),
        apply(configmap({"b": "c"}), force="true"),
    ],
    "configmap-keys": [
        create(configmap({"a b": "c", "..": "x", "": "y"})),
        create(configmap({"a": "b"}, binaryData={"a": "YQ=="})),
        create(configmap({"a": "x" * 1048577})),
    ],
    "secret": [
        create(of("v1", "Secret", immutable=True, stringData={"a": "b"})),
        patch("merge", of("v1", "Secret"), {"data": {"a": "Yw=="}}),
        patch("merge", of("v1", "Secret"), {"type": "other"}),
        create(of("v1", "Secret", "b", type="kubernetes.io/tls", data={})),
        create(of("v1", "Secret", "b", type="kubernetes.io/dockerconfigjson", data={})),
        create(of("v1", "Secret", "b", type="kubernetes.io/dockerconfigjson", stringData={".dockerconfigjson": "x"})),
        create(of("v1", "Secret", "b", type="kubernetes.io/basic-auth", data={})),
        create(of("v1", "Secret", "b", type="kubernetes.io/ssh-auth", data={})),
        create(of("v1", "Secret", "b", type="kubernetes.io/service-account-token", data={})),
        create(of("v1", "Secret", "b", data={"a b": "YQ=="})),
        create(of("v1", "Secret", "c")),
        patch("merge", of("v1", "Secret", "c"), {"type": "other"}),
        apply(of("v1", "Secret", "d", stringData={"a": "b"})),
        apply(of("v1", "Secret", "d", stringData={"a": "c"}, data={"b": "YQ=="})),
        apply(of("v1", "Secret", "d", data={"b": "YQ=="})),
        get(of("v1", "Secret", "d")),
    ],
    "job-invalid": [
        create(of("batch/v1", "Job", spec={"template": template()})),
        create(of("batch/v1", "Job", spec={"template": template(restartPolicy="Always")})),
        create(of("batch/v1", "Job", spec={})),
        create(job(completions=-1)),
        create(job(parallelism=-1, backoffLimit=-1, activeDeadlineSeconds=-1, ttlSecondsAfterFinished=-1)),
        create(job(completionMode="Indexed")),
        create(job(completionMode="x")),
        create(job(selector={"matchLabels": {"a": "b"}})),
        create(job(podReplacementPolicy="x")),
    ],
    "job-immutable": [
        create(job()),
        patch("merge", job(), {"spec": {"template": {"spec": {"containers": [container(image="x")]}}}}),
        patch("merge", job(), {"spec": {"completions": 5}}),
        patch("merge", job(), {"spec": {"parallelism": 5}}),
        patch("merge", job(), {"spec": {"suspend": True}}),
        apply(job(template={"spec": {"restartPolicy": "Never", "containers": [container(image="b")]}}), force="true"),
    ],
    "cronjob-invalid": [
        create(cronjob(schedule="every day")),
        create(cronjob(schedule="")),
        create(cronjob(concurrencyPolicy="x")),
        create(cronjob(timeZone="Nowhere/Land")),
        create(cronjob(startingDeadlineSeconds=-1, successfulJobsHistoryLimit=-1, failedJobsHistoryLimit=-1)),
        create(of("batch/v1", "CronJob", "a" * 60, spec=cronjob()["spec"])),
        create(cronjob(jobTemplate={"spec": {"template": template()}})),
    ],
    "statefulset-immutable": [
        create(statefulset()),
        patch("merge", statefulset(), {"spec": {"serviceName": "other"}}),
        patch("merge", statefulset(), {"spec": {"selector": {"matchLabels": {"b": "c"}}}}),
        patch("merge", statefulset(), {"spec": {"replicas": 3}}),
        patch(
            "merge",
            statefulset(),
            {"spec": {"volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": claim()["spec"]}]}},
        ),
        patch("merge", statefulset(), {"spec": {"podManagementPolicy": "Parallel"}}),
    ],
    "statefulset-invalid": [
        create(statefulset(podManagementPolicy="x")),
        create(statefulset(updateStrategy={"type": "x"})),
        create(statefulset(replicas=-1)),
        create(statefulset(serviceName="")),
        create(statefulset(updateStrategy={"rollingUpdate": {"partition": -1}})),
    ],
    "daemonset-invalid": [
        create(daemonset(selector={"matchLabels": {"a": "b"}})),
        create(daemonset(updateStrategy={"type": "x"})),
        create(daemonset(updateStrategy={"rollingUpdate": {"maxUnavailable": 0}})),
        create(daemonset()),
        patch(
            "merge",
            daemonset(),
            {"spec": {"selector": {"matchLabels": {"b": "c"}}, "template": {"metadata": {"labels": {"b": "c"}}}}},
        ),
    ],
    "replicaset-invalid": [
        create(of("apps/v1", "ReplicaSet", spec={"selector": {"matchLabels": {"app": "x"}}, "template": template()})),
        create(of("apps/v1", "ReplicaSet", spec={"replicas": -1, "selector": {}, "template": template()})),
    ],
    "claim-invalid": [
        create(claim(accessModes=[])),
        create(claim(accessModes=["x"])),
        create(claim(resources={})),
        create(claim(storageClassName="Bad_")),
        create(claim(volumeMode="x")),
        create(claim(accessModes=["ReadWriteOncePod", "ReadOnlyMany"])),
    ],
    "claim-immutable": [
        create(claim()),
        patch("merge", claim(), {"spec": {"accessModes": ["ReadWriteMany"]}}),
        patch("merge", claim(), {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}),
        patch("merge", claim(), {"spec": {"volumeName": "x"}}),
    ],
    "ingress-invalid": [
        create(of("networking.k8s.io/v1", "Ingress", spec={})),
        create(ingress(rules=[{"host": "A_"}])),
        create(ingress(rules=[{"host": "*.a.example"}, {"host": "1.2.3.4"}])),
        create(ingress(rules=[{"http": {"paths": [{"backend": {"service": {"name": "a", "port": {"number": 1}}}}]}}])),
        create(
            ingress(
                rules=[
                    {
                        "http": {
                            "paths": [
                                {
                                    "path": "x",
                                    "pathType": "Prefix",
                                    "backend": {"service": {"name": "a", "port": {"number": 1}}},
                                }
                            ]
                        }
                    }
                ]
            )
        ),
        create(
            ingress(
                rules=[
                    {
                        "http": {
                            "paths": [
                                {"path": "/", "pathType": "Glob", "backend": {"service": {"name": "a", "port": {}}}}
                            ]
                        }
                    }
                ]
            )
        ),
        create(
            ingress(
                rules=[
                    {
                        "http": {
                            "paths": [
                                {
                                    "path": "/",
                                    "pathType": "Exact",
                                    "backend": {"service": {"name": "", "port": {"name": "http", "number": 1}}},
                                }
                            ]
                        }
                    }
                ]
            )
        ),
        create(ingress(rules=[{"http": {"paths": []}}])),
        create(ingress(tls=[{"hosts": ["A_"]}])),
        create(ingress(defaultBackend={})),
        create(ingress(ingressClassName="Bad_")),
    ],
    "rbac-invalid": [
        create(
            of(
                "rbac.authorization.k8s.io/v1",
                "Role",
                rules=[{"apiGroups": [""], "resources": ["pods"]}, {"verbs": ["get"]}],
            )
        ),
        create(of("rbac.authorization.k8s.io/v1", "Role", rules=[{"nonResourceURLs": ["/x"], "verbs": ["get"]}])),
        create(of("rbac.authorization.k8s.io/v1", "RoleBinding", roleRef={"kind": "Role", "name": ""})),
        create(
            of("rbac.authorization.k8s.io/v1", "RoleBinding", roleRef={"kind": "Foo", "name": "a", "apiGroup": "x"})
        ),
        create(
            of(
                "rbac.authorization.k8s.io/v1",
                "RoleBinding",
                roleRef={"kind": "Role", "name": "a"},
                subjects=[{"kind": "ServiceAccount", "name": "x"}, {"kind": "Foo", "name": ""}],
            )
        ),
        create(
            of("rbac.authorization.k8s.io/v1", "RoleBinding", "ok", roleRef={"kind": "ClusterRole", "name": "view"})
        ),
        patch("merge", of("rbac.authorization.k8s.io/v1", "RoleBinding", "ok"), {"roleRef": {"name": "edit"}}),
    ],
    "networkpolicy-invalid": [
        create(
            of(
                "networking.k8s.io/v1",
                "NetworkPolicy",
                spec={
                    "podSelector": {"matchLabels": {"a b": "c"}},
                    "policyTypes": ["x"],
                    "ingress": [
                        {"from": [{}], "ports": [{"port": 0}, {"protocol": "X"}]},
                        {"from": [{"ipBlock": {"cidr": "x"}}]},
                    ],
                },
            )
        )
    ],
    "hpa-invalid": [
        create(
            of(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                spec={"scaleTargetRef": {"kind": "", "name": ""}, "maxReplicas": 0, "minReplicas": 5},
            )
        )
    ],
    "pdb-invalid": [
        create(of("policy/v1", "PodDisruptionBudget", spec={"minAvailable": 1, "maxUnavailable": 1})),
        create(of("policy/v1", "PodDisruptionBudget", spec={"minAvailable": "x"})),
        create(of("policy/v1", "PodDisruptionBudget", spec={"minAvailable": -1})),
    ],
    "hpa-metrics": [
        create(hpa(metrics=[{"type": ""}])),
        create(hpa(metrics=[{"type": "Resource"}])),
        create(hpa(metrics=[{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}])),
        create(
            hpa(metrics=[{"type": "Resource", "resource": {"name": "", "target": {"type": "x", "averageValue": "0"}}}])
        ),
        create(hpa(metrics=[{"type": "Pods", "pods": {"metric": {"name": ""}, "target": {"type": "AverageValue"}}}])),
        create(hpa(metrics=[{"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value"}}}])),
        create(
            hpa(
                behavior={
                    "scaleUp": {"policies": [{"type": "x", "value": 0, "periodSeconds": 4000}], "selectPolicy": "x"}
                }
            )
        ),
        create(hpa(behavior={"scaleDown": {"stabilizationWindowSeconds": 5000}})),
        create(hpa(minReplicas=0)),
        create(hpa(maxReplicas=-1)),
        create(
            hpa(
                metrics=[
                    {
                        "type": "Resource",
                        "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1000Mi"}},
                    }
                ]
            )
        ),
        get(hpa()),
    ],
    "webhooks-invalid": [
        create(hooks()),
        create(hooks(name="short")),
        create(hooks(name="")),
        create(hooks(sideEffects=None)),
        create(hooks(sideEffects="Some", failurePolicy="x", matchPolicy="y", timeoutSeconds=31)),
        create(hooks(admissionReviewVersions=[])),
        create(hooks(admissionReviewVersions=["v2", "v2"])),
        create(hooks(rules=[{}])),
        create(
            hooks(
                rules=[
                    {
                        "apiGroups": ["*", "a"],
                        "apiVersions": ["v1"],
                        "operations": ["LOOK"],
                        "resources": ["a", "*"],
                        "scope": "x",
                    }
                ]
            )
        ),
        create(hooks(clientConfig={})),
        create(hooks(clientConfig={"url": "http://x?y#z"})),
        create(hooks(clientConfig={"service": {"name": "", "namespace": "", "port": 0, "path": "x"}})),
        create(hooks(namespaceSelector={"matchLabels": {"a b": "c"}})),
    ],
    "endpointslice-invalid": [
        create(of("discovery.k8s.io/v1", "EndpointSlice", addressType="", endpoints=[])),
        create(
            of(
                "discovery.k8s.io/v1",
                "EndpointSlice",
                addressType="IPv4",
                endpoints=[{"addresses": []}, {"addresses": ["::1", "x"]}],
                ports=[{"name": "A_", "protocol": "X"}, {"name": "A_"}],
            )
        ),
    ],
    "limits-invalid": [
        create(
            of(
                "v1",
                "LimitRange",
                spec={
                    "limits": [
                        {
                            "type": "Container",
                            "min": {"cpu": "3"},
                            "max": {"cpu": "2"},
                            "default": {"cpu": "4"},
                            "defaultRequest": {"cpu": "5"},
                        }
                    ]
                },
            )
        ),
        create(
            of(
                "v1",
                "LimitRange",
                spec={"limits": [{"type": "Pod", "default": {"cpu": "4"}}, {"type": "Pod"}, {"type": "x"}]},
            )
        ),
        create(of("v1", "LimitRange", spec={"limits": [{"type": "PersistentVolumeClaim"}]})),
        create(of("v1", "LimitRange", spec={"limits": [{"type": "Container", "max": {"colour": "1"}}]})),
        create(of("v1", "ResourceQuota", spec={"hard": {"colour": "1", "pods": "-1"}})),
    ],
    "namespace-invalid": [create(of("v1", "Namespace", "A_")), create(of("v1", "ServiceAccount", "A_"))],
    "storageclass": [
        create(of("storage.k8s.io/v1", "StorageClass", provisioner="")),
        create(of("storage.k8s.io/v1", "StorageClass", provisioner="a/b", reclaimPolicy="x", volumeBindingMode="y")),
        create(of("storage.k8s.io/v1", "StorageClass", "im", provisioner="a/b")),
        patch("merge", of("storage.k8s.io/v1", "StorageClass", "im"), {"provisioner": "c/d"}),
    ],
    "selectors": [
        create(
            deployment(
                selector={
                    "matchLabels": {"app": "web"},
                    "matchExpressions": [
                        {"key": "a", "operator": "In"},
                        {"key": "app", "operator": "Exists", "values": ["x"]},
                        {"key": "x", "operator": "Foo"},
                    ],
                }
            )
        )
    ],
    # -- ownership
    "ssa-conflict": [
        apply(deployment(replicas=1)),
        apply(deployment(replicas=2), "other"),
        apply(deployment(replicas=2), "other", force="true"),
        apply(deployment()),
        get(deployment()),
    ],
    "ssa-service-ports": [
        apply(service({"port": 80, "name": "a"}, {"port": 81, "name": "b"})),
        apply(service({"port": 80, "name": "a"})),
        apply(service({"port": 80, "name": "a", "protocol": "TCP"}), "other"),
        apply(service({"port": 82, "name": "c"}), "other"),
        get(service()),
    ],
    "ssa-over-create": [
        create(deployment(replicas=1)),
        apply(deployment(replicas=1)),
        apply(deployment(replicas=4)),
        apply(deployment(replicas=4), force="true"),
        patch("merge", deployment(), {"spec": {"replicas": 5}}),
        patch(
            "strategic",
            deployment(),
            {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "x:1"}]}}}},
        ),
        apply(deployment(replicas=4)),
        get(deployment()),
    ],
    "ssa-dry-run": [
        apply(deployment(), dryRun="All"),
        apply(deployment()),
        apply(deployment(replicas=7), dryRun="All"),
        apply(deployment(selector={"matchLabels": {"x": "y"}}), dryRun="All"),
        get(deployment()),
    ],
    "ssa-kinds": [
        apply(ingress()),
        apply(claim()),
        apply(statefulset()),
        apply(daemonset()),
        apply(of("v1", "ServiceAccount")),
        apply(of("v1", "Namespace")),
        apply(of("rbac.authorization.k8s.io/v1", "ClusterRole", rules=[])),
        apply(of("policy/v1", "PodDisruptionBudget", spec={"minAvailable": 1})),
    ],
    "ssa-nulls": [
        apply(deployment(replicas=None)),
        apply(configmap({"a": "b"}, immutable=None)),
        apply(service(selector=None)),
    ],
    "ssa-missing-name": [
        Step("apply", configmap(), of("v1", "ConfigMap", ""), query={"fieldManager": "x"}),
        Step("apply", configmap(), {"data": {}}, query={"fieldManager": "x"}),
    ],
    "patch-json": [
        create(configmap()),
        patch("json", configmap(), [{"op": "test", "path": "/data/key", "value": "no"}]),
        patch("json", configmap(), [{"op": "remove", "path": "/data/none"}]),
        patch("json", configmap(), [{"op": "replace", "path": "/data/none", "value": "x"}]),
        patch("json", configmap(), [{"op": "add", "path": "/data/new", "value": "x"}]),
        patch("json", configmap(), [{"op": "foo", "path": "/data/new"}]),
        patch("json", configmap(), {"op": "x"}),
        patch("merge", configmap(), []),
        patch("merge", configmap(), {"data": None}),
    ],
    "patch-strategic": [
        create(deployment(FULL, container(name="b", image="x"), pod={"volumes": VOLUMES}, replicas=2)),
        patch(
            "strategic",
            deployment(),
            {"spec": {"template": {"spec": {"containers": [{"name": "b", "$patch": "delete"}]}}}},
        ),
        patch(
            "strategic",
            deployment(),
            {
                "spec": {
                    "template": {
                        "spec": {
                            "$setElementOrder/containers": [{"name": "c"}, {"name": "app"}],
                            "containers": [{"name": "c", "image": "c"}, {"name": "app", "image": "nginx:3"}],
                        }
                    }
                }
            },
        ),
        patch("strategic", deployment(), {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
        patch(
            "strategic",
            deployment(),
            {
                "spec": {
                    "template": {"spec": {"volumes": [{"name": "v", "emptyDir": None, "configMap": {"name": "z"}}]}}
                }
            },
        ),
        patch(
            "strategic",
            deployment(),
            {
                "spec": {
                    "template": {
                        "spec": {
                            "volumes": [{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "z"}}]
                        }
                    }
                }
            },
        ),
        patch(
            "strategic",
            deployment(),
            {
                "spec": {
                    "template": {
                        "spec": {
                            "containers": [
                                {
                                    "name": "app",
                                    "env": [{"name": "A", "$patch": "delete"}],
                                    "ports": [{"containerPort": 99}],
                                }
                            ]
                        }
                    }
                }
            },
        ),
        patch(
            "strategic",
            deployment(),
            {"spec": {"template": {"spec": {"containers": [{"$patch": "replace"}, {"name": "only", "image": "o"}]}}}},
        ),
        patch(
            "strategic",
            deployment(),
            {"metadata": {"labels": {"a": "b"}, "annotations": {"x": "y"}, "finalizers": ["a.b/c"]}},
        ),
        patch(
            "strategic",
            deployment(),
            {"metadata": {"labels": {"$patch": "replace", "c": "d"}, "$deleteFromPrimitiveList/finalizers": ["a.b/c"]}},
        ),
        patch("strategic", deployment(), {"spec": {"$patch": "what"}}),
        patch("strategic", deployment(), {"spec": {"template": {"spec": {"containers": [{"image": "x"}]}}}}),
        patch("strategic", deployment(), {"spec": {"replicas": None, "paused": True}}),
        get(deployment()),
        create(service({"port": 80, "name": "a"}, {"port": 81, "name": "b"})),
        patch("strategic", service(), {"spec": {"ports": [{"port": 80, "$patch": "delete"}]}}),
        patch(
            "strategic",
            service(),
            {"spec": {"ports": [{"port": 81, "targetPort": 8081}], "selector": {"app": None, "x": "y"}}},
        ),
        get(service()),
    ],
    "kubectl-apply": [
        create(deployment(meta={"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}})),
        apply(deployment(replicas=3), "kubectl"),
        apply(deployment(replicas=3), "kubectl", force="true"),
        get(deployment()),
    ],
    "statefulset-mounts": [
        create(
            statefulset(
                template=template(container(volumeMounts=[{"name": "d", "mountPath": "/d"}])),
                volumeClaimTemplates=[{"metadata": {"name": "d"}, "spec": claim()["spec"]}],
            )
        ),
        apply(
            statefulset(
                template=template(container(volumeMounts=[{"name": "d", "mountPath": "/d"}])),
                volumeClaimTemplates=[{"metadata": {"name": "d"}, "spec": claim()["spec"]}],
            )
        ),
    ],
    "custom-lists": [
        create(widget(parts=[{"name": "a"}, {"name": "b"}], tags=["x", "y"])),
        patch("merge", widget(), {"spec": {"parts": [{"name": "b", "size": 1}, {"name": "a"}]}}),
        apply(widget(parts=[{"name": "c"}], tags=["z"]), "other"),
        apply(widget(parts=[{"name": "c"}, {"size": 2}]), "other"),
        apply(widget(tags=[]), "other"),
        patch("json", widget(), [{"op": "remove", "path": "/spec/parts/0"}]),
        get(widget()),
    ],
    "custom-ratchet": [
        create(git(meta={"name": "r"}, url="https://a.example/x")),
        patch("merge", git(meta={"name": "r"}), {"spec": {"interval": "1x"}}),
        patch(
            "merge", git(meta={"name": "r"}), {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}
        ),
        patch(
            "merge",
            git(meta={"name": "r"}),
            {
                "metadata": {
                    "annotations": {"reconcile.fluxcd.io/requestedAt": None},
                    "finalizers": ["finalizers.fluxcd.io"],
                }
            },
        ),
        apply(git(meta={"name": "r"}, suspend=True), "kustomize-controller", force="true"),
        patch("merge", git(meta={"name": "r"}), {"spec": {"suspend": None}}),
        delete(git(meta={"name": "r"})),
        patch(
            "merge", git(meta={"name": "r"}), {"metadata": {"finalizers": ["finalizers.fluxcd.io", "other.example/x"]}}
        ),
        patch("merge", git(meta={"name": "r"}), {"metadata": {"finalizers": None}}),
        get(git(meta={"name": "r"})),
    ],
    "status": [
        create(deployment()),
        patch("merge", deployment(), {"status": {"replicas": 3, "observedGeneration": 1}}, "status"),
        patch("merge", deployment(), {"status": {"replicas": 9}}),
        patch("merge", deployment(), {"status": {"replicas": -1}}, "status"),
        get(deployment()),
    ],
    "scale": [
        create(deployment(replicas=2)),
        Step("get", deployment(), subresource="scale"),
        patch("merge", deployment(), {"spec": {"replicas": 5}}, "scale"),
        patch("merge", deployment(), {"spec": {"replicas": -5}}, "scale"),
        get(deployment()),
    ],
    "missing": [
        get(configmap()),
        delete(configmap()),
        patch("merge", configmap(), {}),
        create(configmap()),
        create(configmap()),
        delete(configmap()),
    ],
    "conflict": [
        create(configmap()),
        update(configmap(), put("metadata", "resourceVersion", value="1")),
        Step("update", configmap(), _with_uid, loose=True),
    ],
    # -- custom resources
    "custom-defaults": [create(widget()), apply(widget(size=4), "other"), get(widget())],
    "custom-pruning": [
        create(widget(colour="red", nested={"unknown": 1, "name": "x"})),
        create(widget(meta={"name": "b"}, colour="red"), **STRICT),
        apply(widget(meta={"name": "b"}, colour="red")),
        create(widget(meta={"name": "c"}, free={"a": {"b": 1}}), **STRICT),
    ],
    "custom-invalid": [
        create(of(WIDGET, "Widget", spec={})),
        create(of(WIDGET, "Widget")),
        create(widget(size="3")),
        create(widget(size=1.5)),
        create(widget(size=-1)),
        create(widget(size=1000)),
        create(widget(mode="Z")),
        create(widget(label="Not Ok")),
        create(widget(label="")),
        create(widget(label="a" * 30)),
        create(widget(when="yesterday")),
        create(widget(address="1.2.3")),
        create(widget(tags=["a", "a"])),
        create(widget(tags=["a", "b", "c", "d", "e"])),
        create(widget(parts=[{"name": "a"}, {"name": "a"}])),
        create(widget(parts=[{"size": 1}])),
        create(widget(limits={"a": "x", "b": 1})),
        create(widget(either={"a": 1, "b": 2})),
        create(widget(either={})),
        create(widget(port=[1])),
        create(widget(port="http"), dryRun="All"),
        create(widget(ratio=2)),
        create(widget(nested=None, mode=None, nothing=None)),
        create(widget(flag="yes", nested=[])),
        create(widget(many={"a": 1, "b": 2, "c": 3})),
        create(widget(object={"kind": "x"})),
        create(widget(object={"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": {"a": 1}}})),
        create(
            widget(
                object={
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"colour": 1, "labels": {"a b": "c"}},
                    "data": {"x": 1},
                }
            ),
            **STRICT,
        ),
        create(of(WIDGET, "Widget", "Bad_", spec={"size": 1})),
        apply(widget(size="3")),
        apply(widget(tags=["a", "a"])),
        apply(widget(parts=[{"name": "a"}, {"name": "a"}])),
        apply(widget(parts=[{"size": 1}])),
    ],
    "custom-rules": [
        create(widget(size=9)),
        create(widget(size=3, name="fixed")),
        update(widget(), put("spec", "name", value="other")),
        update(widget(), put("spec", "size", value=1)),
        update(widget(), drop("spec", "name")),
        create(widget(meta={"name": "toolongname"})),
        create(widget(meta={"name": "b"}, parts=[{"name": "a", "size": 10}])),
        create(widget(meta={"name": "c"}, parts=[{"name": "b", "size": 500}])),
    ],
    "custom-ssa": [
        apply(widget(parts=[{"name": "a", "size": 1}, {"name": "b", "size": 2}], tags=["x"], limits={"a": "1"})),
        apply(widget(parts=[{"name": "b", "size": 3}], tags=["y"]), "other"),
        apply(widget(parts=[{"name": "b", "size": 3}], tags=["y"]), "other", force="true"),
        apply(widget(parts=[{"name": "a", "size": 1}], tags=["x"])),
        patch("merge", widget(), {"spec": {"limits": {"b": "2"}}}),
        patch("strategic", widget(), {"spec": {"size": 1}}),
        get(widget()),
    ],
    "custom-status": [
        create({**widget(), "status": {"phase": "Set"}}),
        patch("merge", widget(), {"status": {"phase": "Ready", "count": 3}}, "status"),
        patch("merge", widget(), {"status": {"phase": 5}}, "status"),
        patch("merge", widget(), {"status": {"phase": "Nope"}}, "status"),
        patch("merge", widget(), {"status": {"unknown": 1}}, "status", **STRICT),
        apply({**of(WIDGET, "Widget"), "status": {"phase": "Set"}}, "ctl", "status", force="true"),
        patch("merge", widget(), {"status": {"phase": "Lost"}, "spec": {"size": 4}}),
        patch("merge", widget(), {"spec": {"size": 5}, "metadata": {"labels": {"a": "b"}}}, "status"),
        get(widget()),
    ],
    "custom-versions": [
        create(of("example.com/v1alpha1", "Widget", spec={"size": 2, "old": "x"})),
        get(widget()),
        get(of("example.com/v1alpha1", "Widget")),
    ],
    "custom-update": [
        create(widget()),
        Step("update", widget(), widget(size=2)),
        update(widget(), put("spec", "size", value=2)),
        update(widget(), put("spec", "size", value="x")),
        update(widget(), put("metadata", "resourceVersion", value="1")),
        patch("json", widget(), [{"op": "replace", "path": "/spec/size", "value": "x"}]),
        patch("json", widget(), [{"op": "add", "path": "/spec/colour", "value": "x"}], **STRICT),
        patch("merge", widget(), {"spec": None}),
    ],
    "custom-cluster": [
        create(of(WIDGET, "ClusterWidget", spec={"a": 1, "b": {"c": None}})),
        create(of(WIDGET, "ClusterWidget", "b", spec={"a": "x"})),
        get(of(WIDGET, "ClusterWidget")),
    ],
    "flux-git": [
        create(git()),
        create(git(meta={"name": "b"}, interval="1x", url="ftp://x")),
        create(of("source.toolkit.fluxcd.io/v1", "GitRepository", "c", spec={})),
        create(git(meta={"name": "d"}, ref={"branch": "main", "colour": 1}, timeout="60"), **STRICT),
        create(git(meta={"name": "e"}, verify={"mode": "x"})),
        create(git(meta={"name": "f"}, provider="gcp")),
        create(git(meta={"name": "g"}, serviceAccountName="x")),
        apply(git(meta={"name": "h"}, ref={"branch": "main"}, secretRef={"name": "x"})),
        patch(
            "merge",
            git(),
            {
                "status": {
                    "observedGeneration": 1,
                    "conditions": [
                        {
                            "type": "Ready",
                            "status": "True",
                            "reason": "OK",
                            "message": "",
                            "lastTransitionTime": "2026-01-01T00:00:00Z",
                        }
                    ],
                }
            },
            "status",
        ),
        patch(
            "merge",
            git(),
            {"status": {"conditions": [{"type": "Ready", "status": "Yes", "reason": "", "lastTransitionTime": "x"}]}},
            "status",
        ),
        get(git()),
    ],
    "flux-kustomization": [
        apply(kustomization(path="./x", wait=True, timeout="2m")),
        apply(kustomization(path="./y", wait=True, timeout="2m")),
        create(kustomization(meta={"name": "b"}, sourceRef={"kind": "Foo", "name": "x"}, prune="yes")),
        create(kustomization(meta={"name": "c"}, kubeConfig={})),
        create(
            kustomization(meta={"name": "d"}, kubeConfig={"secretRef": {"name": "a"}, "configMapRef": {"name": "b"}})
        ),
        create(kustomization(meta={"name": "e"}, postBuild={"substitute": {"a": 1}})),
        create(
            kustomization(
                meta={"name": "f"}, targetNamespace="", commonMetadata={"labels": {"a": "b"}}, patches=[{"patch": "x"}]
            )
        ),
        create(kustomization(meta={"name": "g"}, images=[{"newTag": "x"}], healthChecks=[{"kind": "a"}])),
        create(
            kustomization(
                meta={"name": "h"},
                dependsOn=[{"name": "x", "readyExpr": "true"}],
                healthCheckExprs=[{"apiVersion": "v1", "kind": "x", "current": "true"}],
            )
        ),
    ],
    "flux-helm": [
        create(release()),
        create(release(chart={"spec": {"chart": "x", "sourceRef": {"kind": "HelmRepository", "name": "y"}}})),
        create(
            release(meta={"name": "b"}, chart={"spec": {"chart": "x"}}, chartRef={"kind": "OCIRepository", "name": "y"})
        ),
        create(
            release(
                meta={"name": "c"},
                chartRef={"kind": "OCIRepository", "name": "y"},
                values={"a": {"b": [1, None]}},
                install={
                    "remediation": {"retries": "x"},
                    "strategy": {"name": "RetryOnFailure", "retryInterval": "1m"},
                },
            )
        ),
        create(
            release(
                meta={"name": "d"},
                chartRef={"kind": "OCIRepository", "name": "y"},
                install={"strategy": {"name": "RemediateOnFailure", "retryInterval": "1m"}},
            )
        ),
        create(
            release(
                meta={"name": "e"},
                chartRef={"kind": "OCIRepository", "name": "y"},
                releaseName="x" * 54,
                values={"a": {"b": [1, None]}},
            )
        ),
    ],
    "flux-others": [
        create(
            of("source.toolkit.fluxcd.io/v1", "Bucket", spec={"interval": "1m", "bucketName": "b", "endpoint": "e"})
        ),
        create(
            of(
                "source.toolkit.fluxcd.io/v1",
                "Bucket",
                "b",
                spec={
                    "interval": "1m",
                    "bucketName": "b",
                    "endpoint": "e",
                    "provider": "gcp",
                    "sts": {"provider": "aws", "endpoint": "https://x"},
                },
            )
        ),
        create(of("source.toolkit.fluxcd.io/v1", "HelmRepository", spec={"url": "https://x"})),
        create(of("source.toolkit.fluxcd.io/v1", "HelmRepository", "b", spec={"url": "x"})),
        create(of("source.toolkit.fluxcd.io/v1", "OCIRepository", spec={"interval": "1m", "url": "oci://x"})),
        create(
            of(
                "source.toolkit.fluxcd.io/v1",
                "HelmChart",
                spec={
                    "interval": "1m",
                    "chart": "x",
                    "sourceRef": {"kind": "GitRepository", "name": "a"},
                    "verify": {"provider": "cosign"},
                },
            )
        ),
        create(of("notification.toolkit.fluxcd.io/v1beta3", "Provider", spec={"type": "slack"})),
        create(
            of(
                "notification.toolkit.fluxcd.io/v1beta3",
                "Provider",
                "b",
                spec={"type": "slack", "commitStatusExpr": "x"},
            )
        ),
        create(
            of(
                "notification.toolkit.fluxcd.io/v1beta3",
                "Alert",
                spec={"providerRef": {"name": "x"}, "eventSources": [{"kind": "Foo", "name": ""}]},
            )
        ),
        create(of("notification.toolkit.fluxcd.io/v1", "Receiver", spec={"type": "github", "resources": []})),
        create(
            of(
                "notification.toolkit.fluxcd.io/v1",
                "Receiver",
                "b",
                spec={
                    "type": "generic-oidc",
                    "secretRef": {"name": "x"},
                    "resources": [{"kind": "GitRepository", "name": "a"}],
                },
            )
        ),
        create(of("image.toolkit.fluxcd.io/v1", "ImageRepository", spec={"image": "x", "interval": "1m"})),
        create(
            of(
                "image.toolkit.fluxcd.io/v1",
                "ImagePolicy",
                spec={"imageRepositoryRef": {"name": "x"}, "policy": {"semver": {"range": "1.x"}}, "interval": "1m"},
            )
        ),
        create(
            of(
                "image.toolkit.fluxcd.io/v1",
                "ImagePolicy",
                "b",
                spec={
                    "imageRepositoryRef": {"name": "x"},
                    "policy": {"semver": {"range": "1.x"}},
                    "digestReflectionPolicy": "Always",
                },
            )
        ),
        create(
            of(
                "image.toolkit.fluxcd.io/v1",
                "ImageUpdateAutomation",
                spec={"interval": "1m", "sourceRef": {"kind": "GitRepository", "name": "x"}},
            )
        ),
        create(
            of(
                "source.extensions.fluxcd.io/v1beta1",
                "ArtifactGenerator",
                spec={
                    "sources": [{"alias": "A", "kind": "GitRepository", "name": "x"}],
                    "artifacts": [{"name": "Bad_", "copy": [{"from": "x", "to": "y"}]}],
                },
            )
        ),
    ],
    # -- definitions
    "crd-names": [
        create(crd("as", meta={"name": "wrong.check.example.com"})),
        create(crd("as", spec={"names": {"kind": "As", "plural": "As"}})),
        create(
            crd(
                "as",
                spec={
                    "names": {"kind": "A_s", "plural": "as", "singular": "A", "shortNames": ["X_"], "listKind": "A_s"}
                },
            )
        ),
        create(crd("as", spec={"group": "nodots"}, meta={"name": "as.nodots"})),
        create(crd("as", spec={"scope": "Everywhere"})),
        create(of("apiextensions.k8s.io/v1", "CustomResourceDefinition", "as.check.example.com", spec={})),
    ],
    "crd-versions": [
        create(crd("bs", version={"storage": False})),
        create(crd("bs", version={"name": "V_1"})),
        create(crd("bs", version={"schema": {}})),
        create(crd("bs", version={"deprecationWarning": "x"})),
        create(crd("bs", spec={"versions": []})),
        create(crd("bs", version={"colour": "red"}), **STRICT),
        create(crd("bs", version={"additionalPrinterColumns": [{"name": "", "type": "x", "jsonPath": ""}]})),
        create(crd("bs", version={"subresources": {"scale": {"specReplicasPath": ".x", "statusReplicasPath": ""}}})),
        create(crd("bs", version={"selectableFields": [{"jsonPath": ".spec.none"}, {"jsonPath": ".spec"}]})),
        create(crd("bs", spec={"preserveUnknownFields": True})),
        create(crd("bs", spec={"conversion": {"strategy": "Webhook"}})),
    ],
    "crd-structural": [
        create(crd("cs", {"properties": {"spec": {"type": "object"}}})),
        create(crd("cs", {"type": "string"})),
        create(crd("cs", spec_schema(a={}))),
        create(crd("cs", spec_schema(a={"type": "array"}))),
        create(crd("cs", spec_schema(a={"type": "array", "items": {}}))),
        create(crd("cs", spec_schema(a={"type": "text"}))),
        create(
            crd(
                "cs",
                spec_schema(
                    a={
                        "type": "object",
                        "properties": {"b": {"type": "string"}},
                        "additionalProperties": {"type": "string"},
                    }
                ),
            )
        ),
        create(crd("cs", spec_schema(a={"type": "string", "pattern": "("})), loose=True),
        create(crd("cs", spec_schema(a={"type": "string", "anyOf": [{"type": "string"}]}))),
        create(
            crd(
                "cs",
                {
                    "type": "object",
                    "properties": {"spec": {"type": "object", "anyOf": [{"properties": {"x": {"minimum": 1}}}]}},
                },
            )
        ),
        create(
            crd(
                "cs",
                {
                    "type": "object",
                    "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}},
                },
            )
        ),
        create(crd("cs", spec_schema(a={"type": "object", "x-kubernetes-embedded-resource": True}))),
        create(crd("cs", spec_schema(a={"type": "string", "x-kubernetes-list-type": "set"}))),
        create(
            crd(
                "cs",
                spec_schema(
                    a={
                        "type": "array",
                        "items": {"type": "object", "properties": {"k": {"type": "string"}}},
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["k", "z"],
                    }
                ),
            )
        ),
        create(crd("cs", spec_schema(a={"type": "array", "uniqueItems": True, "items": {"type": "string"}}))),
        create(crd("cs", spec_schema(a={"x-kubernetes-preserve-unknown-fields": False, "type": "object"}))),
        create(crd("cs", {"type": "object", "additionalProperties": {"type": "string"}})),
    ],
    "crd-defaults": [
        create(crd("ds", spec_schema(a={"type": "string", "default": 1}))),
        create(crd("ds", spec_schema(a={"type": "object", "default": {"x": 1}}))),
        create(crd("ds", spec_schema(a={"type": "string", "enum": ["a"], "default": "b"}))),
    ],
    "crd-rules": [
        create(crd("es", spec_schema(a=rule("self.b == 1")))),
        create(crd("es", spec_schema(a=rule("")))),
        create(crd("es", spec_schema(a=rule("self.a ==="))), loose=True),
        create(crd("es", spec_schema(a=rule("self.a == 1", message=" ")))),
        create(crd("es", spec_schema(a=rule("self.a == 1", reason="Because")))),
        create(crd("es", spec_schema(a={"type": "array", "maxItems": 5, "items": rule("self.a == oldSelf.a")}))),
    ],
    "crd-changes": [
        create(crd("fs")),
        patch("merge", crd("fs"), {"spec": {"group": "other.example.com"}}),
        patch("merge", crd("fs"), {"spec": {"names": {"plural": "gs"}}}),
        Step(
            "apply",
            crd("fs", spec_schema(a={"type": "string"})),
            query={"fieldManager": "x", "force": "true"},
            loose=True,
        ),
    ],
    "crd-approval": [create(crd("gs", spec={"group": "x.k8s.io"}, meta={"name": "gs.x.k8s.io"}))],
}
