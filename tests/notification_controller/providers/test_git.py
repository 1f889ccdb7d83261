"""Services around repositories: each is asked and told exactly what upstream asks and tells, and nothing twice.

`git_requests.json` holds requests that upstream was seen to make, less Gitea's for its version: nothing depends on it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from notification_controller import providers
from notification_controller.event import Event, InvolvedObject
from notification_controller.providers import Connection, DeliveryFailed, InvalidProvider, Notification
from notification_controller.providers import bitbucket as bitbucket_module
from notification_controller.providers import git as git_module
from tests.kit.hooks import Reply
from tests.notification_controller.providers.services import ADDRESSES, COMMENTS, COMMIT, LISTS, STATUSES, Service

DATA = json.loads((Path(__file__).parent / "git_requests.json").read_text())
CASES, EVENTS = DATA["cases"], {name: msgspec.convert(event, Event) for name, event in DATA["events"].items()}
UID = "0c9c2e41-d2f9-4f9b-9c41-bebc1984d67a"
ID = "kustomization/apps/0c9c2e41"
KEY = hashlib.sha1(ID.encode()).hexdigest()
TOKEN = "tok"


@pytest.fixture
def host(monkeypatch):
    with Service() as made:
        monkeypatch.setenv(bitbucket_module.API_VARIABLE, f"{made.url}/2.0")
        yield made


def connection(host, type_, **fields):
    token = "user:password" if type_ == "bitbucket" else TOKEN
    made = Connection(
        type_, address=host.url + ADDRESSES[type_], token=token, namespace="flux-system", name="prov", uid=UID
    )
    return replace(made, **fields)


async def post(host, type_, event=EVENTS["info"], *, id_=ID, **fields):
    async with providers.connect(connection(host, type_, **fields)) as provider:
        await provider.post(Notification(event, commit_status=id_))


def changed(event, *, drop=(), reason=None, **metadata):
    kept = {key: value for key, value in event.metadata.items() if key not in drop}
    return msgspec.structs.replace(event, metadata=kept | metadata, reason=reason or event.reason)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['provider']}-{case['event']}")
async def test_the_requests_are_those_of_upstream(host, case):
    host.routes[f"GET /rest/api/latest/projects/proj/repos/repo/commits/{COMMIT}/builds"] = 404
    await post(host, case["provider"], EVENTS[case["event"]])
    assert len(host.requests) == len(case["requests"])
    for sent, wanted in zip(host.requests, case["requests"], strict=True):
        assert (sent.method, sent.target) == (wanted["method"], wanted["path"])
        for name, value in wanted["headers"].items():
            if name != "Content-Type" or "body" in wanted:
                assert sent.headers[name.lower()] == value
        if "body" in wanted:
            assert sent.json == json.loads(json.dumps(wanted["body"]).replace("ADDRESS", host.url))
        else:
            assert sent.body == b""


async def test_azure_devops_gets_a_status_with_a_genre(host):
    at = f"/org/project/_apis/git/repositories/repo/commits/{COMMIT}/statuses"
    await post(host, "azuredevops", changed(EVENTS["error"], drop=["summary"]))
    await post(host, "azuredevops", EVENTS["info"])
    assert [each.target for each in host.requests] == [at] * 4
    assert host.requests[1].headers["authorization"] == "Basic " + base64.b64encode(b":tok").decode()
    failed = {"state": "error", "description": "health check failed", "context": {"genre": "fluxcd", "name": ID}}
    assert host.told[0].json == failed
    assert host.told[1].json["context"] == {"genre": "fluxcd:prod", "name": ID}


async def test_bitbucket_gets_a_build_status_under_a_short_key(host):
    at = f"/2.0/repositories/owner/repo/commit/{COMMIT}/statuses/build"
    host.routes[f"GET {at}/{KEY}"] = 404
    await post(host, "bitbucket")
    looked, told = host.requests
    assert (looked.target, told.target) == (f"{at}/{KEY}", at)
    assert told.headers["authorization"] == "Basic " + base64.b64encode(b"user:password").decode()
    assert told.json == {
        "state": "SUCCESSFUL",
        "key": KEY,
        "name": "kustomization/apps",
        "description": "reconciliation succeeded",
        "url": "https://bitbucket.org",
    }


def said(type_, state="good"):
    """Where a service has its statuses of the commit, and one that we made."""
    good, description = state == "good", "reconciliation succeeded"
    github = {"context": ID, "description": description, "state": "success" if good else "failure"}
    upper = "SUCCESSFUL" if good else "FAILED"
    match type_:
        case "github":
            return LISTS[0], [{"context": "other", "state": "error", "description": "x"}, github]
        case "gitlab":
            word = "success" if good else "failed"
            return LISTS[2], [{"sha": COMMIT, "name": ID, "status": word, "description": description}]
        case "gitea":
            return LISTS[4], [{"context": ID, "description": description, "status": github["state"], "id": 1}]
        case "bitbucketserver":
            name = f"kustomization/apps [{description}]"
            found = {"key": KEY, "state": upper, "description": description, "name": name, "url": "x"}
            return f"/rest/api/latest/projects/proj/repos/repo/commits/{COMMIT}/builds", found
        case "bitbucket":
            found = {"key": KEY, "state": upper, "description": description}
            return f"/2.0/repositories/owner/repo/commit/{COMMIT}/statuses/build/{KEY}", found
        case _:
            context = {"name": ID, "genre": "fluxcd:prod"}
            found = {"state": "succeeded" if good else "error", "description": description, "context": context, "id": 1}
            return f"/org/project/_apis/git/repositories/repo/commits/{COMMIT}/statuses", {"count": 1, "value": [found]}


@pytest.mark.parametrize("type_", STATUSES)
async def test_what_is_said_already_is_not_said_again(host, type_):
    path, found = said(type_)
    host.routes[f"GET {path}"] = found
    await post(host, type_)
    assert host.told == []
    await post(host, type_, EVENTS["error"])
    assert len(host.told) == 1, "what is new is said"


@pytest.mark.parametrize("type_", STATUSES)
async def test_a_status_that_differs_is_said(host, type_):
    path, found = said(type_, "bad")
    host.routes[f"GET {path}"] = found
    await post(host, type_)
    assert len(host.told) == 1


@pytest.mark.parametrize("type_", ["github", "gitea"])
async def test_only_the_latest_status_of_ours_counts(host, type_):
    (path, good), (_, bad) = said(type_), said(type_, "bad")
    host.routes[f"GET {path}"] = [*bad, *good]
    await post(host, type_)
    assert len(host.told) == 1


@pytest.mark.parametrize("type_", STATUSES)
async def test_progress_is_told_where_there_is_a_state_for_it(host, type_):
    await post(host, type_, changed(EVENTS["info"], reason="Progressing"))
    if type_ == "gitea":
        assert host.told[0].json["state"] == "pending"
    else:
        assert host.requests == []


REVISIONS = [
    f"main@sha1:{COMMIT}",
    f"main/{COMMIT}",
    f"sha1:{COMMIT}",
    f"v1.0.0@sha1:{COMMIT}",
    COMMIT,
    f"HEAD/{COMMIT}",
]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_commit_is_read_from_every_form_of_revision(host, revision):
    await post(host, "github", changed(EVENTS["info"], revision=revision))
    assert host.told[0].target.endswith(f"/statuses/{COMMIT}")


async def test_the_users_word_on_the_commit_wins(host):
    other = "a" * 40
    host.routes[f"GET /api/v3/repos/owner/repo/commits/{other}/statuses"] = []
    await post(host, "github", changed(EVENTS["info"], originRevision="main@sha1:" + "b" * 40, commit=f"sha1:{other}"))
    assert host.told[0].target.endswith(f"/statuses/{other}")


@pytest.mark.parametrize("type_", STATUSES)
async def test_without_a_commit_there_is_nothing_to_say(host, type_):
    with pytest.raises(DeliveryFailed, match=r"^missing revision metadata$") as failed:
        await post(host, type_, changed(EVENTS["info"], drop=["revision"]))
    assert failed.value.is_final
    for revision in ("v1.0.0", "latest@sha256:" + "a" * 64, "main/../../" + "a" * 40 + "/", "sha1:" + "/" * 40):
        with pytest.raises(DeliveryFailed, match="failed to extract commit hash from") as failed:
            await post(host, type_, changed(EVENTS["info"], revision=revision))
        assert failed.value.is_final
    assert host.requests == []


def comment_of(type_, body, author):
    who = {"author": {"username": author}} if type_.startswith("gitlab") else {"user": {"login": author}}
    return {"id": 7, "body": body, **who}


@pytest.mark.parametrize("type_", COMMENTS)
async def test_our_comment_is_edited_and_nobody_elses(host, type_):
    mark = "flux-mr-comment-key" if type_.startswith("gitlab") else "flux-pr-comment-key"
    marker = f"<!-- {mark}:{UID}/Kustomization/flux-system/apps -->"
    lists = {path: path for path in LISTS if path.endswith(("comments", "notes"))}
    others = [
        comment_of(type_, marker, "someone") | {"id": 1},
        comment_of(type_, "hello", "bot") | {"id": 2},
        {"id": 3},
    ]
    for path in lists:
        host.routes[f"GET {path}"] = others
    await post(host, type_)
    assert host.told[-1].method == "POST"
    for path in lists:
        host.routes[f"GET {path}"] = [*others, comment_of(type_, f"{marker}\n\nold", "bot")]
    await post(host, type_, EVENTS["error"])
    edited = host.told[-1]
    assert edited.method in ("PATCH", "PUT")
    assert edited.target.endswith("/7")
    assert edited.json["body"].startswith(f"{marker}\n\n## Flux Status\n\n⚠️ Kustomization/flux-system/apps\n")


@pytest.mark.parametrize("type_", COMMENTS)
@pytest.mark.parametrize("number", [None, "", "x", "-1", "1/../2", "１"])
async def test_a_comment_needs_the_number_of_its_change_request(host, type_, number):
    event = changed(EVENTS["info"], drop=["change_request"], **({} if number is None else {"change_request": number}))
    with pytest.raises(DeliveryFailed, match="change_request") as failed:
        await post(host, type_, event)
    assert failed.value.is_final
    assert host.told == []


async def test_a_dispatch_has_a_type_that_workflows_wait_for(host):
    involved = InvolvedObject(
        kind="GitRepository", name="app", namespace="team", api_version="source.toolkit.fluxcd.io/v1"
    )
    await post(host, "githubdispatch", Event(involved_object=involved, severity="info", message="hello"))
    assert host.told[0].json["event_type"] == "GitRepository/app.team"


WRONG = {
    "no address": ({"address": ""}, "invalid address"),
    "no URL": ({"address": "https://"}, "invalid address"),
    "a line break": ({"address": "https://host/owner/repo\r\nX: y"}, "invalid address"),
    "no repository": ({"address": "https://host/owner"}, "invalid repository id"),
    "a way out": ({"address": "https://host/owner/.."}, "invalid repository id"),
    "no token": ({"token": ""}, "token"),
}


@pytest.mark.parametrize(("fields", "text"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("type_", ["github", "githubdispatch", "githubpullrequestcomment", "gitea", "bitbucket"])
async def test_a_provider_that_cannot_work_says_why(host, type_, fields, text):
    with pytest.raises(InvalidProvider, match=text) as invalid:
        await post(host, type_, **fields)
    assert "X: y" not in str(invalid.value)


async def test_bitbucket_wants_a_user_and_a_password(host):
    for token in ("tok", "a:b:c"):
        with pytest.raises(InvalidProvider, match="<user>:<password>"):
            await post(host, "bitbucket", token=token)


async def test_bitbucket_server_wants_an_address_to_clone_from_and_a_login(host):
    for address in ("ssh://git@host/scm/proj/repo", "https://host/proj/repo", "https://host/scm/repo"):
        with pytest.raises(InvalidProvider):
            await post(host, "bitbucketserver", address=address)
    with pytest.raises(InvalidProvider, match="username/password or API Token"):
        await post(host, "bitbucketserver", token="", username="ada")
    await post(host, "bitbucketserver", token="", username="ada", password="pa55", address=f"{host.url}/ctx/scm/p/r")
    assert host.told[0].target == f"/ctx/rest/api/latest/projects/p/repos/r/commits/{COMMIT}/builds"
    assert host.told[0].headers["authorization"] == "Basic " + base64.b64encode(b"ada:pa55").decode()


@pytest.mark.parametrize("type_", ["github", "gitlab", "gitea"])
async def test_a_password_stands_in_for_a_token(host, type_):
    await post(host, type_, token="", password="pa55")
    assert "pa55" in str(host.requests[0].headers)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://github.com/org/repo", "https://api.github.com/repos/org/repo"),
        ("git@github.com:org/repo.git", "https://api.github.com/repos/org/repo"),
        ("ssh://git@ghe.example.com:2222/org/repo", "https://ghe.example.com:2222/api/v3/repos/org/repo"),
        ("https://user:secret@ghe.example.com/org/repo.git", "https://ghe.example.com/api/v3/repos/org/repo"),
        ("https://api.ghe.example.com/org/repo", "https://api.ghe.example.com/repos/org/repo"),
    ],
)
def test_github_has_an_api_for_every_address(address, expected):
    from notification_controller.providers import github

    assert github.base(Connection("github", address=address)) == expected


def test_gitlabs_projects_are_one_part_of_a_path():
    from notification_controller.providers import gitlab

    at = gitlab.base(Connection("gitlab", address="https://gitlab.com/group/my.repo.git"))
    assert at == "https://gitlab.com/api/v4/projects/group%2Fmy%2Erepo"


@pytest.mark.parametrize("type_", ADDRESSES)
async def test_what_the_service_says_of_a_failure_is_told_without_the_token(host, type_):
    secret = connection(host, type_).token
    host.answers = [Reply(401, f"bad credentials: {secret}".encode())]
    with pytest.raises(DeliveryFailed, match="401") as failed:
        await post(host, type_)
    assert failed.value.is_final
    assert secret not in str(failed.value).replace("token", "")


@pytest.mark.parametrize("type_", STATUSES)
async def test_an_answer_that_makes_no_sense_is_no_end(host, type_):
    host.answers = [Reply(200, b"<html>")]
    with pytest.raises(DeliveryFailed) as failed:
        await post(host, type_)
    assert not failed.value.is_final


@pytest.mark.parametrize("type_", STATUSES)
@pytest.mark.parametrize(
    "answer", [b"null", b"[]", b"{}", b"[1]", b'"x"', b'[{"context": 1}]', b'{"value": [{"context": []}]}']
)
async def test_odd_answers_are_no_status(host, type_, answer):
    host.answers = [Reply(200, answer), Reply(200, b"{}")]
    await post(host, type_)
    assert len(host.told) == 1


@pytest.mark.parametrize("type_", STATUSES + COMMENTS)
async def test_of_an_endless_list_only_so_much_is_read(host, type_):
    host.answers = [Reply(200, endless=True)]
    with pytest.raises(DeliveryFailed, match="longer than 4 MiB") as failed:
        await post(host, type_)
    assert not failed.value.is_final


async def test_a_long_list_is_read_whole(host):
    path, found = said("github")
    host.routes[f"GET {path}"] = [
        {"context": f"other-{n}", "state": "error", "description": "x" * 9000} for n in range(49)
    ] + found[1:]
    await post(host, "github")
    assert host.told == []


def test_a_repository_is_where_its_address_says():
    assert git_module.repository("https://host:8443/a%20b/c.git/").path == ("a b", "c")


def app(host):
    """The Secret of a GitHub App whose server is the counterpart."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(*form)
    api = f"{host.url}/api/v3"
    host.routes |= {
        "POST /api/v3/app/installations/7/access_tokens": {"token": "ghs", "expires_at": "2100-01-01T00:00:00Z"},
        "GET /api/v3/app": {"slug": "our-app"},
    }
    texts = {"githubAppID": "1", "githubAppInstallationID": "7", "githubAppBaseURL": api}
    return {name: text.encode() for name, text in texts.items()} | {"githubAppPrivateKey": key}


async def test_a_github_app_logs_in_instead_of_a_person(host):
    await post(host, "github", token="", secret=app(host))
    assert host.requests[-1].headers["authorization"] == "Bearer ghs"
    assert host.requests[-1].json["context"] == ID


async def test_an_apps_comments_are_its_bots(host):
    secret = app(host)
    marker = f"<!-- flux-pr-comment-key:{UID}/Kustomization/flux-system/apps -->"
    found = [comment_of("github", marker, "bot"), comment_of("github", marker, "our-app[bot]") | {"id": 9}]
    host.routes["GET /api/v3/repos/owner/repo/issues/42/comments"] = found
    await post(host, "githubpullrequestcomment", token="", secret=secret)
    assert host.told[-1].target.endswith("/issues/comments/9")


async def test_an_app_that_is_described_wrong_is_told(host):
    with pytest.raises(InvalidProvider, match="githubAppPrivateKey"):
        await post(host, "github", token="", secret={"githubAppID": b"1"})
