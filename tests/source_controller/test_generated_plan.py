"""The plan: which artifacts a spec asks for, given the directories of its sources."""

from __future__ import annotations

import pytest

from shared.api import codec
from shared.api.source import ArtifactGenerator
from source_controller.generated import plan
from source_controller.generated.plan import PlanError


def generator(pattern=None, artifacts=None, sources=("repo",), **spec):
    made = {
        "metadata": {"name": "g", "namespace": "apps"},
        "spec": {
            "sources": [{"alias": alias, "kind": "GitRepository", "name": alias} for alias in sources],
            "artifacts": artifacts or [artifact()],
            **({"pathPattern": pattern} if pattern else {}),
            **spec,
        },
    }
    return codec.decode(ArtifactGenerator, made)


def artifact(name="one", start="@repo/**", to="@artifact/", **fields):
    return {"name": name, "copy": [{"from": start, "to": to}], **fields}


def test_artifacts_are_made_as_they_are_written_where_there_is_no_pattern():
    made = plan.artifacts(generator(artifacts=[artifact("a", "@repo/{x}/*"), artifact("b", revision="@repo")]))
    assert [(one.name, one.revision_of) for one in made] == [("a", ""), ("b", "repo")]
    assert (made[0].steps[0].alias, made[0].steps[0].source) == ("repo", "{x}/*")


def test_each_directory_that_fits_the_pattern_gets_an_artifact_with_what_was_captured():
    wanted = generator(
        "@repo/apps/{app}/envs/{env}",
        [artifact("{app}-{env}", "@repo/apps/{app}/envs/{env}/**", "@artifact/{env}/", originRevision="@repo")],
    )
    made = plan.artifacts(
        wanted,
        ["apps", "apps/Auth", "apps/Auth/envs", "apps/Auth/envs/prod", "apps/web/envs/dev", "apps/web/envs/dev/x"],
    )
    assert [(one.name, dict(one.labels)) for one in made] == [
        ("auth-prod", {"app": "auth", "env": "prod"}),
        ("web-dev", {"app": "web", "env": "dev"}),
    ]
    assert (made[0].steps[0].source, made[0].steps[0].target) == ("apps/Auth/envs/prod/**", "prod/")
    assert made[0].origin_of == "repo"


def test_several_captures_in_one_name_take_as_much_as_they_can():
    [made] = plan.artifacts(generator("@repo/{a}-{b}", [artifact("{b}.{a}")]), ["x-y-z", "xyz"])
    assert made.name == "z.x-y"


def test_no_directory_that_fits_means_no_artifact():
    assert plan.artifacts(generator("@repo/apps/{app}", [artifact("{app}")]), ["other/x"]) == []


@pytest.mark.parametrize(
    ("pattern", "artifacts", "directories", "says"),
    [
        ("@repo/{}", [artifact("x")], [], "empty capture"),
        ("@repo/{a}/{a}", [artifact("x")], [], "duplicate capture variable"),
        ("@repo/{a-b}", [artifact("x")], [], "not a valid Kubernetes label key"),
        ("@repo/{_a}", [artifact("x")], [], "not a valid Kubernetes label key"),
        ("@repo/{a", [artifact("x")], [], "no closing brace"),
        ("@repo/a}", [artifact("x")], [], "no opening brace"),
        ("@other/{a}", [artifact("x")], [], "no source with the alias 'other'"),
        ("@repo/{a}", [artifact("{b}")], ["x"], "not defined by pathPattern"),
        ("@repo/{a}", [artifact("{a}")], [".hidden"], "not a valid Kubernetes label value"),
        ("@repo/{a}", [artifact("{a}")], ["a b"], "not a valid Kubernetes label value"),
        ("@repo/{a}", [artifact("{a}")], ["x" * 64], "not a valid Kubernetes label value"),
        ("@repo/{a}", [artifact("{a}")], ["\udcff"], "not a valid Kubernetes label value"),
        ("@repo/{a}", [artifact("{a}_")], ["x"], "not a valid Kubernetes object name"),
        ("@repo/{a}", [artifact("{a}")], ["Auth", "auth"], 'directories "Auth" and "auth" both resolve'),
        ("@repo/{a}", [artifact("same")], ["x", "y"], "both resolve"),
        ("@repo/{a}", [artifact("{a}")], [f"d{number}" for number in range(1001)], "more than 1000 artifacts"),
        ("@repo/{a}", [artifact("{a}", to="@artifact{a}")], ["x"], "is not of the form"),
    ],
)
def test_what_does_not_go_together_is_named_with_the_pattern(pattern, artifacts, directories, says):
    with pytest.raises(PlanError, match="pathPattern") as found:
        plan.artifacts(generator(pattern, artifacts), directories)
    assert says in str(found.value)
    assert pattern in str(found.value)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"sources": ("repo", "repo")}, "duplicate source alias 'repo' found"),
        ({"artifacts": [artifact(), artifact()]}, "duplicate artifact name 'one' found"),
        ({"artifacts": [artifact("A_b")]}, "not a valid Kubernetes object name"),
        ({"artifacts": [artifact(revision="@x")]}, "revision source alias 'x' not found"),
        ({"artifacts": [artifact(originRevision="@x")]}, "originRevision source alias 'x' not found"),
    ],
)
def test_a_spec_that_can_not_be_right_is_told_apart(spec, says):
    assert says in (plan.problem(generator(**spec)) or "")


def test_a_spec_that_may_be_right_has_no_problem():
    assert plan.problem(generator("@repo/{a}", [artifact("{a}", revision="@repo")])) is None


def test_an_artifact_can_not_be_made_of_itself():
    itself = [{"alias": "old", "kind": "ExternalArtifact", "name": "one"}]
    made = codec.decode(
        ArtifactGenerator,
        {
            "metadata": {"name": "g", "namespace": "apps"},
            "spec": {"sources": itself, "artifacts": [artifact("one", "@old/**")]},
        },
    )
    assert "can't be made of itself" in (plan.problem(made) or "")
