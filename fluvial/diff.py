"""`fluvial diff`: what a Kustomization would change in its cluster if it were applied from files on this machine.

    live Kustomization + files → build → server-side apply as a dry run → differences; nothing is written

Built by the engine that the controller uses, with the variables of the cluster, and judged by the API server itself.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from rich.console import Console

from fluvial import differences
from fluvial.installation import NAMESPACE
from fluvial.processes import Failed
from fluvial.view import View
from kustomize_controller import build, variables
from shared.api.codec import decode
from shared.api.kustomize import Kustomization
from shared.api.meta import Manifest
from shared.apply import Inventory, ObjectId, Owner, errors, policies
from shared.apply.prepare import prepared
from shared.kube import config
from shared.kube.client import Client
from shared.kube.errors import ApiError, ConfigError, NoMatch, NotFound
from shared.kustomize import DiskTree, Survey
from shared.loop.attempt import Attempt
from shared.loop.verdict import NotReady

MANAGER = "kustomize-controller"
"""As whom the controller applies: what it applied before and wouldn't any more is a difference, too."""
SAME, DIFFERENT, UNKNOWN = 0, 1, 2
"""Exit statuses, as those of diff(1)."""
Action = Literal["created", "changed", "recreated", "deleted", "unchanged"]
STYLES: dict[Action, str] = {"created": "green", "changed": "yellow", "recreated": "yellow", "deleted": "red"}

_DESCRIPTION = """\
Show what a Kustomization would change in its cluster if the files in a directory were its source. It is built with
the spec and the variables that are in the cluster, and the API server is asked what applying it would do. Nothing is
written. Exits with 0 when nothing would change, 1 when something would, 2 when that can't be told.

Values of Secrets are not shown. Not looked at: .sourceignore files, and fields that kubectl owns and the controller
would take over. Kustomizations that decrypt, or apply to another cluster, are refused. Requests are sent as whom the
kubeconfig says, also for a Kustomization with a serviceAccountName."""
_EPILOG = """\
examples:
  fluvial diff shop-production                       in a clone of the repository, before a commit
  fluvial diff shop-production --source ~/config"""


@dataclass(frozen=True)
class Difference:
    """What would become of one object; the lines are empty when it stays as it is."""

    id: ObjectId
    action: Action
    lines: list[str]


