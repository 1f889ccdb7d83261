"""Accounts: whose identity logs in, and what the Kubernetes API is asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.auth.errors import AuthError, GateClosed, NoAccount

GATE = "ObjectLevelWorkloadIdentity"


@dataclass(frozen=True)
class Who:
    """A ServiceAccount, or, without a name, the controller itself."""

    namespace: str = ""
    name: str = ""
    is_default: bool = False
    """Whether the flag --default-service-account named it, not the object."""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


CONTROLLER = Who()


class Accounts(Protocol):
    """What is asked of the Kubernetes API; shared.kube.accounts answers."""

    async def annotations(self, namespace: str, name: str) -> Mapping[str, str]:
        """A ServiceAccount's annotations. NoAccount; AuthError when the API refuses."""
        ...

    async def token(self, namespace: str, name: str, audiences: Sequence[str]) -> str:
        """A token of a ServiceAccount for who reads it. AuthError when the API refuses."""
        ...

    async def own(self) -> tuple[str, str]:
        """Namespace and name of the ServiceAccount that the controller runs as. AuthError when it is none."""
        ...


def chosen(namespace: str, name: str | None, *, object_level: bool, default: str) -> Who:
    """Whose identity an object has. GateClosed."""
    if name and not object_level:
        raise GateClosed(
            f"to use spec.serviceAccountName for provider authentication please enable the {GATE} feature gate in the "
            "controller"
        )
    if not name and not default:
        return CONTROLLER
    return Who(namespace, name or default, is_default=not name)


async def about(accounts: Accounts, who: Who) -> Mapping[str, str]:
    """The annotations of an account, which say what it is for the clouds. AuthError."""
    try:
        return await accounts.annotations(who.namespace, who.name)
    except NoAccount as error:
        hint = ""
        if who.is_default:
            hint = (
                ": it is the default account of this controller, which every namespace with such objects needs; ask "
                "who runs the cluster"
            )
        raise AuthError(f"failed to get service account '{who}': {error}{hint}") from error
