"""Generated ConfigMaps and Secrets carry their content in their name, so that a change of it rolls out what uses it."""

from __future__ import annotations

from shared.api.kustomize import Kustomization
from tests.kit.cluster import Cluster
from tests.kit.gitserver import Repo
from tests.kit.installation import Installation
from tests.kit.objects import ConfigMap, Deployment, Secret, deployment, files, kustomization, secret, source

BUILD = """\
resources: [web.yaml]
configMapGenerator: [{name: settings, files: [settings.ini]}]
secretGenerator: [{name: login, envs: [login.env]}]
"""


def web() -> str:
    made = deployment("web")
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["envFrom"] = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "login"}}]
    return files(made)


async def test_a_changed_file_gives_a_new_name_and_the_old_object_goes(cluster: Cluster, repo: Repo) -> None:
    first = repo.commit(
        {"kustomization.yaml": BUILD, "web.yaml": web(), "settings.ini": "colour = blue\n", "login.env": "user=ada\n"}
    )
    await cluster.have(source("app"), kustomization("app"))
    await cluster.until(Kustomization, "app", ready=True, revision=first)
    [before] = await cluster.names(ConfigMap)
    [login] = await cluster.names(Secret)
    second = repo.commit({"settings.ini": "colour = green\n"})
    await cluster.follow()
    await cluster.until(Kustomization, "app", ready=True, revision=second)
    await cluster.until_gone(ConfigMap, before)
    [after] = await cluster.names(ConfigMap)
    assert (before[:9], after[:9]) == ("settings-", "settings-")
    assert (await cluster.get(ConfigMap, after)).manifest["data"] == {"settings.ini": "colour = green\n"}
    live = await cluster.get(Deployment, "web")
    used = live.manifest["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    assert used == [{"configMapRef": {"name": after}}, {"secretRef": {"name": login}}]


async def test_no_value_of_a_secret_is_told_to_anybody(
    cluster: Cluster, repo: Repo, installation: Installation
) -> None:
    """Not when it is refused, not when it is changed, not when it can't be built."""
    fixed = secret("login", {"password": f"first-{cluster.namespace}"}) | {"immutable": True}
    repo.commit({"a.yaml": files(fixed)})
    await cluster.have(source("app"), kustomization("app", retry_interval="1h"))
    await cluster.until(Kustomization, "app", ready=True)
    head, told = "apiVersion: v1\nkind: Secret\nmetadata: {name: login}\n", []
    for number, text in enumerate(
        [
            files(secret("login", {"password": f"second-{cluster.namespace}"}) | {"immutable": True}),
            f"{head}data: {{password: '?third-{cluster.namespace}'}}\n",
            f"{head}stringData: [fourth-{cluster.namespace}]\n",
            f"{head}stringData: {{a: fifth-{cluster.namespace}}}}}\n",
        ]
    ):
        commit = repo.commit({"a.yaml": text}, message=f"number {number}")
        await cluster.follow()
        app = await cluster.until(
            Kustomization,
            "app",
            ready=False,
            holds=lambda live, commit=commit: live.status["lastAttemptedRevision"].endswith(commit),
        )
        told.append(str(app.manifest))
    told.append(str(await cluster.events("app")))
    told += [path.read_text(errors="replace") for path in installation.logs.iterdir()]
    for word in ("first", "second", "third", "fourth", "fifth"):
        assert f"{word}-{cluster.namespace}" not in "".join(told), word