def parser() -> argparse.ArgumentParser:
    """The command line of the command."""
    made = argparse.ArgumentParser(
        prog="fluvial diff",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("name", help="the Kustomization")
    add("-n", "--namespace", default=NAMESPACE, help="where it is (default %(default)s)")
    add("--source", type=Path, default=Path(), metavar="DIR", help="the files in place of its source (default: here)")
    add("--kubeconfig", type=Path, metavar="FILE", help="the cluster (default: as for kubectl)")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    options = parser().parse_args(arguments)
    view, told = View(), View(Console(stderr=True, highlight=False, soft_wrap=True))
    try:
        return asyncio.run(_run(view, told, options))
    except (Failed, NotReady) as error:
        told.failed(str(error))
    except ConfigError as error:
        told.failed(f"no cluster to compare with: {error}")
    except ApiError as error:
        told.failed(f"the Kubernetes API refused a request: {error}")
    return UNKNOWN


async def _run(view: View, told: View, options: argparse.Namespace) -> int:
    kubeconfig = str(options.kubeconfig) if options.kubeconfig else None
    client = Client(config.load(kubeconfig), user_agent="fluvial", qps=-1)
    try:
        with told.doing(f"comparing {options.source} with the cluster"):
            found = await compare(client, options.namespace, options.name, options.source)
    finally:
        await client.close()
    for one in found:
        if one.action != "unchanged":
            view.change(f"{one.id} {one.action}", STYLES[one.action], one.lines)
    counts = Counter(one.action for one in found)
    told_of: tuple[Action, ...] = (*STYLES, "unchanged")
    view.summary(", ".join(f"{counts[action]} {action}" for action in told_of if counts[action]) or "no objects")
    return DIFFERENT if len(found) > counts["unchanged"] else SAME


async def compare(client: Client, namespace: str, name: str, source: Path) -> list[Difference]:
    """What would become of every object of a Kustomization, those that are no longer built included.

    Raises NotReady when it can't be built, Failed with every object that the API server refuses.
    """
    kind = Kustomization.resource
    ks = decode(Kustomization, await client.get(kind.api_version, kind.kind, name, namespace))
    if ks.spec.kube_config is not None:
        raise Failed(f"Kustomization {name} applies to another cluster (spec.kubeConfig), which diff doesn't reach")
    if ks.spec.decryption is not None:
        raise Failed(f"Kustomization {name} decrypts (spec.decryption), for which diff would need its keys here")
    # Of the attempt only ConfigMaps and Secrets are asked for.
    given = await variables.find(ks, cast("Attempt[Kustomization]", _Asking(client, namespace)))
    files = Survey(DiskTree(source))
    template = await build.template(ks, files, build.require_path(ks, files))
    built = await build.filled(ks, template, given, strict=False)
    build.require_decrypted(built)
    comparison = _Comparison(client, ks, built.manifests)
    recorded, desired = Inventory.from_status(ks.status.inventory), Inventory.of(built.manifests)
    stale = recorded - desired if ks.spec.prune else Inventory({})
    results = await asyncio.gather(
        *(comparison.applied(manifest) for manifest in built.manifests),
        *(comparison.pruned(stale.api_version(id), id) for id in stale),
    )
    if comparison.problems:
        raise Failed("\n".join(["the API server would refuse", *sorted(comparison.problems)]))
    by_id = {one.id: one for one in results if one is not None}
    return [by_id[id] for id in recorded | desired if id in by_id]


@dataclass(frozen=True)
class _Asking:
    client: Client
    namespace: str

    async def config(self, kind: str, name: str) -> Manifest:
        return await self.client.get("v1", kind, name, self.namespace)


class _Comparison:
    """Asks the API server about one object at a time, and collects what it refuses."""

    def __init__(self, client: Client, ks: Kustomization, manifests: list[Manifest]) -> None:
        self._client, self._force = client, ks.spec.force
        self._owner = Owner(ks.metadata.namespace or "", ks.metadata.name)
        named = [(one.get("kind"), one["metadata"].get("name"), one.get("spec") or {}) for one in manifests]
        self._namespaces = {name for kind, name, _ in named if kind == "Namespace"}
        self._kinds = {
            (spec.get("group"), (spec.get("names") or {}).get("kind"))
            for kind, _, spec in named
            if kind == "CustomResourceDefinition"
        }
        self.problems: list[str] = []

    async def applied(self, manifest: Manifest) -> Difference | None:
        """What applying an object would do; None when it would be refused."""
        id = ObjectId.of(manifest)
        wanted, problems = prepared(manifest, self._owner)
        if problems:
            self.problems.append(errors.of_problems(manifest, problems).message)
            return None
        try:
            live = await self._find(manifest["apiVersion"], id)
            exists = live is not None
            desired, present = policies.of(wanted), policies.of(live or {})
            if not policies.may_apply(desired, present, exists=exists):
                return Difference(id, "unchanged", [])
            try:
                after = await self._client.apply(wanted, field_manager=MANAGER, dry_run=True)
            except ApiError as error:
                if not exists and self._comes_first(id, error):
                    return Difference(id, "created", differences.lines(None, wanted))
                if not (exists and errors.is_immutable(error)):
                    raise
                if not (self._force or policies.may_recreate(desired, present)):
                    raise
                return Difference(id, "recreated", differences.lines(live, wanted))
        except ApiError as error:
            self.problems.append(errors.of_apply(manifest, error).message)
            return None
        lines = differences.lines(live, after)
        return Difference(id, ("changed" if lines else "unchanged") if exists else "created", lines)

    async def pruned(self, api_version: str, id: ObjectId) -> Difference | None:
        """What pruning an object would do; None when it is gone already."""
        try:
            live = await self._find(api_version, id)
        except ApiError as error:
            self.problems.append(f"{id}: {error}")
            return None
        if live is None:
            return None
        if not policies.may_prune(policies.of(live)):
            return Difference(id, "unchanged", [])
        return Difference(id, "deleted", differences.lines(live, None))

    async def _find(self, api_version: str, id: ObjectId) -> Manifest | None:
        try:
            return await self._client.get(api_version, id.kind, id.name, id.namespace or None)
        except NotFound:
            return None
        except NoMatch:
            if (id.group, id.kind) in self._kinds:
                return None
            raise

    def _comes_first(self, id: ObjectId, error: ApiError) -> bool:
        """Whether what the object lacks would be applied before it: its namespace, or the definition of its kind."""
        if isinstance(error, NoMatch):
            return (id.group, id.kind) in self._kinds
        return isinstance(error, NotFound) and id.namespace in self._namespaces
