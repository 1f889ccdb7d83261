"""Decryption with the real sops, age and gpg: what becomes clear, what stays as it is, and what nobody gets to see."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kustomize_controller import build, decrypt, keys, memory
from kustomize_controller.__main__ import options
from kustomize_controller.keys import Keys
from kustomize_controller.sops import explained
from shared.api import codec
from shared.api.kustomize import Kustomization
from shared.kube.errors import NotFound
from shared.kustomize import DiskTree, Survey
from shared.loop.verdict import Failed, Stalled
from shared.processes import Processes, Stopped, TimedOut, TooLarge
from tests.upstream.controlplane.build import available, bin_dir

SECRET = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: login\n{field}:\n  password: {value}\n"
PASSWORD = "hunter2-in-clear"


def kustomization(**spec: Any) -> Kustomization:
    given = {"interval": "1h", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "repo"}}
    return codec.decode(
        Kustomization,
        {
            "apiVersion": Kustomization.resource.api_version,
            "kind": "Kustomization",
            "metadata": {"name": "app", "namespace": "team", "uid": "1", "generation": 1},
            "spec": {**given, "decryption": {"provider": "sops", "secretRef": {"name": "keys"}}, **spec},
        },
    )


def tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    return root


async def built(
    root: Path, entries: Mapping[str, bytes], *, program: str = "sops", given: dict[str, str] | None = None, **spec: Any
) -> list[dict[str, Any]]:
    ks = kustomization(**spec)
    files = Survey(DiskTree(root))
    path = build.require_path(ks, files)
    async with decrypt.opened(keys.of("team/keys", entries), None, program, 60.0) as decryption:
        template = await build.template(ks, files, path, decryption=decryption)
    return (await build.filled(ks, template, given, strict=True)).manifests


async def failure(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(Failed) as caught:
        await built(*args, **kwargs)
    assert caught.value.reason == "BuildFailed"
    return caught.value.message


def decoded(manifest: Mapping[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in manifest["data"].items()}


class Tools:
    """The real programs: keys to encrypt to, and encryption as a user does it."""

    def __init__(self, directory: Path) -> None:
        self.bin = bin_dir()
        self.directory = directory
        self.age = self.run("age-keygen")
        self.other_age = self.run("age-keygen")
        self._recipient = next(line.split()[-1] for line in self.age.decode().splitlines() if "public key" in line)

    def run(self, *command: str, stdin: bytes = b"", **env: str) -> bytes:
        variables = {"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.directory), **env}
        done = subprocess.run(command, input=stdin, env=variables, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def encrypted(self, text: str | bytes, format_: str = "yaml", *, to: tuple[str, ...] = (), only: str = "") -> str:
        content = text.encode() if isinstance(text, str) else text
        recipients = to or ("--age", self._recipient)
        chosen = ("--encrypted-regex", only) if only else ()
        kind = ("--input-type", format_, "--output-type", "json" if format_ == "binary" else format_)
        name = ("--filename-override", "document")
        return self.run("sops", "encrypt", *recipients, *chosen, *kind, *name, stdin=content).decode()

    def secret(self, field: str = "stringData", value: str = PASSWORD, extra: str = "") -> str:
        return self.encrypted(SECRET.format(field=field, value=value) + extra, only="^(data|stringData)$")


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    programs = available("sops", "age", "age-keygen")
    if not programs:
        if os.environ.get("FLUVIAL_REQUIRE_REAL") == "1":
            pytest.fail(programs.reason)
        pytest.skip(programs.reason)
    return Tools(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The only place for temporary files, so that what is left behind shows."""
    directory = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))  # short: gpg's socket has to fit
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def on_path(monkeypatch):
    monkeypatch.setenv("PATH", f"{bin_dir()}:{os.environ['PATH']}")


