"""Signatures of Git objects: OpenPGP and SSH, checked against a set of public keys.

    raw object → payload, signature → key that signed, or a SignatureError

OpenPGP is checked by gpg in a home directory made for one check, SSH by ssh-keygen. Both are fed files and bytes, never
a command line with anything of the repository in it.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import gnupg

from shared.git.command import in_thread
from source_controller.signatures.errors import SignatureError

_PGP, _SSH = b"-----BEGIN PGP SIGNATURE-----", b"-----BEGIN SSH SIGNATURE-----"
_PGP_KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_SSH_KEY = re.compile(r"(?:^|\s)((?:ssh-|ecdsa-|sk-)[\w@.-]+ AAAA[\w+/=]+)")
_GPG_OPTIONS = ("--no-autostart", "--no-auto-key-retrieve", "--no-random-seed-file")
_SECONDS = 20.0
_NO_TRUSTED_KEY = "it is not signed by a key that is trusted"


@dataclass(frozen=True)
class Keys:
    """The trusted public keys."""

    pgp: tuple[str, ...]
    """Armored."""
    ssh: tuple[str, ...]
    """As in authorized_keys: type and key."""


def keys(values: Iterable[bytes]) -> Keys:
    """The keys in a Secret's values. SignatureError when there is none."""
    pgp: list[str] = []
    ssh: list[str] = []
    for value in values:
        text = value.decode(errors="replace")
        if _PGP_KEY in text:
            pgp.append(text)
            continue
        lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
        ssh.extend(found[1] for line in lines if (found := _SSH_KEY.search(line)))
    if not pgp and not ssh:
        raise SignatureError("it holds no armored OpenPGP key and no SSH public key")
    return Keys(tuple(pgp), tuple(ssh))


def of_commit(raw: bytes) -> tuple[bytes, bytes]:
    """What was signed of a commit object, and the signature."""
    head, gap, message = raw.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] = []
    found, inside = 0, b""
    for line in head.split(b"\n"):
        if line.startswith(b" "):
            name = inside
        else:
            name = inside = line.split(b" ", 1)[0]
            found += name == b"gpgsig"
        if name == b"gpgsig":
            signature.append(line.removeprefix(b"gpgsig").removeprefix(b" "))
        elif name != b"gpgsig-sha256":
            kept.append(line)
    if not found:
        raise SignatureError("it is not signed")
    if found > 1:
        raise SignatureError("it has more than one signature")
    return b"\n".join(kept) + gap + message, b"\n".join(signature) + b"\n"


def of_tag(raw: bytes) -> tuple[bytes, bytes]:
    """What was signed of a tag object, and the signature, which is its end."""
    start = max(raw.rfind(b"\n" + _PGP), raw.rfind(b"\n" + _SSH))
    if start < 0:
        raise SignatureError("it is not signed")
    return raw[: start + 1], raw[start + 1 :]


def is_signed(raw: bytes) -> bool:
    """Does a tag object end in a signature?"""
    return b"\n" + _PGP in raw or b"\n" + _SSH in raw


async def verify(payload: bytes, signature: bytes, trusted: Keys) -> str:
    """The id (OpenPGP) or fingerprint (SSH) of the trusted key that signed. SignatureError when none did."""
    if signature.startswith(_PGP):
        if not trusted.pgp:
            raise SignatureError("it is signed with OpenPGP, but the secret has no such key")
        return await in_thread(_pgp, payload, signature, trusted.pgp)
    if signature.startswith(_SSH):
        if not trusted.ssh:
            raise SignatureError("it is signed with an SSH key, but the secret has no such key")
        return await _ssh(payload, signature, trusted.ssh)
    raise SignatureError("its signature is neither OpenPGP nor SSH")


def _pgp(payload: bytes, signature: bytes, trusted: tuple[str, ...]) -> str:
    with tempfile.TemporaryDirectory(prefix="gpg-") as home:
        try:
            gpg = gnupg.GPG(gnupghome=home, options=list(_GPG_OPTIONS))
        except OSError as error:
            raise SignatureError("gpg can't be run: install GnuPG") from error
        imported = gpg.import_keys("\n".join(trusted))
        if not imported.fingerprints:
            raise SignatureError("the OpenPGP keys in the secret can't be read")
        file = Path(home, "signature")
        file.write_bytes(signature)
        result = gpg.verify_data(str(file), payload)
    if result.valid and result.pubkey_fingerprint:
        return str(result.pubkey_fingerprint)[-16:]
    problem = str(result.key_status or result.status or "")
    if problem not in ("", "no public key", "signature valid"):
        raise SignatureError(problem)
    raise SignatureError(_NO_TRUSTED_KEY + (f" (its key is '{result.key_id}')" if result.key_id else ""))


async def _ssh(payload: bytes, signature: bytes, trusted: tuple[str, ...]) -> str:
    with tempfile.TemporaryDirectory(prefix="ssh-") as home:
        signers, file = Path(home, "signers"), Path(home, "signature")
        await asyncio.to_thread(signers.write_text, "".join(f'* namespaces="git" {key}\n' for key in trusted))
        await asyncio.to_thread(file.write_bytes, signature)
        arguments = ("-Y", "verify", "-f", str(signers), "-I", "signer", "-n", "git", "-s", str(file))
        try:
            process = await asyncio.create_subprocess_exec(
                "ssh-keygen",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise SignatureError("ssh-keygen can't be run: install OpenSSH") from error
        try:
            async with asyncio.timeout(_SECONDS):
                output, _ = await process.communicate(payload)
        except TimeoutError as error:
            raise SignatureError("ssh-keygen did not answer") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    found = re.search(rb"key (SHA256:\S+)", output)
    if process.returncode != 0 or found is None:
        raise SignatureError(_NO_TRUSTED_KEY)
    return found[1].decode()
