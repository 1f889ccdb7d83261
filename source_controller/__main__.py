"""source-controller: makes artifacts of what Git repositories, registries and buckets hold, and serves them.

Here are its flags and its wiring, nothing else.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.api.source import ArtifactGenerator
from shared.artifact import digest
from shared.artifact.addresses import advertised
from shared.artifact.fetch import Fetcher
from shared.artifact.server import FileServer
from shared.artifact.store import Store
from shared.git import remote
from shared.git.mirrors import Mirrors
from shared.loop import flags, logins, process
from shared.loop.flags import Flag
from shared.loop.kinds import Kind
from shared.oci.connections import Connections
from source_controller import artifactgenerator, bucket, gitrepository, helmchart, helmrepository, ocirepository
from source_controller.charts.indexes import Indexes
from source_controller.charts.package import Sizes
from source_controller.generated.output import Outputs
from source_controller.publish import Publisher
from source_controller.signatures.images import Signatures

NAME = "source-controller"
_DEFAULT = "default-service-account"
_GENERATORS = "ArtifactGenerator"
FLAGS = (
    Flag("concurrent", "int", 2, "How many objects of a kind are worked on at the same time."),
    Flag("storage-path", "string", "/data", "The directory to keep artifacts in.", environment="STORAGE_PATH"),
    Flag(
        "storage-addr",
        "string",
        ":9090",
        "The address of the file server that artifacts are fetched from.",
        environment="STORAGE_ADDRESS",
    ),
    Flag(
        "storage-adv-addr",
        "string",
        "",
        "The address to put into artifact URLs; made of --storage-addr when empty.",
        environment="STORAGE_ADV_ADDR",
    ),
    Flag("artifact-retention-ttl", "duration", "60s", "How long an artifact stays that is no longer current."),
    Flag("artifact-retention-records", "int", 2, "How many artifacts of an object stay, the current one included."),
    Flag("artifact-digest-algo", "string", "sha256", "The algorithm of artifact digests.", choices=digest.ALGORITHMS),
    Flag("no-cross-namespace-refs", "bool", False, "Refuse references to sources in other namespaces."),
    Flag("ssh-hostkey-algos", "strings", [], "Host key algorithms to accept over SSH, the most preferred first."),
    Flag("ssh-kex-algos", "strings", [], "Key exchange algorithms to use over SSH, the most preferred first."),
    *logins.FLAGS,
    Flag(_DEFAULT, "string", "", "The ServiceAccount for cloud logins of objects that name none, in their namespace."),
    Flag("helm-cache-max-size", "int", 0, "How many indexes of Helm repositories are cached; none when 0."),
    Flag("helm-cache-purge-interval", "duration", "1m", "How often expired indexes leave the cache."),
    Flag("helm-cache-ttl", "duration", "15m", "How long an index stays in the cache after its last use."),
    Flag("helm-chart-file-max-size", "int", 5 << 20, "The largest file in a Helm chart, in bytes."),
    Flag("helm-chart-max-size", "int", 10 << 20, "The largest Helm chart, in bytes."),
    Flag("helm-index-max-size", "int", 50 << 20, "The largest index of a Helm repository, in bytes."),
)  # fmt: skip


async def build(runtime: process.Runtime) -> Sequence[Kind[Any]]:
    """The kinds, on one store that is served while this process works."""
    options = runtime.options
    server = FileServer(Path(options.storage_path))
    host = options.storage_addr.rpartition(":")[0]
    store = Store(
        Path(options.storage_path),
        "",
        algorithm=options.artifact_digest_algo,
        ttl=options.artifact_retention_ttl,
        records=options.artifact_retention_records,
    )
    await store.open()
    runtime.services.callback(store.close)
    await server.start(options.storage_addr)
    runtime.services.push_async_callback(server.stop)
    store.address = advertised(options.storage_adv_addr, f"{host}:{server.port}")
    clouds = logins.clouds(runtime, options.default_service_account)
    git = gitrepository.Git(
        remote.Options(
            host_key_algorithms=tuple(options.ssh_hostkey_algos),
            key_exchange_algorithms=tuple(options.ssh_kex_algos),
        ),
        Mirrors(runtime.folder("mirrors")),
        clouds,
    )
    runtime.services.push_async_callback(git.mirrors.close)
    publisher = Publisher(store)
    connections = Connections()
    runtime.services.push_async_callback(connections.close)
    trusted = os.environ.get("TUF_ROOT")
    signatures = Signatures(Path(trusted) if trusted else runtime.folder("sigstore"))
    indexes = Indexes(options.helm_cache_max_size, options.helm_cache_ttl, limit=options.helm_index_max_size)
    purging = asyncio.create_task(indexes.purge(options.helm_cache_purge_interval))
    runtime.services.callback(purging.cancel)
    sizes = Sizes(options.helm_chart_max_size, options.helm_chart_file_max_size)
    kinds: list[Kind[Any]] = [
        gitrepository.kind(publisher, git),
        ocirepository.kind(publisher, connections, signatures, clouds),
        bucket.kind(publisher, clouds),
        helmrepository.kind(publisher, indexes, clouds),
        helmchart.kind(publisher, helmchart.Shared(sizes, indexes, signatures, clouds)),
    ]
    if options.feature_gates[_GENERATORS] and await runtime.serves(ArtifactGenerator):
        fetcher = Fetcher(runtime.folder("sources"))
        runtime.services.push_async_callback(fetcher.close)
        kinds.append(artifactgenerator.kind(Outputs(store), fetcher))
    return kinds


GATES = (
    flags.Gate(_GENERATORS, True, "Make what ArtifactGenerators ask for, where their CRD is installed at the start."),
    flags.Gate(
        "CacheSecretsAndConfigMaps",
        False,
        "Keep all Secrets and ConfigMaps in memory: reading them costs no request then, but memory.",
    ),
    *logins.GATES,
)


def options(argv: Sequence[str] | None = None) -> Any:
    """The parsed flags."""
    parsed = flags.parse(NAME, "Make artifacts of sources and serve them.", FLAGS, argv, gates=GATES)
    logins.require_gate(parsed, _DEFAULT)
    return parsed


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return process.run(NAME, options(argv), build)


if __name__ == "__main__":
    sys.exit(main())
