"""sops: one attempt's use of the `sops` program, with that attempt's keys and no others.

    document + keys, logins at key services → sops, gpg → the document in clear, or SopsError

Keys are in the child's environment, and what has to be in files (an OpenPGP keyring, a certificate) in a directory
that only this user can enter. What always holds after `close`: no program of this attempt runs, its gpg-agent is gone,
and so is the directory. Nothing of a document or a key is ever in an argument, a log line or an error.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from kustomize_controller.keys import Keys
from kustomize_controller.keyservices import ALLOWLIST, KeyServices, Login
from shared.processes import Missing, Processes, Stopped, TimedOut, TooLarge

FORMATS = ("yaml", "json", "dotenv", "ini", "binary")
LARGEST = 5 << 20
"""Bytes of an encrypted document."""
LONGEST = 60.0
"""Seconds that one document may take: key services are asked over the network."""
INSTALL = (
    "sops is not installed: install it (https://github.com/getsops/sops/releases) where this controller runs, "
    "on its PATH or where --sops-path says"
)

_OUTPUT = 4 * LARGEST
_NO_DATA_KEY = 128
_BY_STATUS = {
    4: "its values can't be written in the wanted format",
    25: "error decrypting sops tree: an encrypted value is damaged, or is not in sops' format",
    92: "it holds no document",
}
_GPG_CONF = "batch\nno-tty\nno-greeting\nno-auto-key-retrieve\ndisable-dirmngr\npinentry-mode error\n"
_AGENT_CONF = "disable-scdaemon\n"
_SHOWN = 2000
_WITH_ALLOWLIST = (3, 13)
_versions: dict[tuple[str, int], tuple[int, ...]] = {}
"""What each program said of itself: it stays the same while the file does."""
_versions_lock = threading.Lock()
_log = logging.getLogger(__name__)


class SopsError(Exception):
    """A document could not be decrypted. The message says why, and holds nothing secret."""


class NoDataKey(SopsError):
    """None of the keys and logins fits."""


class Sops:
    """The sops program with one attempt's keys. Blocks; may be used by several threads."""

    def __init__(
        self, keys: Keys, program: str = "sops", *, seconds: float = 300.0, services: KeyServices | None = None
    ) -> None:
        """`program` is a path or a name to be found on PATH; all documents together may take `seconds`. `services` are
        who the attempt is at key services, if it is anybody."""
        self._keys, self._program, self._services = keys, program, services
        self._deadline = time.monotonic() + seconds
        self._processes = Processes()
        self._lock = threading.Lock()
        self._closed = False
        self._home: Path | None = None
        self._environment: dict[str, str] = {}
        self._problem: SopsError | None = None

    def decrypt(self, content: bytes, given: str, wanted: str) -> bytes:
        """The document in clear. `given` and `wanted` are of FORMATS. SopsError, or Stopped when the attempt ends."""
        if len(content) > LARGEST:
            raise SopsError(f"it has {len(content)} bytes, more than the {LARGEST} that are decrypted")
        program = shutil.which(self._program)
        if program is None:
            raise SopsError(INSTALL)
        home = self._prepared()
        logins = self._services.logins(content, given) if self._services else [Login()]
        problem: SopsError | None = None
        for login in logins:
            try:
                return self._tried(program, content, given, wanted, home, login)
            except NoDataKey as error:
                problem = error
        assert problem is not None
        raise problem

    def _tried(self, program: str, content: bytes, given: str, wanted: str, home: Path, login: Login) -> bytes:
        if ALLOWLIST in login.variables and self._version(program, home) < _WITH_ALLOWLIST:
            # An older one would show the token to every server that the document names.
            raise NoDataKey("cannot get sops data key: to log in at Vault needs sops 3.13 or newer")
        # The MAC is not looked at: it is of the file as it was encrypted, and a build has added to it since.
        arguments = [program, "decrypt", "--ignore-mac", "--input-type", given, "--output-type", wanted]
        environment = {**self._environment, **login.variables}
        if login.federated:
            environment["AZURE_FEDERATED_TOKEN_FILE"] = os.fspath(self._kept(home / "azure-token", login.federated))
        try:
            result = self._processes.run(
                arguments, env=environment, cwd=home, stdin=content, seconds=self._seconds(), output=_OUTPUT
            )
        except TimedOut as error:
            raise SopsError("sops took too long: is the key service to be reached?") from error
        except TooLarge as error:
            raise SopsError(f"it would have more than {_OUTPUT} bytes in clear") from error
        except Missing as error:
            raise SopsError(f"sops can't be run: {error}") from error
        if result.status == 0:
            return result.stdout
        if result.status == _NO_DATA_KEY:
            told = "; ".join([self._told(result.stderr, home, login.secrets), *login.problems])
            raise NoDataKey(f"cannot get sops data key: {told}")
        if "metadata not found" in result.stderr:
            raise SopsError(f"failed to load encrypted {given} data: it has no sops metadata")
        problem = _BY_STATUS.get(
            result.status, f"failed to load encrypted {given} data (sops ended with {result.status})"
        )
        raise SopsError(problem)

    def _version(self, program: str, home: Path) -> tuple[int, ...]:
        """Of the program; (0,) when it doesn't say."""
        stamp = (program, Path(program).stat().st_mtime_ns)
        with _versions_lock:
            if stamp not in _versions:
                arguments = [program, "--disable-version-check", "--version"]
                said = ""
                with suppress(TimedOut, TooLarge, Missing):
                    result = self._processes.run(
                        arguments, env=self._environment, cwd=home, seconds=self._seconds(), output=1 << 16
                    )
                    said = result.stdout.decode(errors="replace")
                found = re.match(r"sops (\d{1,5})\.(\d{1,5})", said)
                _versions[stamp] = tuple(map(int, found.groups())) if found else (0,)
            return _versions[stamp]

    def _kept(self, file: Path, content: str) -> Path:
        """A private file, written once an attempt, whoever needs it first."""
        with self._lock:
            if not file.exists():
                _write_private(file, content.encode())
        return file

    def stop(self) -> None:
        """End whatever runs, at once; `close` must follow."""
        if self._services is not None:
            self._services.stop()
        self._processes.stop()

    def close(self) -> None:
        """End all programs and remove all keys."""
        self.stop()
        with self._lock:
            self._closed = True
            home, self._home = self._home, None
            self._environment = {}
        if home is None:
            return
        self._processes.wait_idle(5.0)
        if (home / "gnupg").exists():
            _end_agent(home)
        for _ in range(3):  # an agent that is just ending may still write
            shutil.rmtree(home, ignore_errors=True)
            if not home.exists():
                return
            time.sleep(0.05)
        _log.error("could not remove %s, which may hold keys: remove it", home)

    def _seconds(self) -> float:
        return max(0.0, min(LONGEST, self._deadline - time.monotonic()))

    def _prepared(self) -> Path:
        """The private directory, made when it is first needed."""
        with self._lock:
            if self._closed:
                raise Stopped
            if self._problem is not None:
                raise self._problem
            if self._home is not None:
                return self._home
            self._home = home = Path(tempfile.mkdtemp(prefix="sops-"))
            try:
                self._fill(home)
            except SopsError as error:
                self._problem = error
                raise
            return home

    def _fill(self, home: Path) -> None:
        own = {"HOME": home, "XDG_CONFIG_HOME": home, "TMPDIR": home, "GNUPGHOME": home / "gnupg"}
        replaced = self._services.replaced if self._services else frozenset()
        self._environment = self._keys.environment(os.environ, replaced)
        self._environment |= {name: os.fspath(path) for name, path in own.items()}
        self._environment |= {"LC_ALL": "C", "SOPS_CONFIG": os.fspath(home / "config.yaml"), "GOTRACEBACK": "none"}
        (home / "config.yaml").write_text("{}\n")  # or sops would look for one in all directories above
        if self._keys.certificate:
            file = home / "certificate.pem"
            _write_private(file, self._keys.certificate)
            self._environment["AZURE_CLIENT_CERTIFICATE_PATH"] = os.fspath(file)
        if not self._keys.pgp:
            return
        gnupg = home / "gnupg"
        gnupg.mkdir(mode=0o700)
        (gnupg / "gpg.conf").write_text(_GPG_CONF)
        (gnupg / "gpg-agent.conf").write_text(_AGENT_CONF)
        gpg = shutil.which("gpg")
        if gpg is None:
            raise SopsError("gpg is not installed: install GnuPG where this controller runs, to use OpenPGP keys")
        for name, key in self._keys.pgp:
            told = f"failed to import '{name}' data from sops decryption Secret '{self._keys.where}'"
            try:
                result = self._processes.run(
                    [gpg, "--import"],
                    env=_without_keys(self._environment),
                    cwd=home,
                    stdin=key,
                    seconds=self._seconds(),
                    output=1 << 20,
                )
            except (TimedOut, TooLarge, Missing) as error:
                raise SopsError(f"{told}: gpg can't be run or doesn't answer") from error
            if result.status != 0:
                raise SopsError(f"{told}: gpg can't read it as an OpenPGP private key")

    def _told(self, stderr: str, home: Path, secrets: list[str]) -> str:
        """sops' report on the keys it tried, on one line, the same for the same failure."""
        text = explained(stderr).replace(os.fspath(home), "").replace(os.fspath(home.resolve()), "")
        for secret in filter(None, [*self._keys.secrets, *secrets]):
            text = text.replace(secret, "…")
        return text[:_SHOWN]


