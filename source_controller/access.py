"""Access: what an object's Secrets say about how to reach its Git repository.

GitRepository + Secrets → Address, Credentials
"""

from __future__ import annotations

import asyncio

from shared.api.meta import parse_duration
from shared.api.source import GitRepository
from shared.auth import AuthError, Clouds, GateClosed, github
from shared.git import credentials
from shared.git.credentials import Address, Credentials, CredentialsError
from shared.git.errors import AuthenticationFailed, EmptyRepository, GitError, InvalidURL, MissingDirectory, redacted
from shared.http import SecretError, proxy, tls
from shared.kube.errors import NotFound
from shared.loop.attempt import Attempt
from shared.loop.verdict import Failed, NotReady, Stalled

FETCH_FAILED = "FetchFailed"
_NO_APP = "secretRef with github app data must be specified when provider is set to github"
_APP = ("githubAppID", "githubAppInstallationID", "githubAppInstallationOwner", "githubAppPrivateKey")


def address(repository: GitRepository) -> Address:
    """Where the repository is. Stalls with URLInvalid."""
    url = repository.spec.url
    try:
        return credentials.address(url)
    except InvalidURL as error:
        message = f"failed to parse url '{redacted(url)}': {error}"
        raise Stalled("URLInvalid", message, condition=FETCH_FAILED) from error


async def find(repository: GitRepository, at: Address, clouds: Clouds, attempt: Attempt[GitRepository]) -> Credentials:
    """The credentials of the Secrets that the spec names, or of a cloud. AuthenticationFailed says what is wrong."""
    spec, namespace = repository.spec, repository.metadata.namespace
    through = ""
    if spec.proxy_secret_ref is not None:
        try:
            through = proxy.url(await attempt.secret(spec.proxy_secret_ref.name))
        except SecretError as error:
            name = f"{namespace}/{spec.proxy_secret_ref.name}"
            raise _refused(f"failed to configure proxy options: secret '{name}': {error}") from error
        except NotFound as error:
            raise _refused(f"failed to configure proxy options: {error}") from error
    data: dict[str, bytes] = {}
    holder = ""
    if spec.provider == "github" and spec.secret_ref is None:
        raise Stalled("InvalidProviderConfiguration", _NO_APP, condition=FETCH_FAILED)
    if spec.secret_ref is not None:
        secret = f"{namespace}/{spec.secret_ref.name}"
        try:
            data = await attempt.secret(spec.secret_ref.name)
        except NotFound as error:
            raise _refused(f"failed to get secret '{secret}': {error}") from error
        if spec.provider == "github":
            data, holder = await _token(repository, data, secret, clouds, through)
        elif any(key in data for key in _APP):
            message = f"secretRef '{secret}' has github app data but provider is not set to github"
            raise Failed("InvalidProviderConfiguration", message, condition=FETCH_FAILED)
    if spec.provider in ("aws", "azure"):
        login, holder = await _login(repository, clouds, through)
        data = {**data, **login}
    try:
        found = credentials.from_secret(at, data, proxy=through, holder=holder)
    except CredentialsError as error:
        hint = ": name a Secret with them in spec.secretRef" if spec.secret_ref is None else ""
        raise _refused(f"failed to configure authentication options: {error}{hint}") from error
    if found.identity and not found.password and credentials.is_encrypted(found.identity):
        raise _refused(f"SSH identity key is encrypted but no 'password' field was provided in the secret '{secret}'")
    return found


async def _token(
    repository: GitRepository, data: dict[str, bytes], secret: str, clouds: Clouds, through: str
) -> tuple[dict[str, bytes], str]:
    """The credentials that a GitHub App's Secret stands for now, and what stands for the App."""
    if not any(key in data for key in _APP):
        raise Failed("InvalidProviderConfiguration", _NO_APP, condition=FETCH_FAILED)
    trusted = {name: data[name] for name in ("ca.crt",) if name in data}
    try:
        app = github.from_secret(data)
        context = await asyncio.to_thread(tls.context, trusted) if trusted else None
        seconds = parse_duration(repository.spec.timeout)
        token = await github.token(clouds.tokens, app, tls=context, proxy=through, seconds=seconds)
    except (github.GitHubError, SecretError) as error:
        raise _refused(f"failed to configure authentication options: secret '{secret}': {error}") from error
    return {**trusted, "username": github.USER.encode(), "password": token.encode()}, app.digest


async def _login(repository: GitRepository, clouds: Clouds, through: str) -> tuple[dict[str, bytes], str]:
    """The credentials that a cloud gives now, and what stands for whom it gives them to."""
    spec = repository.spec
    try:
        who = clouds.who(repository.metadata.namespace, spec.service_account_name)
        login = await clouds.git(spec.provider or "", spec.url, who, proxy=through)
    except GateClosed as error:
        raise Stalled("FeatureGateDisabled", str(error), condition=FETCH_FAILED) from error
    except AuthError as error:
        raise _refused(f"failed to configure authentication options: {error}") from error
    given = {"username": login.username, "password": login.password, "bearerToken": login.bearer}
    return {name: value.encode() for name, value in given.items()}, f"{spec.provider} {who}"


def failed(repository: GitRepository, error: GitError) -> NotReady:
    """The verdict on a Git operation's error, with what to look at."""
    if isinstance(error, EmptyRepository):
        return Failed("EmptyGitRepository", str(error), condition=FETCH_FAILED)
    if isinstance(error, MissingDirectory):
        message = f"failed to sparse checkout directories : {error}"
        return Failed("GitOperationFailed", message, condition=FETCH_FAILED)
    hint = ""
    if isinstance(error, AuthenticationFailed):
        named = repository.spec.secret_ref
        if repository.spec.provider in ("aws", "azure"):
            hint = f"; check that the identity may read the repository at {repository.spec.provider}"
        elif named is None:
            hint = "; name a Secret with credentials in spec.secretRef"
        else:
            hint = f"; check the credentials in the secret '{repository.metadata.namespace}/{named.name}'"
    message = f"failed to checkout and determine revision: {error}{hint}"
    return Failed("GitOperationFailed", message, condition=FETCH_FAILED)


def _refused(message: str) -> Failed:
    return Failed("AuthenticationFailed", message, condition=FETCH_FAILED)
