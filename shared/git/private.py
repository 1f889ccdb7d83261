"""Private files: what git and ssh need of credentials, readable by this user only.

    address + credentials → files in a private directory → git's environment

No credential is an argument of a program; a helper answers prompts, for the host that it is for and no other.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from ssl import get_default_verify_paths

from shared.git import command
from shared.git.credentials import Address, Credentials

# Answers git's and ssh's prompts, but only for the host that the credentials are for: a submodule or redirect that
# leads elsewhere gets nothing.
_ASKPASS = """#!/bin/sh
case "$1" in
"Username for '$FLUVIAL_ORIGIN': ") printf '%s\\n' "$FLUVIAL_USERNAME" ;;
"Password for '"*"@$FLUVIAL_HOST': ") printf '%s\\n' "$FLUVIAL_PASSWORD" ;;
*passphrase*) printf '%s\\n' "$FLUVIAL_PASSPHRASE" ;;
*) exit 1 ;;
esac
"""


def environment(
    at: Address,
    credentials: Credentials,
    home: Path,
    *,
    host_keys: Sequence[str] = (),
    key_exchanges: Sequence[str] = (),
) -> dict[str, str]:
    """Writes the private files to `home` and makes git's environment of them. Blocks.

    The algorithms of SSH are those to accept, the most preferred first; ssh's own choice when there are none.
    """
    extra: dict[str, str] = {}
    config: dict[str, str] = {}
    if credentials.ca:
        system = get_default_verify_paths().cafile
        ours = Path(system).read_text() if system and Path(system).is_file() else ""
        extra["GIT_SSL_CAINFO"] = _private(home / "ca.crt", f"{ours}\n{credentials.ca}\n")
    if credentials.certificate:
        extra["GIT_SSL_CERT"] = _private(home / "tls.crt", credentials.certificate)
        extra["GIT_SSL_KEY"] = _private(home / "tls.key", credentials.key)
    if credentials.bearer_token:
        config[f"http.{at.origin}/.extraHeader"] = f"Authorization: Bearer {credentials.bearer_token}"
        config["http.followRedirects"] = "false"  # git would send the header on
    if credentials.proxy:
        extra |= dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), credentials.proxy)
        extra |= {"HTTPS_PROXY": credentials.proxy, "ALL_PROXY": credentials.proxy, "no_proxy": "", "NO_PROXY": ""}
    if credentials.password and not credentials.identity:
        extra["GIT_ASKPASS"] = _private(home / "askpass", _ASKPASS, mode=0o700)
        extra["FLUVIAL_ORIGIN"] = at.origin
        extra["FLUVIAL_HOST"] = at.origin.partition("://")[2]
        extra["FLUVIAL_USERNAME"] = credentials.username
        extra["FLUVIAL_PASSWORD"] = credentials.password
    if credentials.identity:
        extra |= _ssh(credentials, home, host_keys, key_exchanges)
    return command.environment(extra, config, home)


def _ssh(
    credentials: Credentials, home: Path, host_keys: Sequence[str], key_exchanges: Sequence[str]
) -> dict[str, str]:
    identity = credentials.identity.replace("\r\n", "\n").strip("\n") + "\n"
    options = {
        "IdentityFile": _private(home / "identity", identity),
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": _private(home / "known_hosts", credentials.known_hosts.rstrip("\n") + "\n"),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "CheckHostIP": "no",
        "PreferredAuthentications": "publickey",
        "ForwardAgent": "no",
        "PermitLocalCommand": "no",
        "ConnectTimeout": "30",
        "NumberOfPasswordPrompts": "1",
        "LogLevel": "INFO",  # below it ssh does not say which algorithms the server offers
    }
    if host_keys:
        options["HostKeyAlgorithms"] = ",".join(host_keys)
    if key_exchanges:
        options["KexAlgorithms"] = ",".join(key_exchanges)
    extra: dict[str, str] = {}
    if credentials.password:
        extra["SSH_ASKPASS"] = _private(home / "askpass", _ASKPASS, mode=0o700)
        extra["SSH_ASKPASS_REQUIRE"] = "force"
        extra["FLUVIAL_PASSPHRASE"] = credentials.password
    else:
        options["BatchMode"] = "yes"
    words = ["ssh", "-F", "/dev/null", *(f"-o{name}={value}" for name, value in options.items())]
    return {**extra, "GIT_SSH_COMMAND": shlex.join(words), "GIT_SSH_VARIANT": "ssh"}


def _private(file: Path, content: str, mode: int = 0o600) -> str:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as out:
        out.write(content)
    return os.fspath(file)
