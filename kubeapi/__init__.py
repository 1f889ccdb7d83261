"""An embedded Kubernetes API: `await kubeapi.start()` gives a server that real clients talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeapi.server import Server


async def start(port: int = 0, data: Any = None, **settings: Any) -> Server:
    """Start a server in this process and wait until it listens.

    `data` is a directory to keep the objects in, None for memory only; `settings` are the fields of
    kubeapi.server.Settings. Stop it with `await server.stop()`.
    """
    from pathlib import Path

    from kubeapi.cluster import Cluster
    from kubeapi.journal import Journal
    from kubeapi.server import Server, Settings

    directory = None if data is None else Path(data)
    journal = None if directory is None else Journal(directory)
    try:
        cluster = Cluster(journal)
        if journal is not None:
            journal.load(cluster.store)
        server = Server(Settings(port=port, data=directory, **settings), cluster)
        await server.start()
    except BaseException:
        if journal is not None:
            journal.close()
        raise
    return server


__all__ = ["start"]
