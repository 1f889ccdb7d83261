"""What git says went wrong, in the words that Flux's users know.

A GitError's message is fit for a status: it names what failed and carries no secret. Translation happens once, here.
"""

from __future__ import annotations

import re

_LONGEST = 600


class GitError(Exception):
    """A Git operation failed; the message says why."""


class EmptyRepository(GitError):
    """The remote is there, but has no commit yet."""


class RefNotFound(GitError):
    """The remote has no such branch, tag, reference or commit."""


class MissingDirectory(GitError):
    """A directory of a sparse checkout is not in the commit."""


class AuthenticationFailed(GitError):
    """The remote refuses these credentials, or wants some."""


class InvalidURL(GitError):
    """The address can't be a Git repository's."""


class TimedOut(GitError):
    """The remote did not answer, or not fast enough."""


class TooLarge(GitError):
    """More files or bytes than are accepted."""


_UNKNOWN_AUTHORITY = "tls: failed to verify certificate: x509: certificate signed by unknown authority"

# What git, curl and ssh print → what is reported. The first that matches decides.
_KNOWN: tuple[tuple[str, str, type[GitError]], ...] = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "ssh: handshake failed: knownhosts: key mismatch",
        GitError,
    ),
    (
        r"No \S+ host key is known for|Host key verification failed",
        "ssh: handshake failed: knownhosts: key is unknown",
        GitError,
    ),
    (
        r"no matching host key type found[^\n]*Their offer: (?P<a>[\w@.,-]+)",
        "ssh: handshake failed: no common algorithm for host key; server offered: {a}",
        GitError,
    ),
    (
        r"no matching key exchange method found[^\n]*Their offer: (?P<a>[\w@.,-]+)",
        "ssh: handshake failed: no common algorithm for key exchange; server offered: {a}",
        GitError,
    ),
    (
        r"incorrect passphrase|error in libcrypto|invalid format|Load key[^\n]*: ",
        "the SSH identity can't be used: it is no private key, or its password is wrong",
        AuthenticationFailed,
    ),
    (
        r"Permission denied \(",
        "ssh: handshake failed: ssh: unable to authenticate, the server refuses the identity",
        AuthenticationFailed,
    ),
    (
        r"Authentication failed for|could not read (Username|Password) for|terminal prompts disabled"
        r"|returned error: 401|HTTP Basic: Access denied",
        "authentication required",
        AuthenticationFailed,
    ),
    (r"returned error: 403", "authorization failed", AuthenticationFailed),
    (r"returned error: 407|Proxy CONNECT aborted|response 407", "proxy authentication required", AuthenticationFailed),
    (
        r"returned error: 404|repository '[^']*' not found|Repository not found|does not appear to be a git repository",
        "repository not found",
        RefNotFound,
    ),
    (
        r"returned error: (?P<a>30\d)",
        "the server redirects (status {a}), which is not followed with these credentials: "
        "write the address it redirects to into the URL",
        GitError,
    ),
    (r"returned error: 429", "too many requests: the server limits how often it may be asked", GitError),
    (r"returned error: (?P<a>\d{{3}})".replace("{{", "{").replace("}}", "}"), "unexpected status code {a}", GitError),
    (
        r"certificate has expired|certificate is not yet valid",
        "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
        GitError,
    ),
    (
        r"certificate subject name|does not match target host name|no alternative certificate subject name",
        "tls: failed to verify certificate: x509: certificate is not valid for this host",
        GitError,
    ),
    (
        r"server certificate verification failed|unable to get (local )?issuer certificate"
        r"|self[- ]signed certificate|SSL certificate problem",
        _UNKNOWN_AUTHORITY,
        GitError,
    ),
    (
        r"error setting certificate (file|verify locations)|error reading ca cert file|Problem with the local SSL cert",
        "the certificates of the secret can't be used: they are not PEM, or the key does not belong to them",
        AuthenticationFailed,
    ),
    (r"Could not resolve (host|proxy|hostname):? (?P<a>[\w.:-]+)", "lookup {a}: no such host", GitError),
    (
        r"[Ff]ailed to connect to (?P<a>\S+) port (?P<b>\d+)[^\n]*[Cc]onnection refused"
        r"|[Ff]ailed to connect to (?P<c>\S+) port (?P<d>\d+)",
        "dial tcp {a}{c}:{b}{d}: connect: connection refused",
        GitError,
    ),
    (
        r"connect to host (?P<a>\S+) port (?P<b>\d+): (?P<c>[^\r\n]+)",
        "dial tcp {a}:{b}: {c}",
        GitError,
    ),
    (r"couldn't find remote ref (?P<a>\S+)", 'couldn\'t find remote ref "{a}"', RefNotFound),
    (
        r"not our ref (?P<a>[0-9a-f]+)|Server does not allow request for unadvertised object (?P<b>[0-9a-f]+)",
        "object not found: {a}{b}",
        RefNotFound,
    ),
    (r"pathspec '(?P<a>[^']*)' did not match", "'{a}' does not exist in repository", GitError),
    (r"No space left on device", "no space left on device: free some or enlarge the volume", GitError),
    (
        r"transport '(?P<a>[\w-]+)' not allowed",
        "the transport '{a}' is not allowed: use http, https or ssh",
        InvalidURL,
    ),
    (
        r"early EOF|unexpected disconnect|curl 18|curl 56|curl 92|hung up unexpectedly|Empty reply from server"
        r"|Connection reset|Connection closed by|transfer closed",
        "unexpected EOF: the server cut the connection",
        GitError,
    ),
    (
        r"index-pack failed|invalid index-pack output|unpack-objects|pack has bad object|inflate: data stream error"
        r"|did not receive expected object|bad pack|pack is corrupted",
        "the server sent a damaged pack",
        GitError,
    ),
    (
        r"not valid: is this a git repository|protocol error|invalid server response|bad line length",
        "the server's answer is not Git's: check the URL",
        GitError,
    ),
)


def translated(stderr: str, *, secrets: tuple[str, ...] = ()) -> GitError:
    """The error for what a failed git command printed."""
    for pattern, message, kind in _KNOWN:
        if found := re.search(pattern, stderr):
            groups = {name: value or "" for name, value in found.groupdict().items()}
            return kind(redacted(message.format(**groups), secrets))
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))] or lines[-3:]
    text = "; ".join(re.sub(r"^(fatal|error): ", "", line) for line in telling) or "git failed and did not say why"
    text = redacted(text, secrets)
    return GitError(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")


def redacted(text: str, secrets: tuple[str, ...] = ()) -> str:
    """The text without user information in URLs and without any of `secrets`."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    text = re.sub(r"(?<=://)[^/\s'\"@]+@", "", text)
    return "".join(character if character.isprintable() or character in "\n\t" else "�" for character in text)