def explained(stderr: str) -> str:
    """What sops says of each key that it tried: `key: reason; key: reason`.

    It draws a list whose lines are wrapped and begin with `|`, below a line for each key.
    """
    found: list[str] = []
    reasons: list[list[str]] = []
    for line in stderr.splitlines():
        if match := re.match(r"  (\S.*): (FAILED|SUCCESS|NOT ATTEMPTED)", line):
            found.append(match[1])
            reasons.append([])
        elif (match := re.match(r"\s+(?:- )?\| ?(.*)", line)) and reasons:
            reasons[-1].append(match[1].strip())
    texts = []
    for key, lines in zip(found, reasons, strict=True):
        # Where it looked for keys is about this attempt's directory, and helps nobody.
        reason = re.sub(r"\s*Did not find keys in locations.*", "", " ".join(lines)).strip().rstrip(".")
        texts.append(f"{key}: {reason}" if reason else f"{key}: no such key")
    return "; ".join(texts) or "none of the keys fits"


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: environment[name] for name in ("PATH", "HOME", "GNUPGHOME", "TMPDIR", "LC_ALL") if name in environment
    }


def _write_private(file: Path, content: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(content)


def _end_agent(home: Path) -> None:
    """End the daemons that gpg started for a keyring. Were that to fail, they end when its directory is gone."""
    gpgconf = shutil.which("gpgconf")
    if gpgconf is None:
        return
    gnupg = os.fspath(home / "gnupg")
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.fspath(home), "GNUPGHOME": gnupg}
    commands = [["--kill", "all"]]
    if Path(f"/run/user/{os.getuid()}").is_dir():
        commands.append(["--remove-socketdir"])
    for command in commands:
        with suppress(TimedOut, TooLarge, Missing, Stopped):
            Processes().run([gpgconf, "--homedir", gnupg, *command], env=env, cwd=home, seconds=5.0, output=1 << 16)