@pytest.fixture(scope="module")
def pgp(tools):
    """An OpenPGP private key, armored, and a Secret that is encrypted to it."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg is not installed: apt-get install gnupg")
    home = Path(tempfile.mkdtemp(prefix="g-", dir="/tmp"))
    env = {"GNUPGHOME": str(home)}
    try:
        tools.run(
            "gpg", "--batch", "--passphrase", "", "--quick-gen-key", "a@example.com", "future-default", "default", **env
        )
        listed = tools.run("gpg", "--list-keys", "--with-colons", **env).decode()
        fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        key = tools.run("gpg", "--batch", "--armor", "--export-secret-keys", fingerprint, **env)
        encrypted = tools.run(
            *("sops", "encrypt", "--pgp", fingerprint, "--encrypted-regex", "^stringData$"),
            *("--input-type", "yaml", "--output-type", "yaml", "--filename-override", "x.yaml"),
            stdin=SECRET.format(field="stringData", value=PASSWORD).encode(),
            **env,
        )
        yield SimpleNamespace(key=key, secret=encrypted.decode())
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)
        shutil.rmtree(home, ignore_errors=True)


def living(part: str) -> list[str]:
    """The command lines of all processes that hold this text."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if part in line and state != "Z":
            found.append(line)
    return found


def until_gone(part: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while left := living(part):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


# What is decrypted


async def test_an_encrypted_object_becomes_clear_and_takes_what_the_build_adds(tools, tmp_path):
    root = tree(tmp_path, {"secret.yaml": tools.secret(value="'${who}:s3cret'")})
    [manifest] = await built(
        root,
        {"a.agekey": tools.age},
        given={"who": "ada"},
        targetNamespace="shop",
        namePrefix="eu-",
        commonMetadata={"labels": {"team": "a"}},
    )
    assert manifest == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "eu-login", "namespace": "shop", "labels": {"team": "a"}},
        "stringData": {"password": "ada:s3cret"},
    }


async def test_any_kind_of_object_is_decrypted_and_numbers_stay_numbers(tools, tmp_path):
    text = "apiVersion: example.com/v1\nkind: Login\nmetadata: {name: ada}\nspec: {pin: 1234, on: true, note: x}\n"
    root = tree(tmp_path, {"a.yaml": tools.encrypted(text, only="^spec$")})
    [manifest] = await built(root, {"a.agekey": tools.age})
    assert manifest["spec"] == {"pin": 1234, "on": True, "note": "x"}


async def test_an_openpgp_key_decrypts_and_its_agent_ends(tools, pgp, tmp_path, temporary):
    root = tree(tmp_path, {"secret.yaml": pgp.secret})
    [manifest] = await built(root, {"key.asc": pgp.key})
    assert manifest["stringData"] == {"password": PASSWORD}
    assert list(temporary.iterdir()) == []
    until_gone(str(temporary))


CONTENTS = {
    "app.yaml": ("yaml", f"password: {PASSWORD}\n"),
    "app.json": ("json", json.dumps({"password": PASSWORD})),
    "app.env": ("dotenv", f"PASSWORD={PASSWORD}\n"),
    "app.ini": ("ini", f"[login]\npassword={PASSWORD}\n"),
    "app.key": ("binary", f"\tany bytes: {PASSWORD}"),
}


@pytest.mark.parametrize("name", CONTENTS)
async def test_a_file_of_a_secret_generator_becomes_clear(tools, tmp_path, name):
    format_, text = CONTENTS[name]
    says = f"secretGenerator:\n- name: made\n  files: [{name}]\n"
    root = tree(tmp_path, {"kustomization.yaml": says, name: tools.encrypted(text, format_)})
    [manifest] = await built(root, {"a.agekey": tools.age})
    content = base64.b64decode(manifest["data"][name]).decode()
    assert PASSWORD in content
    assert "sops" not in content
    if format_ == "binary":
        assert content == text


async def test_no_secret_becomes_a_config_map(tools, tmp_path):
    says = "configMapGenerator:\n- name: made\n  files: [app.env]\n"
    root = tree(tmp_path, {"kustomization.yaml": says, "app.env": tools.encrypted(CONTENTS["app.env"][1], "dotenv")})
    [manifest] = await built(root, {"a.agekey": tools.age})
    assert PASSWORD not in manifest["data"]["app.env"]


