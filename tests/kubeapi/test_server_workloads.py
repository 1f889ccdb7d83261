"""Workloads become what they would be on a cluster, after a while or badly when asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kubeapi.server_kit import Api

APPS = "/apis/apps/v1/namespaces/default"
BATCH = "/apis/batch/v1/namespaces/default"
CORE = "/api/v1/namespaces/default"


def template(app: str, image: str = "app:1", annotations: dict | None = None, **spec: Any) -> dict:
    metadata: dict[str, Any] = {"labels": {"app": app}}
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": {"containers": [{"name": "main", "image": image}], **spec}}


def workload(kind: str, name: str, *, replicas: int | None = 1, pods: dict | None = None, **spec: Any) -> dict:
    body: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": pods or template(name), **spec},
    }
    if replicas is not None:
        body["spec"]["replicas"] = replicas
    return body


def job(name: str, annotations: dict | None = None, **spec: Any) -> dict:
    pods = template(name, annotations=annotations, restartPolicy="Never")
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": pods, **spec}}


def condition(manifest: dict | None, type_: str) -> dict:
    found = ((manifest or {}).get("status") or {}).get("conditions") or []
    return next((one for one in found if one["type"] == type_), {})


async def pods_of(api: Api, app: str) -> list[dict]:
    return (await api.get(f"{CORE}/pods?labelSelector=app%3D{app}"))["items"]


def available(manifest: dict | None) -> bool:
    status = (manifest or {}).get("status") or {}
    wanted = ((manifest or {}).get("spec") or {}).get("replicas", 1)
    generation = ((manifest or {}).get("metadata") or {}).get("generation")
    current = status.get("observedGeneration") == generation and status.get("replicas", 0) == wanted
    return current and status.get("availableReplicas", 0) == status.get("updatedReplicas", 0) == wanted


async def test_a_deployment_becomes_available_with_pods_of_its_own(api: Api):
    await api.post(f"{APPS}/deployments", workload("Deployment", "web", replicas=2))
    web = await api.until(f"{APPS}/deployments/web", available)
    assert condition(web, "Available")["reason"] == "MinimumReplicasAvailable"
    assert condition(web, "Progressing")["reason"] == "NewReplicaSetAvailable"
    pods = await pods_of(api, "web")
    assert len(pods) == 2
    sets = (await api.get(f"{APPS}/replicasets"))["items"]
    assert [one["metadata"]["ownerReferences"][0]["uid"] for one in sets] == [web["metadata"]["uid"]]
    assert {pod["metadata"]["ownerReferences"][0]["name"] for pod in pods} == {sets[0]["metadata"]["name"]}
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}


async def test_a_new_image_rolls_out_under_a_new_revision(api: Api):
    await api.post(f"{APPS}/deployments", workload("Deployment", "web"))
    await api.until(f"{APPS}/deployments/web", available)
    change = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}}
    await api.patch(f"{APPS}/deployments/web", change, "strategic")
    web = await api.until(f"{APPS}/deployments/web", available)
    assert web["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    await api.until(f"{CORE}/pods?labelSelector=app%3Dweb", lambda found: len(found["items"]) == 1)
    assert [pod["spec"]["containers"][0]["image"] for pod in await pods_of(api, "web")] == ["app:2"]


async def test_a_deployment_whose_image_is_not_there_stays_unavailable_until_it_is(api: Api):
    bad = template("web", annotations={"kubeapi.fluvial.dev/fail": "ImagePullBackOff"})
    await api.post(f"{APPS}/deployments", workload("Deployment", "web", pods=bad, progressDeadlineSeconds=1))
    await api.until(
        f"{APPS}/deployments/web",
        lambda web: condition(web, "Progressing").get("reason") == "ProgressDeadlineExceeded",
    )
    pods = f"{CORE}/pods?labelSelector=app%3Dweb"
    found = await api.until(pods, lambda found: found["items"][0]["status"].get("containerStatuses"))
    waiting = found["items"][0]["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting == {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "app:1"'}

    fixed = {"spec": {"template": {"metadata": {"annotations": {"kubeapi.fluvial.dev/fail": None}}}}}
    await api.patch(f"{APPS}/deployments/web", fixed, "merge")
    await api.until(f"{APPS}/deployments/web", available)


async def test_an_annotation_on_the_workload_fails_its_pods(api: Api):
    broken = workload("Deployment", "web")
    broken["metadata"]["annotations"] = {"kubeapi.fluvial.dev/fail": "CrashLoopBackOff"}
    await api.post(f"{APPS}/deployments", broken)
    pods = await api.until(
        f"{CORE}/pods?labelSelector=app%3Dweb",
        lambda found: any("waiting" in str(pod["status"].get("containerStatuses")) for pod in found["items"]),
    )
    assert pods["items"][0]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    healed = {"metadata": {"annotations": {"kubeapi.fluvial.dev/fail": None}}}
    await api.patch(f"{APPS}/deployments/web", healed, "merge")
    await api.until(f"{APPS}/deployments/web", available)


async def test_a_pod_told_to_stay_pending_or_to_fail_does_so(api: Api):
    for wish in ("pending", "fail"):
        pod = {"apiVersion": "v1", "kind": "Pod", **template(wish, annotations={"tests.fluvial/stay": wish})}
        pod["metadata"]["name"] = wish
        await api.post(f"{CORE}/pods", pod)
    failed = await api.until(f"{CORE}/pods/fail", lambda pod: pod["status"]["phase"] == "Failed")
    assert failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 1
    pending = await api.get(f"{CORE}/pods/pending")
    assert pending["status"]["phase"] == "Pending"
    assert pending["spec"]["nodeName"]


async def test_a_delay_can_be_asked_for(api: Api):
    slow = workload("Deployment", "slow", pods=template("slow", annotations={"kubeapi.fluvial.dev/delay": "3600"}))
    await api.post(f"{APPS}/deployments", slow)
    await api.post(f"{APPS}/deployments", workload("Deployment", "fast"))
    await api.until(f"{APPS}/deployments/fast", available)
    assert not available(await api.get(f"{APPS}/deployments/slow"))


async def test_a_stateful_set_makes_its_pods_in_order_each_with_its_claim(api: Api):
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    body = workload("StatefulSet", "db", replicas=2, serviceName="db", volumeClaimTemplates=[claim])
    await api.post(f"{APPS}/statefulsets", body)
    await api.until(f"{APPS}/statefulsets/db", lambda db: db["status"].get("readyReplicas") == 2)
    assert sorted(pod["metadata"]["name"] for pod in await pods_of(api, "db")) == ["db-0", "db-1"]
    for name in ("data-db-0", "data-db-1"):
        bound = await api.until(f"{CORE}/persistentvolumeclaims/{name}", lambda pvc: pvc["status"]["phase"] == "Bound")
        volume = await api.get(f"/api/v1/persistentvolumes/{bound['spec']['volumeName']}")
        assert volume["spec"]["claimRef"]["name"] == name


async def test_a_daemon_set_has_a_pod_on_the_node(api: Api):
    await api.post(f"{APPS}/daemonsets", workload("DaemonSet", "agent", replicas=None))
    agent = await api.until(f"{APPS}/daemonsets/agent", lambda found: found["status"].get("numberAvailable") == 1)
    assert agent["status"]["desiredNumberScheduled"] == 1


async def test_a_job_completes(api: Api):
    await api.post(f"{BATCH}/jobs", job("once"))
    once = await api.until(f"{BATCH}/jobs/once", lambda found: condition(found, "Complete").get("status") == "True")
    assert once["status"]["succeeded"] == 1
    assert once["status"]["completionTime"]
    assert [pod["status"]["phase"] for pod in await pods_of(api, "once")] == ["Succeeded"]


@pytest.mark.parametrize("annotation", ["kubeapi.fluvial.dev/fail", "tests.fluvial/stay"])
async def test_a_job_whose_pods_fail_fails(api: Api, annotation: str):
    wish = "fail" if annotation == "tests.fluvial/stay" else "Error"
    await api.post(f"{BATCH}/jobs", job("once", {annotation: wish}, backoffLimit=0))
    once = await api.until(f"{BATCH}/jobs/once", lambda found: condition(found, "Failed").get("status") == "True")
    assert condition(once, "Failed")["reason"] == "BackoffLimitExceeded"


async def test_a_finished_job_goes_when_its_time_is_over(api: Api):
    await api.post(f"{BATCH}/jobs", job("once", ttlSecondsAfterFinished=0))
    await api.until(f"{BATCH}/jobs/once", lambda found: found is None)
    await api.until(f"{CORE}/pods?labelSelector=app%3Donce", lambda found: not found["items"])


async def test_a_suspended_cron_job_makes_no_jobs_and_is_current(api: Api):
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {"schedule": "* * * * *", "suspend": True, "jobTemplate": {"spec": job("x")["spec"]}},
    }
    made = await api.post(f"{BATCH}/cronjobs", cron)
    assert made["spec"]["suspend"] is True
    assert (await api.get(f"{BATCH}/jobs"))["items"] == []


async def test_a_claim_binds_unless_told_to_fail(api: Api):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    for name, wishes in (("good", {}), ("bad", {"kubeapi.fluvial.dev/fail": "ProvisioningFailed"})):
        metadata = {"name": name, "annotations": wishes}
        body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
        await api.post(f"{CORE}/persistentvolumeclaims", body)
    await api.until(f"{CORE}/persistentvolumeclaims/good", lambda pvc: pvc["status"]["phase"] == "Bound")
    assert (await api.get(f"{CORE}/persistentvolumeclaims/bad"))["status"]["phase"] == "Pending"


async def test_a_load_balancer_gets_an_address(api: Api):
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "edge"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    }
    made = await api.post(f"{CORE}/services", body)
    assert made["spec"]["clusterIP"].startswith("10.96.")
    assert 30000 <= made["spec"]["ports"][0]["nodePort"] < 32768
    edge = await api.until(f"{CORE}/services/edge", lambda found: found["status"].get("loadBalancer"))
    assert edge["status"]["loadBalancer"]["ingress"][0]["ip"]


async def test_no_two_services_share_an_address(api: Api):
    def service(name: str, **spec: Any) -> dict:
        metadata = {"name": name}
        return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": [{"port": 80}], **spec}}

    first = await api.post(f"{CORE}/services", service("a"))
    address = first["spec"]["clusterIP"]
    refused = await api.post(f"{CORE}/services", service("b", clusterIP=address), expect=422)
    assert "already allocated" in refused["message"]
    await api.delete(f"{CORE}/services/a")
    assert (await api.post(f"{CORE}/services", service("b", clusterIP=address)))["spec"]["clusterIP"] == address
    headless = await api.post(f"{CORE}/services", service("c", clusterIP="None"))
    assert headless["spec"]["clusterIP"] == "None"


async def test_scaling_to_nothing_takes_the_pods_away(api: Api):
    await api.post(f"{APPS}/deployments", workload("Deployment", "web", replicas=3))
    await api.until(f"{APPS}/deployments/web", available)
    scale = await api.get(f"{APPS}/deployments/web/scale")
    assert scale["spec"]["replicas"] == 3
    await api.patch(f"{APPS}/deployments/web/scale", {"spec": {"replicas": 0}}, "merge")
    await api.until(f"{CORE}/pods?labelSelector=app%3Dweb", lambda found: not found["items"])
    assert (await api.get(f"{APPS}/deployments/web"))["spec"]["replicas"] == 0


async def test_a_disruption_budget_holds_an_eviction_back(api: Api):
    await api.post(f"{APPS}/deployments", workload("Deployment", "web"))
    await api.until(f"{APPS}/deployments/web", available)
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    }
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
    await api.post(path, budget)
    await api.until(f"{path}/web", lambda found: found["status"].get("currentHealthy") == 1)
    (pod,) = await pods_of(api, "web")
    name = pod["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    refused = await api.post(f"{CORE}/pods/{name}/eviction", eviction, expect=429)
    assert "disruption budget" in refused["message"]
    await api.delete(f"{path}/web")
    await api.post(f"{CORE}/pods/{name}/eviction", eviction)
    await api.until(f"{CORE}/pods/{name}", lambda found: found is None)


async def test_what_needs_a_kubelet_says_that_there_is_none(api: Api):
    await api.post(f"{APPS}/deployments", workload("Deployment", "web"))
    await api.until(f"{APPS}/deployments/web", available)
    (pod,) = await pods_of(api, "web")
    refused = await api.get(f"{CORE}/pods/{pod['metadata']['name']}/log", expect=501)
    assert refused["reason"] == "NotImplemented"
    assert "no containers run" in refused["message"]


async def test_what_happens_to_workloads_is_told_in_events(api: Api):
    bad = template("web", annotations={"kubeapi.fluvial.dev/fail": "ImagePullBackOff"})
    await api.post(f"{APPS}/deployments", workload("Deployment", "web", pods=bad))
    await api.post(f"{BATCH}/jobs", job("once"))

    def told(found: dict) -> set[tuple[str, str]]:
        return {(one["type"], one["reason"]) for one in found["items"]}

    wanted = {("Normal", "ScalingReplicaSet"), ("Warning", "BackOff"), ("Normal", "Completed")}
    await api.until(f"{CORE}/events", lambda found: wanted <= told(found))


async def test_a_deployment_costs_a_known_number_of_writes(api: Api):
    before = api.server.cluster.store.rv
    await api.post(f"{APPS}/deployments", workload("Deployment", "web"))
    await api.until(f"{APPS}/deployments/web", available)
    # The Deployment and its revision, the set, its Event, the pod, its binding and its start, and three states each of
    # the set and of the Deployment at most.
    assert api.server.cluster.store.rv - before <= 13


async def test_a_claim_in_use_is_not_deleted_under_its_pod(api: Api):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}
    await api.post(f"{CORE}/persistentvolumeclaims", claim)
    pod = {"apiVersion": "v1", "kind": "Pod", **template("user")}
    pod["metadata"]["name"] = "user"
    pod["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    await api.post(f"{CORE}/pods", pod)
    await api.delete(f"{CORE}/persistentvolumeclaims/data")
    held = await api.get(f"{CORE}/persistentvolumeclaims/data")
    assert held["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    await api.delete(f"{CORE}/pods/user?gracePeriodSeconds=0")
    await api.until(f"{CORE}/persistentvolumeclaims/data", lambda found: found is None)


async def test_a_pod_runs_as_its_service_account(api: Api):
    pod = {"apiVersion": "v1", "kind": "Pod", **template("one")}
    pod["metadata"]["name"] = "one"
    made = await api.post(f"{CORE}/pods", pod)
    assert made["spec"]["serviceAccountName"] == "default"
    mount = made["spec"]["containers"][0]["volumeMounts"][0]
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    stranger = {"apiVersion": "v1", "kind": "Pod", **template("two", serviceAccountName="nobody")}
    stranger["metadata"]["name"] = "two"
    refused = await api.post(f"{CORE}/pods", stranger, expect=403)
    assert 'serviceaccount "nobody" not found' in refused["message"]


async def test_a_deployments_annotations_count_in_its_generation_but_not_those_of_its_controller(api: Api):
    await api.post(f"{APPS}/deployments", workload("Deployment", "web"))
    web = await api.until(f"{APPS}/deployments/web", available)
    assert web["metadata"]["generation"] == 1
    annotated = await api.patch(f"{APPS}/deployments/web", {"metadata": {"annotations": {"a": "b"}}})
    assert annotated["metadata"]["generation"] == 2
    await api.until(f"{APPS}/deployments/web", lambda found: found["status"]["observedGeneration"] == 2)


async def test_a_paused_deployment_says_so_and_rolls_out_when_resumed(api: Api):
    await api.post(f"{APPS}/deployments", workload("Deployment", "web", paused=True))
    await api.until(
        f"{APPS}/deployments/web", lambda web: condition(web, "Progressing").get("reason") == "DeploymentPaused"
    )
    assert (await api.get(f"{APPS}/replicasets"))["items"] == []
    await api.patch(f"{APPS}/deployments/web", {"spec": {"paused": False}})
    await api.until(f"{APPS}/deployments/web", available)


async def test_an_indexed_job_runs_each_index_once(api: Api):
    await api.post(f"{BATCH}/jobs", job("idx", completionMode="Indexed", completions=4, parallelism=2))
    done = await api.until(f"{BATCH}/jobs/idx", lambda found: condition(found, "Complete").get("status") == "True")
    assert done["status"]["completedIndexes"] == "0-3"
    key = "batch.kubernetes.io/job-completion-index"
    assert sorted(pod["metadata"]["annotations"][key] for pod in await pods_of(api, "idx")) == ["0", "1", "2", "3"]


async def test_templates_are_numbered_for_a_way_back(api: Api):
    await api.post(f"{APPS}/statefulsets", workload("StatefulSet", "db", serviceName="db"))
    await api.until(f"{APPS}/statefulsets/db", lambda db: db["status"].get("readyReplicas") == 1)
    for image in ("app:2", "app:1"):
        containers = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
        await api.patch(f"{APPS}/statefulsets/db", containers, "strategic")
        await api.until(
            f"{APPS}/statefulsets/db",
            lambda db: db["status"].get("updatedReplicas") == 1 and db["status"].get("readyReplicas") == 1,
        )
    found = (await api.get(f"{APPS}/controllerrevisions"))["items"]
    images = {one["revision"]: one["data"]["spec"]["template"]["spec"]["containers"][0]["image"] for one in found}
    assert images == {2: "app:2", 3: "app:1"}


async def test_deleting_a_job_without_saying_how_warns_that_its_pods_stay(api: Api):
    await api.post(f"{BATCH}/jobs", job("once"))
    await api.until(f"{BATCH}/jobs/once", lambda found: condition(found, "Complete").get("status") == "True")
    async with api.raw("DELETE", f"{BATCH}/jobs/once") as response:
        assert "child pods are preserved by default" in response.headers["Warning"]
    await api.until(f"{BATCH}/jobs/once", lambda found: found is None)
    assert len(await pods_of(api, "once")) == 1
