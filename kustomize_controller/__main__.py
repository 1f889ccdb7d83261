"""The kustomize-controller's process: flags, wiring, run. Only here are its parts constructed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from kustomize_controller.kustomization import Kustomizations, kind
from shared.apply import Ledger, Owner
from shared.artifact.fetch import Fetcher
from shared.loop import logins
from shared.loop.flags import Flag, Gate, parse
from shared.loop.kinds import Kind
from shared.loop.process import Runtime, run

NAME = "kustomize-controller"
DESCRIPTION = "Makes a cluster what a path of a source says, and keeps it so."
FLAGS: tuple[Flag, ...] = (
    *logins.FLAGS,
    Flag("concurrent-ssa", "int", 4, "How many objects of one Kustomization are applied at the same time."),
    Flag(
        "custom-apply-stage-kinds",
        "strings",
        "",
        "Kinds to apply in a stage of their own, after CRDs and cluster-wide objects: rbac.authorization.k8s.io/Role,…",
    ),
    Flag(
        "default-service-account",
        "string",
        "",
        "The ServiceAccount to act as where a Kustomization names none: needed to keep tenants apart.",
    ),
    Flag(
        "default-decryption-service-account",
        "string",
        "",
        "The ServiceAccount that logs in at key services for Kustomizations that decrypt and name none.",
    ),
    Flag(
        "default-kubeconfig-service-account",
        "string",
        "",
        "The ServiceAccount whose token logs in to other clusters where a kubeconfig's ConfigMap names none.",
    ),
    Flag("http-retry", "int", 9, "How often a failed download of an artifact is tried again."),
    Flag("insecure-kubeconfig-exec", "bool", False, "Let kubeconfigs from Secrets run their login commands here."),
    Flag("insecure-kubeconfig-tls", "bool", False, "Let kubeconfigs from Secrets turn off the check of certificates."),
    Flag("no-cross-namespace-refs", "bool", False, "Refuse references to sources in other namespaces."),
    Flag(
        "no-remote-bases",
        "bool",
        False,
        "Refuse kustomizations that load from elsewhere: all that they name must be files of the source's artifact.",
    ),
    Flag(
        "override-manager",
        "stringArray",
        (),
        "Another field manager whose changes to applied objects are undone; may be repeated.",
    ),
    Flag(
        "sops-age-secret",
        "string",
        "",
        "A Secret in the controller's namespace with an age key, for Kustomizations that decrypt and name no Secret.",
    ),
    Flag("sops-path", "string", "sops", "The sops program: a path, or a name to be found on PATH."),
    Flag(
        "sops-vault-configmap",
        "string",
        "",
        "A ConfigMap in the controller's namespace that lists trusted Vault servers and where ServiceAccounts log in.",
    ),
)

GATES: tuple[Gate, ...] = (
    Gate("AdditiveCELDependencyCheck", False, "A readyExpr adds to the built-in check of a dependency."),
    Gate(
        "CacheSecretsAndConfigMaps",
        False,
        "Keep all Secrets and ConfigMaps in memory: reading them costs no request then, but memory.",
    ),
    Gate(
        "CancelHealthCheckOnNewRevision",
        True,
        "A new revision ends a wait for health. It always does: turning this off changes nothing.",
    ),
    Gate("DirectSourceFetch", False, "Read a source from the API server at each reconciliation, not from the watch."),
    Gate("DisableConfigWatchers", False, "Don't watch ConfigMaps and Secrets."),
    Gate("DisableFailFastBehavior", False, "Wait for the health of all other objects before one that failed counts."),
    Gate(
        "DisableStatusPollerCache",
        True,
        "Don't keep objects in memory to poll their health. Nothing polls, watches tell: turning this off changes "
        "nothing.",
    ),
    Gate("ExternalArtifact", False, "Allow ExternalArtifacts as sources."),
    Gate("GroupChangeLog", False, "Log what was applied by what was done, not object by object."),
    Gate(
        "MigrateAPIVersion",
        False,
        "Move managed fields to the API version that is applied. It is done whenever the API server can't read the old "
        "ones: turning this on changes nothing.",
    ),
    *logins.GATES,
    Gate("StrictPostBuildSubstitutions", True, "A variable that isn't set and has no default fails the build."),
)


async def build(runtime: Runtime) -> Sequence[Kind[Any]]:
    """Construct the controller's only kind, and what it works with."""
    chosen = runtime.options
    chosen.custom_apply_stage_kinds = [_group_kind(text) for text in chosen.custom_apply_stage_kinds]
    fetcher = Fetcher(runtime.folder("artifacts"), retries=chosen.http_retry)
    runtime.services.push_async_callback(fetcher.close)
    ledger = Ledger(runtime.client, field_manager=NAME, overrides=chosen.override_manager)
    runtime.services.push_async_callback(ledger.close)

    def wake(owner: Owner, preempt: bool) -> None:
        runtime.wake("Kustomization", owner.namespace, owner.name, preempt=preempt)

    kustomizations = Kustomizations(ledger, fetcher, logins.clouds(runtime), chosen, wake)
    runtime.services.push_async_callback(kustomizations.close)
    return [kind(kustomizations)]


def _group_kind(text: str) -> tuple[str, str]:
    group, _, kind = text.rpartition("/")
    return group, kind


def options(arguments: Sequence[str] | None = None) -> Any:
    """The parsed flags. Exits with 2 when they contradict each other."""
    chosen = parse(NAME, DESCRIPTION, FLAGS, arguments, gates=GATES)
    logins.require_gate(chosen, "default-kubeconfig-service-account", "default-decryption-service-account")
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the controller until it is told to stop."""
    return run(NAME, options(arguments), build)


if __name__ == "__main__":
    sys.exit(main())