async def test_env_files_components_and_patches_become_clear(tools, tmp_path):
    patch = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\ndata: {colour: blue}\n"
    root = tree(
        tmp_path,
        {
            "app/kustomization.yaml": "resources: [../base]\ncomponents: [../part]\npatches:\n- path: patch.yaml\n",
            "app/patch.yaml": tools.encrypted(patch, only="^data$"),
            "base/kustomization.yaml": "resources: [plain.yaml]\n",
            "base/plain.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n",
            "part/kustomization.yaml": (
                "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
                "secretGenerator:\n- name: env\n  envs: [settings, more.env]\n"
            ),
            "part/settings": tools.encrypted("TOKEN=t0ken\n", "dotenv"),
            "part/more.env": "MODE=dark\n",
        },
    )
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    plain, env = await built(root, {"a.agekey": tools.age}, path="./app")
    assert plain["data"] == {"colour": "blue"}
    assert "sops" not in plain
    assert decoded(env) == {"TOKEN": "t0ken", "MODE": "dark"}
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


async def test_an_entry_of_a_secret_that_is_a_document_becomes_clear(tools, tmp_path):
    entries = {
        "app.yaml": tools.encrypted(f"password: {PASSWORD}\n"),
        ".dockerconfigjson": tools.encrypted(json.dumps({"auths": PASSWORD}), "json"),
        "plain": "as it is",
    }
    data = "".join(f"  {name}: {base64.b64encode(text.encode()).decode()}\n" for name, text in entries.items())
    root = tree(tmp_path, {"s.yaml": f"apiVersion: v1\nkind: Secret\nmetadata: {{name: login}}\ndata:\n{data}"})
    [manifest] = await built(root, {"a.agekey": tools.age})
    found = decoded(manifest)
    assert found["app.yaml"] == f"password: {PASSWORD}\n"
    assert json.loads(found[".dockerconfigjson"]) == {"auths": PASSWORD}
    assert found["plain"] == "as it is"


@pytest.mark.parametrize("mark", ["annotations", "labels"])
async def test_an_object_that_says_so_stays_encrypted(tools, tmp_path, mark):
    text = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: login\n  {mark}: {{{decrypt.DECRYPT}: Disabled}}\n"
    secret = tools.encrypted(text + f"stringData: {{password: {PASSWORD}}}\n", only="^stringData$")
    root = tree(tmp_path, {"secret.yaml": secret})
    [manifest] = await built(root, {"a.agekey": tools.age})
    assert manifest["stringData"]["password"].startswith("ENC[")
    assert "sops" in manifest


async def test_what_is_not_encrypted_needs_neither_sops_nor_keys(tmp_path):
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {sops: 'no'}\n"
    [manifest] = await built(tree(tmp_path, {"a.yaml": text}), {}, program="/no/such/sops")
    assert manifest["data"] == {"sops": "no"}


