"""ArtifactGenerator: from sources to ExternalArtifacts, what wakes it, what it corrects, and what it leaves alone."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile
import time

import pytest

from shared.api import crd
from shared.api.source import ArtifactGenerator, ExternalArtifact
from shared.kube.errors import NotFound
from tests.source_controller.conftest import GROUP, condition

EXTENSIONS = "source.extensions.fluxcd.io/v1beta1"
LABEL = "source.extensions.fluxcd.io/generator"
ORIGIN = "org.opencontainers.image.revision"


class Generators:
    """The world, with words for generators and what they make."""

    def __init__(self, world, api, repo):
        self.world, self.api, self.repo, self.kube, self.namespace = world, api, repo, world.kube, world.namespace

    async def put(self, artifacts, name="parts", sources=None, annotations=None, **spec):
        sources = sources or [{"alias": "repo", "kind": "GitRepository", "name": "app"}]
        return await self.kube.apply(
            {
                "apiVersion": EXTENSIONS,
                "kind": "ArtifactGenerator",
                "metadata": {"name": name, "namespace": self.namespace, "annotations": annotations or {}},
                "spec": {"sources": sources, "artifacts": artifacts, **spec},
            },
            field_manager="test",
        )

    async def commit(self, files, **spec):
        """Commits, and waits until the GitRepository `app` has it."""
        head = self.repo.commit(files)
        await self.world.put("app", {"url": self.repo.url, **spec})
        await self.world.ask("app")
        await self.world.ready("app", head)
        return head

    async def read(self, name="parts"):
        return await self.kube.get(EXTENSIONS, "ArtifactGenerator", name, self.namespace)

    async def until(self, holds, name="parts", kind="ArtifactGenerator", within=30.0):
        deadline = time.monotonic() + within
        while True:
            try:
                version = EXTENSIONS if kind == "ArtifactGenerator" else GROUP
                obj = await self.kube.get(version, kind, name, self.namespace)
            except NotFound:
                obj = None
            if holds(obj):
                return obj
            assert time.monotonic() < deadline, f"{kind} {name} stays {obj and obj.get('status')}"
            await asyncio.sleep(0.03)

    async def ready(self, name="parts", artifacts=None):
        """The generator once it is Ready for its present spec, and, when told, has that many artifacts."""
        return await self.until(
            lambda obj: (
                condition(obj, "Ready") == "True"
                and condition(obj, "Ready", "observedGeneration") == obj["metadata"]["generation"]
                and artifacts in (None, len(obj["status"].get("inventory") or []))
            ),
            name,
        )

    async def failed(self, reason, says="", name="parts"):
        return await self.until(
            lambda obj: (
                condition(obj, "Ready") == "False"
                and condition(obj, "Ready", "reason") == reason
                and says in condition(obj, "Ready", "message")
            ),
            name,
        )

    async def shown(self, name, holds=lambda obj: True):
        """The ExternalArtifact once it has an artifact, and is as told."""
        return await self.until(
            lambda obj: obj is not None and condition(obj, "Ready") == "True" and holds(obj), name, "ExternalArtifact"
        )

    async def gone(self, name):
        await self.until(lambda obj: obj is None, name, "ExternalArtifact")

    def files(self, shown):
        """What is in the stored file of an ExternalArtifact; it matches its digest."""
        artifact = shown["status"]["artifact"]
        content = self.world.stored(shown).read_bytes()
        assert artifact["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            return {
                entry.name: archive.extractfile(entry).read().decode()
                for entry in archive.getmembers()
                if entry.isfile()
            }

    def stored(self, name):
        """The names of the stored files of an ExternalArtifact."""
        folder = self.world.storage / "externalartifact" / self.namespace / name
        return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


def artifact(name, start="@repo/**", to="@artifact/", **fields):
    return {"name": name, "copy": [{"from": start, "to": to}], **fields}


PARTS = [artifact("web", "@repo/web/**", originRevision="@repo"), artifact("api", "@repo/api/**")]


@pytest.fixture
async def there(world, api, repo):
    """A world that knows the kinds, without a controller."""
    for kind in (ArtifactGenerator, ExternalArtifact):
        await world.kube.apply(crd.definition(kind), field_manager="test")
    return Generators(world, api, repo)


@pytest.fixture
async def generators(there):
    await there.world.start()
    return there


async def test_a_source_is_split_and_only_the_part_that_changed_gets_a_revision(generators):
    first = await generators.commit({"web/index": "1", "api/main": "1", "README": "1"})
    await generators.put(PARTS)
    made = await generators.ready(artifacts=2)
    web, api = await generators.shown("web"), await generators.shown("api")
    assert generators.files(web) == {"index": "1"}
    assert generators.files(api) == {"main": "1"}
    assert web["status"]["artifact"]["revision"] == f"latest@{web['status']['artifact']['digest']}"
    assert web["status"]["artifact"]["metadata"] == {ORIGIN: f"main@sha1:{first}"}
    assert "metadata" not in api["status"]["artifact"]
    assert web["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "source-watcher",
        LABEL: made["metadata"]["uid"],
    }
    assert web["spec"]["sourceRef"] == {
        "apiVersion": EXTENSIONS,
        "kind": "ArtifactGenerator",
        "name": "parts",
        "namespace": generators.namespace,
    }
    assert condition(web, "Ready", "message") == "Artifact is ready"
    assert condition(made, "Ready", "message") == "reconciliation succeeded, generated 2 artifact(s)"
    assert made["metadata"]["finalizers"] == ["source.extensions.fluxcd.io/finalizer"]
    assert {
        (entry["name"], entry["digest"], entry["filename"]) for entry in made["status"]["inventory"]
    } == {
        (name, shown["status"]["artifact"]["digest"], shown["status"]["artifact"]["path"].rpartition("/")[2])
        for name, shown in (("web", web), ("api", api))
    }  # fmt: skip

    second = await generators.commit({"web/index": "2"})
    changed = await generators.shown(
        "web", lambda obj: obj["status"]["artifact"]["metadata"] == {ORIGIN: f"main@sha1:{second}"}
    )
    assert generators.files(changed) == {"index": "2"}
    await generators.ready()
    assert (await generators.shown("api")) == api, "the other part was not touched"


async def test_sources_are_composed_and_the_revision_may_be_one_of_theirs(generators, git):
    other = git.create("values")
    head = other.commit({"prod.yaml": "replicas: 3\n"})
    await generators.world.put("values", {"url": other.url})
    await generators.commit({"chart/Chart.yaml": "name: app\n", "chart/values.yaml": "replicas: 1\nimage: a\n"})
    await generators.put(
        [
            {
                "name": "composed",
                "revision": "@values",
                "copy": [
                    {"from": "@repo/", "to": "@artifact/"},
                    {"from": "@values/prod.yaml", "to": "@artifact/chart/values.yaml", "strategy": "Merge"},
                ],
            }
        ],
        sources=[
            {"alias": "repo", "kind": "GitRepository", "name": "app"},
            {"alias": "values", "kind": "GitRepository", "name": "values", "namespace": generators.namespace},
        ],
        commonMetadata={"labels": {"team": "a", LABEL: "forged"}, "annotations": {"about": "it"}},
    )
    shown = await generators.shown("composed")
    assert generators.files(shown) == {
        "chart/Chart.yaml": "name: app\n",
        "chart/values.yaml": "image: a\nreplicas: 3\n",
    }
    assert shown["status"]["artifact"]["revision"] == f"main@sha1:{head}"
    assert shown["metadata"]["labels"]["team"] == "a"
    assert shown["metadata"]["labels"][LABEL] == (await generators.read())["metadata"]["uid"]
    assert shown["metadata"]["annotations"] == {"about": "it"}


async def test_each_directory_that_fits_the_pattern_has_an_artifact_for_as_long_as_it_is_there(generators):
    await generators.commit({"apps/web/prod/a": "w", "apps/API/prod/a": "a", "apps/API/dev/a": "d"})
    await generators.put([artifact("{app}-{env}", "@repo/apps/{app}/{env}/**")], pathPattern="@repo/apps/{app}/{env}")
    await generators.ready(artifacts=3)
    shown = await generators.shown("api-dev")
    assert generators.files(shown) == {"a": "d"}
    assert {key: shown["metadata"]["labels"][key] for key in ("app", "env")} == {"app": "api", "env": "dev"}
    await generators.commit({"apps/API/dev/a": None, "apps/shop/prod/a": "s"})
    await generators.shown("shop-prod")
    await generators.gone("api-dev")
    await generators.ready(artifacts=3)
    assert generators.stored("api-dev") == []
    await generators.commit({"apps/web/prod/a": None, "apps/Web/prod/a": "1", "apps/weB/prod/a": "1"})
    stalled = await generators.failed("BuildFailed", "both resolve to artifact name")
    assert condition(stalled, "Stalled") == "True"
    await generators.commit({"apps/Web/prod/a": None})  # a source's change ends what only an edit could
    await generators.ready(artifacts=3)


async def test_what_is_no_longer_wanted_goes(generators):
    await generators.commit({"web/index": "1", "api/main": "1"})
    await generators.put(PARTS)
    await generators.ready(artifacts=2)
    await generators.put(PARTS[:1])
    await generators.gone("api")
    made = await generators.ready(artifacts=1)
    assert [entry["name"] for entry in made["status"]["inventory"]] == ["web"]
    assert generators.stored("api") == []
    await generators.kube.delete(EXTENSIONS, "ArtifactGenerator", "parts", generators.namespace)
    await generators.gone("web")
    await generators.until(lambda obj: obj is None)
    assert generators.stored("web") == []


async def test_an_edit_of_what_was_made_is_undone(generators):
    await generators.commit({"web/index": "1", "api/main": "1"})
    await generators.put([artifact("web", "@repo/web/**")], commonMetadata={"labels": {"team": "a"}})
    made = await generators.shown("web")
    await generators.ready()
    where = (GROUP, "ExternalArtifact", "web", generators.namespace)

    await generators.kube.patch(*where, {"metadata": {"labels": {"team": "b", "theirs": "x"}}})
    again = await generators.shown("web", lambda obj: obj["metadata"]["labels"]["team"] == "a")
    assert again["metadata"]["labels"]["theirs"] == "x", "what others add stays"
    forged = {"status": {"artifact": {**made["status"]["artifact"], "url": "http://example.com/x"}}}
    await generators.kube.patch(*where, forged, subresource="status")
    await generators.shown("web", lambda obj: obj["status"]["artifact"]["url"] == made["status"]["artifact"]["url"])
    await generators.kube.patch(*where, {"spec": {"sourceRef": {"name": "other"}}})
    await generators.shown("web", lambda obj: obj["spec"]["sourceRef"]["name"] == "parts")
    await generators.kube.delete(*where)
    await generators.shown("web", lambda obj: obj["metadata"]["uid"] != made["metadata"]["uid"])
    await generators.put([artifact("web", "@repo/web/**")])
    await generators.shown("web", lambda obj: "team" not in obj["metadata"]["labels"])


async def test_nothing_is_asked_or_written_while_nothing_changes(generators):
    await generators.commit({"web/index": "1", "api/main": "1"})
    await generators.put(PARTS)
    await generators.ready(artifacts=2)
    token = "again"
    patch = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}}
    before = {name: await generators.shown(name) for name in ("web", "api")}
    generators.api.requests.clear()
    await generators.kube.patch(EXTENSIONS, "ArtifactGenerator", "parts", generators.namespace, patch)
    made = await generators.until(lambda obj: obj["status"].get("lastHandledReconcileAt") == token)
    assert condition(made, "Ready") == "True"
    assert before == {name: await generators.shown(name) for name in before}
    asked = [each for each in generators.api.requests if each.resource == "externalartifacts" and each.verb != "get"]
    assert asked == []
    events = await generators.world.events("parts")
    assert any("No drift detected, 2 artifact(s) up to date" in event["message"] for event in events)


async def test_a_lost_or_damaged_file_is_made_again(generators):
    await generators.commit({"web/index": "1"})
    await generators.put([artifact("web", "@repo/web/**")])
    shown = await generators.shown("web")
    await generators.ready()
    file = generators.world.stored(shown)
    content = file.read_bytes()
    for damage in (file.unlink, lambda: file.write_bytes(b"other")):
        damage()
        patch = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": str(time.monotonic_ns())}}}
        await generators.kube.patch(EXTENSIONS, "ArtifactGenerator", "parts", generators.namespace, patch)
        await generators.until(lambda _: file.exists() and file.read_bytes() == content)
        await generators.ready()
    events = await generators.world.events("parts")
    assert "ArtifactVerificationFailed" in {event["reason"] for event in events}


async def test_after_a_restart_what_was_made_is_known_and_what_is_gone_is_not_ready(generators, git):
    await generators.commit({"web/index": "1", "api/main": "1"})
    await generators.put(PARTS)
    await generators.ready(artifacts=2)
    web, api = await generators.shown("web"), await generators.shown("api")
    await generators.world.stop()
    generators.world.stored(web).unlink()
    generators.world.stored(await generators.world.read("app")).unlink()
    git.require(generators.repo, "ada", "s3cret")  # the source can't be fetched any more
    await generators.world.start()
    await generators.failed("SourceFetchFailed", "not ready")
    git.wanted.clear()
    await generators.commit({"web/index": "1", "api/main": "1"})
    await generators.ready(artifacts=2)
    assert generators.world.stored(web).exists()
    again = await generators.shown(
        "api", lambda obj: obj["status"]["artifact"]["url"] != api["status"]["artifact"]["url"]
    )
    assert again["status"]["artifact"]["digest"] == api["status"]["artifact"]["digest"], "the server has moved"


async def test_what_others_own_is_left_alone(generators):
    await generators.commit({"web/index": "1", "api/main": "1"})
    theirs = {"sourceRef": {"apiVersion": "example.com/v1", "kind": "Gizmo", "name": "g"}}
    await generators.world.kube.apply(
        {
            "apiVersion": GROUP,
            "kind": "ExternalArtifact",
            "metadata": {"name": "web", "namespace": generators.namespace},
            "spec": theirs,
        },
        field_manager="gizmo",
    )
    await generators.put(PARTS)
    await generators.failed(
        "ReconciliationFailed", "web reconcile failed: ExternalArtifact 'default/web' belongs to Gizmo"
    )
    await generators.shown("api")
    await generators.kube.delete(EXTENSIONS, "ArtifactGenerator", "parts", generators.namespace)
    await generators.until(lambda obj: obj is None)
    left = await generators.kube.get(GROUP, "ExternalArtifact", "web", generators.namespace)
    assert left["spec"] == theirs
    assert generators.stored("web") == []


async def test_one_artifact_that_can_not_be_made_holds_up_no_other(generators):
    await generators.commit({"web/index": "1", "api/main": "1"})
    await generators.put([artifact("bad", "@repo/missing/**"), *PARTS])
    failed = await generators.failed("BuildFailed", "bad build failed: failed to apply copy operation")
    assert condition(failed, "Reconciling", "reason") == "ProgressingWithRetry"
    await generators.shown("web")
    await generators.commit({"missing/x": "1"})
    await generators.ready(artifacts=3)


@pytest.mark.parametrize(
    ("sources", "reason", "says"),
    [
        ([("repo", "app"), ("repo", "app")], "ValidationFailed", "duplicate source alias"),
        ([("repo", "app", "elsewhere")], "AccessDenied", "source GitRepository/elsewhere/app"),
    ],
)  # fmt: skip
async def test_what_is_not_allowed_stalls(there, sources, reason, says):
    await there.world.start("--no-cross-namespace-refs")
    named = [
        {"alias": alias, "kind": "GitRepository", "name": name, **({"namespace": rest[0]} if rest else {})}
        for alias, name, *rest in sources
    ]
    await there.put(PARTS, sources=named)
    stalled = await there.failed(reason, says)
    assert condition(stalled, "Stalled", "reason") == reason
    assert condition(stalled, "Reconciling") is None


async def test_a_source_that_is_not_there_is_waited_for(generators):
    await generators.put(PARTS)
    failed = await generators.failed("SourceFetchFailed", 'gitrepositories.source.toolkit.fluxcd.io "app" not found')
    assert condition(failed, "Reconciling", "reason") == "ProgressingWithRetry"
    await generators.world.put("app", {"url": "http://127.0.0.1:9/x"})
    await generators.failed("SourceFetchFailed", "source 'GitRepository/default/app' is not ready")
    await generators.commit({"web/index": "1", "api/main": "1"})
    await generators.ready(artifacts=2)


async def test_an_external_artifact_is_a_source_too(generators):
    await generators.commit({"web/index": "1", "api/main": "1"})
    await generators.put([artifact("web", "@repo/web/**")])
    await generators.put(
        [artifact("renamed", "@web/index", "@artifact/home")],
        name="second",
        sources=[{"alias": "web", "kind": "ExternalArtifact", "name": "web"}],
    )
    assert generators.files(await generators.shown("renamed")) == {"home": "1"}
    await generators.commit({"web/index": "2"})
    await generators.shown("renamed", lambda obj: generators.files(obj) == {"home": "2"})


async def test_a_generator_is_switched_off_and_on_by_annotation(generators):
    off = {"source.extensions.fluxcd.io/reconcile": "Disabled", "reconcile.fluxcd.io/requestedAt": "1"}
    await generators.commit({"web/index": "1", "api/main": "1"})
    await generators.put(PARTS, annotations=off)
    said = await generators.until(lambda obj: condition(obj, "Ready", "reason") == "ReconciliationDisabled")
    assert condition(said, "Ready") == "True"
    assert said["status"]["lastHandledReconcileAt"] == "1"
    assert generators.stored("web") == []
    await generators.put(PARTS, annotations={"source.extensions.fluxcd.io/reconcile": "Enabled"})
    await generators.ready(artifacts=2)


async def test_what_every_source_leaves_out_is_left_out_and_no_rule_of_a_file_counts(generators):
    await generators.commit({"web/index": "1", "web/logo.png": "p", "rules": "/index"}, ignore="nothing-of-the-kind")
    steps = [{"from": "@repo/web/**", "to": "@artifact/"}, {"from": "@repo/rules", "to": "@artifact/.sourceignore"}]
    await generators.put([{"name": "web", "copy": steps}])
    assert generators.files(await generators.shown("web")) == {"index": "1", ".sourceignore": "/index"}


@pytest.mark.parametrize("action", ["fail", "cut", "cut-after"])
@pytest.mark.parametrize(
    ("resource", "verb", "nth"),
    [
        *(("artifactgenerators", "patch", nth) for nth in (2, 3, 4)),  # the first is the test's own
        *(("externalartifacts", "patch", nth) for nth in (1, 2, 3, 4)),
        *(("externalartifacts", "delete", nth) for nth in (1, 2)),
        ("externalartifacts", "get", 1),
    ],
)  # fmt: skip
async def test_a_life_with_one_failing_call_converges(generators, action, resource, verb, nth):
    await generators.commit({"web/index": "1", "api/main": "1"})
    rule = generators.api.faults.add(action=action, nth=nth, verb=verb, resource=resource)
    await generators.put(PARTS)
    await generators.ready(artifacts=2)
    for name in ("web", "api"):
        assert generators.files(await generators.shown(name))
    await generators.kube.delete(EXTENSIONS, "ArtifactGenerator", "parts", generators.namespace)
    for name in ("web", "api"):
        await generators.gone(name)
    await generators.until(lambda obj: obj is None)
    assert generators.stored("web") == generators.stored("api") == []
    assert rule.seen >= nth, "the fault was met"
