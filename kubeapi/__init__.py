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
    from kubeapi.server import Server, Settings

    directory = None if data is None else Path(data)
    server = Server(Settings(port=port, data=directory, **settings), Cluster())
    await server.start()
    return server


__all__ = ["start"]