class KeyServices(ThreadingHTTPServer):
    """A Vault and an AWS KMS that "encrypt" with base64, and note who asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.asked: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        if "/transit/encrypt/" in path:
            return {"data": {"ciphertext": "vault:v1:" + asked["plaintext"]}}
        if "/transit/decrypt/" in path:
            return {"data": {"plaintext": asked["ciphertext"].removeprefix("vault:v1:")}}
        if action.endswith(".Encrypt"):
            return {"CiphertextBlob": asked["Plaintext"], "KeyId": asked["KeyId"]}
        return {"Plaintext": asked["CiphertextBlob"]}


class _Answers(BaseHTTPRequestHandler):
    server: KeyServices

    def do_POST(self) -> None:
        action = self.headers.get("X-Amz-Target", "")
        shown = self.headers.get("X-Vault-Token") or self.headers.get("Authorization", "")
        self.server.asked.append((action or self.path, shown))
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps(self.server.answer(self.path, action, asked)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def services():
    with KeyServices() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_a_vault_is_asked_with_the_token_of_the_secret(tools, services, tmp_path, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", "the-controllers-own")
    arguments = ("--hc-vault-transit", f"{services.url}/v1/transit/keys/app")
    command = ("sops", "encrypt", *arguments, "--input-type", "yaml", "--output-type", "yaml")
    text = SECRET.format(field="stringData", value=PASSWORD)
    regex = ("--encrypted-regex", "^stringData$", "--filename-override", "x.yaml")
    secret = tools.run(*command, *regex, stdin=text.encode(), VAULT_TOKEN="hvs.who-encrypts")
    [manifest] = await built(tree(tmp_path, {"a.yaml": secret}), {"sops.vault-token": b"hvs.who-decrypts\n"})
    assert manifest["stringData"] == {"password": PASSWORD}
    assert services.asked[-1] == ("/v1/transit/decrypt/app", "hvs.who-decrypts")


async def test_aws_is_asked_with_the_credentials_of_the_secret(tools, services, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", services.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OWN")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "own-session")
    aws = {"AWS_ENDPOINT_URL": services.url, "AWS_ACCESS_KEY_ID": "WHOENCRYPTS", "AWS_SECRET_ACCESS_KEY": "x"}
    command = ("sops", "encrypt", "--kms", "arn:aws:kms:eu-central-1:111122223333:key/app", "--input-type", "yaml")
    text = SECRET.format(field="stringData", value=PASSWORD)
    regex = ("--output-type", "yaml", "--encrypted-regex", "^stringData$", "--filename-override", "x.yaml")
    secret = tools.run(*command, *regex, stdin=text.encode(), **aws)
    credentials = b"aws_access_key_id: WHODECRYPTS\naws_secret_access_key: y\n"
    [manifest] = await built(tree(tmp_path, {"a.yaml": secret}), {"sops.aws-kms": credentials})
    assert manifest["stringData"] == {"password": PASSWORD}
    action, shown = services.asked[-1]
    assert action == "TrentService.Decrypt"
    assert "Credential=WHODECRYPTS/" in shown


# What can't be decrypted


async def test_a_missing_sops_says_to_install_it(tools, tmp_path):
    root = tree(tmp_path, {"a.yaml": tools.secret()})
    assert "sops is not installed: install it" in await failure(root, {"a.agekey": tools.age}, program="/no/such/sops")


async def test_all_that_no_key_fits_is_named_the_same_each_time(tools, tmp_path, temporary):
    files = {f"{name}.yaml": tools.secret().replace("login", name) for name in ("a", "b")}
    says = "resources: [a.yaml, b.yaml]\n"
    root = tree(tmp_path, {"kustomization.yaml": says, **files})
    message = await failure(root, {"a.agekey": tools.other_age})
    assert "'Secret/a from a.yaml'" in message
    assert "'Secret/b from b.yaml'" in message
    assert "cannot get sops data key: age1" in message
    assert "identity did not match any of the recipients" in message
    assert str(temporary) not in message
    assert message == await failure(root, {"a.agekey": tools.other_age})


async def test_all_files_that_no_key_fits_are_named(tools, tmp_path):
    says = "secretGenerator:\n- name: s\n  files: [a.yaml, b.json]\n"
    files = {"a.yaml": tools.encrypted("a: b\n"), "b.json": tools.encrypted('{"a": "b"}', "json")}
    message = await failure(tree(tmp_path, {"kustomization.yaml": says, **files}), {})
    assert message.startswith("error decrypting sources: ")
    assert "a.yaml" in message
    assert "b.json" in message


async def test_a_damaged_value_is_not_shown(tools, tmp_path):
    damaged = tools.secret().replace("password: ENC[", f"password: {PASSWORD}[")
    message = await failure(tree(tmp_path, {"a.yaml": damaged}), {"a.agekey": tools.age})
    assert "error decrypting sops tree" in message
    assert PASSWORD not in message


async def test_a_broken_openpgp_key_is_named(tools, pgp, tmp_path, temporary):
    broken = b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nAAAA\n-----END PGP PRIVATE KEY BLOCK-----\n"
    message = await failure(tree(tmp_path, {"a.yaml": pgp.secret}), {"my.asc": broken})
    assert "failed to import 'my.asc' data from sops decryption Secret 'team/keys'" in message
    assert list(temporary.iterdir()) == []


async def test_an_encrypted_secret_without_decryption_is_refused(tools, tmp_path):
    files = Survey(DiskTree(tree(tmp_path, {"a.yaml": tools.secret()})))
    ks = kustomization(decryption=None)
    made = await build.filled(ks, await build.template(ks, files, "/"), None, strict=True)
    with pytest.raises(Failed, match="Secret/login is SOPS encrypted") as caught:
        build.require_decrypted(made)
    assert caught.value.reason == "ReconciliationFailed"


async def test_too_large_a_document_is_refused(tools, tmp_path, monkeypatch):
    monkeypatch.setattr("kustomize_controller.sops.LARGEST", 100)
    assert "more than the 100 that are decrypted" in await failure(
        tree(tmp_path, {"a.yaml": tools.secret()}), {"a.agekey": tools.age}
    )


# What nobody gets to see


def recorder(directory: Path, real: str, name: str) -> str:
    """A program that writes down how it was called, and calls the real one."""
    program = directory / name
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$0 $*" >>{directory}/called\nexec {real} "$@"\n')
    program.chmod(0o755)
    return str(program)


async def test_no_key_and_no_plaintext_shows_anywhere(tools, pgp, tmp_path, temporary, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sops", "gpg"):
        recorder(programs, str(shutil.which(name)), name)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    files = {"a.yaml": tools.secret().replace("login", "a"), "b.yaml": pgp.secret.replace("login", "b")}
    root = tree(tmp_path / "tree", {"kustomization.yaml": "resources: [a.yaml, b.yaml]\n", **files})
    entries = {"a.agekey": tools.age, "b.asc": pgp.key, "sops.vault-token": b"hvs.token-of-vault"}
    made = await built(root, entries)
    assert [manifest["stringData"]["password"] for manifest in made] == [PASSWORD, PASSWORD]
    failed = await failure(root, entries | {"a.agekey": tools.other_age})
    called = (programs / "called").read_text()
    assert "decrypt --ignore-mac" in called
    assert "--import" in called
    age = [line for key in (tools.age, tools.other_age) for line in key.decode().split() if line.startswith("AGE-")]
    shown = called + caplog.text + failed + repr(keys.of("team/keys", entries))
    for secret in (*age, PASSWORD, "hvs.token-of-vault", pgp.key.decode().splitlines()[3]):
        assert secret not in shown
    assert list(temporary.iterdir()) == []
    until_gone(str(temporary))


async def test_the_private_directory_is_private_while_it_is_there(tools, pgp, tmp_path, temporary):
    program = tmp_path / "sops"
    program.write_text(f'#!/bin/sh\nfind "$HOME" -printf "%m %y %f\\n" >{tmp_path}/seen\nexec sops "$@"\n')
    program.chmod(0o755)
    await built(tree(tmp_path / "t", {"a.yaml": pgp.secret}), {"b.asc": pgp.key}, program=str(program))
    seen = [line.split() for line in (tmp_path / "seen").read_text().splitlines()]
    assert {mode for mode, kind, name in seen if kind == "d" and name.startswith("sops-")} == {"700"}
    assert {mode for mode, kind, name in seen if kind == "d" and name in ("gnupg", "private-keys-v1.d")} == {"700"}
    assert any(name.endswith(".key") and mode == "600" for mode, kind, name in seen)


async def test_the_child_gets_no_more_of_the_environment_than_it_needs(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", "/the/controllers/own")
    monkeypatch.setenv("SOPS_AGE_KEY_CMD", "touch /tmp/ran")
    monkeypatch.setenv("SOME_PASSWORD", PASSWORD)
    monkeypatch.setenv("AWS_ROLE_ARN", "arn")
    program = tmp_path / "sops"
    program.write_text(f'#!/bin/sh\nenv >{tmp_path}/env\nexec sops "$@"\n')
    program.chmod(0o755)
    await built(tree(tmp_path / "t", {"a.yaml": tools.secret()}), {"a.agekey": tools.age}, program=str(program))
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert {"SOPS_AGE_KEY", "AWS_ROLE_ARN", "HOME", "GNUPGHOME", "PATH"} <= names
    assert not {"SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY_CMD", "SOME_PASSWORD"} & names


async def test_cancelling_ends_what_runs_and_removes_the_keys(tools, pgp, tmp_path, temporary):
    program = tmp_path / "sops"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/begun\nsleep 61.25 &\nsleep 61.25\n")
    program.chmod(0o755)
    root = tree(tmp_path / "t", {"a.yaml": pgp.secret})
    task = asyncio.create_task(built(root, {"b.asc": pgp.key}, program=str(program)))
    while not (tmp_path / "begun").exists():
        await asyncio.sleep(0.01)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 15
    assert list(temporary.iterdir()) == []
    until_gone("sleep 61.25")
    until_gone(str(temporary))


# Programs


def run(processes: Processes, tmp_path: Path, script: str, *, seconds: float = 30.0, output: int = 1000) -> Any:
    env = {"PATH": os.environ["PATH"]}
    return processes.run(["/bin/sh", "-c", script], env=env, cwd=tmp_path, seconds=seconds, output=output)


def test_a_program_that_takes_too_long_ends_with_its_children(tmp_path):
    with pytest.raises(TimedOut):
        run(Processes(), tmp_path, "sleep 62.5 & sleep 62.5", seconds=0.3)
    until_gone("sleep 62.5")


def test_a_program_that_prints_too_much_ends(tmp_path):
    with pytest.raises(TooLarge):
        run(Processes(), tmp_path, "yes")


def test_after_a_stop_nothing_starts(tmp_path):
    processes = Processes()
    assert run(processes, tmp_path, "echo a; echo b >&2; exit 3").status == 3
    processes.stop()
    with pytest.raises(Stopped):
        run(processes, tmp_path, "touch started")
    assert not (tmp_path / "started").exists()


# Keys


GOOGLE = json.dumps({"type": "service_account", "private_key": "p"}).encode()
SERVICES = [
    (
        {"sops.aws-kms": b"aws_access_key_id: id\naws_secret_access_key: key\naws_session_token: token\n"},
        {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key", "AWS_SESSION_TOKEN": "token"},
    ),
    (
        {"sops.azure-kv": b"tenantId: t\nclientId: c\nclientSecret: s\nauthorityHost: https://a\n"},
        {
            "AZURE_TENANT_ID": "t",
            "AZURE_CLIENT_ID": "c",
            "AZURE_CLIENT_SECRET": "s",
            "AZURE_AUTHORITY_HOST": "https://a",
        },
    ),
    (
        {"sops.azure-kv": '\ufeff{"tenant": "t", "appId": "c", "password": "s"}'.encode("utf-16-le")},
        {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"},
    ),
    ({"sops.azure-kv": b"clientId: c\n"}, {"AZURE_CLIENT_ID": "c"}),
    ({"sops.vault-token": b"hvs.abc\n"}, {"VAULT_TOKEN": "hvs.abc"}),
    ({"other": b"x", "readme.txt": b"y"}, {}),
]


@pytest.mark.parametrize(("entries", "variables"), SERVICES)
def test_an_entry_becomes_the_variables_that_sops_reads(entries, variables):
    assert keys.of("team/keys", entries).variables == variables


def test_a_google_key_and_an_azure_certificate():
    found = keys.of(
        "team/keys",
        {"sops.gcp-kms": GOOGLE, "sops.azure-kv": b"tenantId: t\nclientId: c\nclientCertificate: PEM\n"},
    )
    assert json.loads(found.variables["GOOGLE_CREDENTIALS"]) == json.loads(GOOGLE)
    assert found.certificate == b"PEM"


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.agekey", b"# nothing\n", "it has no age key"),
        ("a.agekey", b"AGE-SECRET-KEY-1ABC\nhunter2-in-clear\n", "line 2 is no age key"),
        ("a.agekey", b"\xff\x00", "it is no text"),
        ("a.asc", b"hunter2-in-clear", "it is no armored OpenPGP private key"),
        ("a.asc", b"x" * 200_000, "larger than"),
        ("sops.aws-kms", b"hunter2-in-clear: [", "no YAML or JSON mapping"),
        ("sops.aws-kms", b"aws_access_key_id: a", "it must have the fields"),
        ("sops.azure-kv", b"tenantId: hunter2-in-clear", "it must have tenantId, clientId and clientSecret"),
        ("sops.gcp-kms", b"/var/run/secrets/token", "it must be the JSON of a key"),
        ("sops.gcp-kms", b'{"type": "external_account", "credential_source": {"file": "/x"}}', "it must be the JSON"),
        ("sops.vault-token", b"a b", "it must be one token"),
    ],
)
def test_an_entry_that_is_no_key_is_named_and_not_shown(name, content, problem):
    with pytest.raises(keys.BadKey, match=problem) as caught:
        keys.of("team/keys", {name: content})
    assert f"'{name}'" in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_what_a_secret_brings_replaces_what_the_controller_has():
    outer = {"VAULT_TOKEN": "own", "VAULT_CACERT": "/ca", "AWS_PROFILE": "own", "PATH": "/bin", "DATABASE": "x"}
    assert keys.of("w", {"sops.vault-token": b"given"}).environment(outer) == {
        "VAULT_TOKEN": "given",
        "VAULT_CACERT": "/ca",
        "AWS_PROFILE": "own",
        "PATH": "/bin",
    }


def test_only_age_keys_come_from_the_secret_that_all_share(tools):
    found = keys.of("w", {"a.agekey": tools.age, "sops.vault-token": b"t", "a.asc": b"x"}, only_age=True)
    assert list(found.variables) == ["SOPS_AGE_KEY"]
    assert found.pgp == ()


def test_a_changed_key_is_another_build():
    ks: Any = kustomization()
    digests = [keys.of("team/keys", {"sops.vault-token": token}).digest for token in (b"a", b"b", b"a")]
    first, second, third = (memory.inputs(ks, None, digest) for digest in digests)
    assert first == third
    assert first != second


# The spec


class Attempts:
    """As much of an attempt as finding keys needs: Secrets by namespace/name."""

    def __init__(self, secrets: Mapping[str, dict[str, bytes]], *flags: str) -> None:
        self.options = options(list(flags))
        self._secrets = secrets

    async def secret(self, name: str, namespace: str) -> dict[str, bytes]:
        try:
            return self._secrets[f"{namespace}/{name}"]
        except KeyError:
            raise NotFound(f'secrets "{name}" not found') from None


async def found(ks: Kustomization, secrets: Mapping[str, dict[str, bytes]], *flags: str) -> Keys | None:
    attempt: Any = Attempts(secrets, *flags)
    return await decrypt.find(ks, attempt)


async def test_keys_come_from_the_named_secret_or_the_one_that_all_share():
    named = {"team/keys": {"sops.vault-token": b"mine"}, "flux-system/shared": {"a.agekey": b"AGE-SECRET-KEY-1A"}}
    mine = await found(kustomization(), named, "--sops-age-secret=shared")
    assert mine is not None
    assert mine.variables == {"VAULT_TOKEN": "mine"}
    shared = await found(kustomization(decryption={"provider": "sops"}), named, "--sops-age-secret=shared")
    assert shared is not None
    assert shared.variables == {"SOPS_AGE_KEY": "AGE-SECRET-KEY-1A"}
    assert await found(kustomization(decryption={"provider": "sops"}), named) == keys.NONE
    assert await found(kustomization(decryption=None), named) is None


async def test_a_missing_or_broken_secret_fails_the_build():
    with pytest.raises(Failed) as caught:
        await found(kustomization(), {})
    assert (caught.value.reason, caught.value.message) == ("BuildFailed", 'secrets "keys" not found')
    with pytest.raises(Failed, match=r"sops decryption Secret 'team/keys': failed to import 'a.agekey' data"):
        await found(kustomization(), {"team/keys": {"a.agekey": b"x"}})


def test_an_account_for_key_services_needs_the_gate():
    closed: Any = Attempts({})
    wanted = kustomization(decryption={"provider": "sops", "serviceAccountName": "x"})
    decrypt.require_enabled(kustomization(), closed)
    with pytest.raises(Stalled) as caught:
        decrypt.require_enabled(wanted, closed)
    assert caught.value.reason == "FeatureGateDisabled"
    opened: Any = Attempts({}, "--feature-gates=ObjectLevelWorkloadIdentity=true")
    decrypt.require_enabled(wanted, opened)


def test_what_sops_reports_is_told_on_one_line():
    report = (
        "Failed to get the data key required to decrypt the SOPS file.\n\nGroup 0: FAILED\n"
        "  age1abc: FAILED\n    - | identity did not match. Did not find keys in locations\n      | '/tmp/x'.\n\n"
        "  E406: FAILED\n    - | gpg: decryption failed:\n      | No secret key\n\nRecovery failed.\n"
    )
    assert explained(report) == "age1abc: identity did not match; E406: gpg: decryption failed: No secret key"
    assert explained("") == "none of the keys fits"
