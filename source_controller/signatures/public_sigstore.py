"""The public Sigstore instance: its trusted root, kept current through its TUF repository.

    TUF repository → verified trusted_root.json → TrustedRoot

Who may sign there changes now and then, so the root is fetched again a day later. Where the repository can't be
reached, the last root serves, at first the one that the sigstore package brought: what only newer keys prove is then
refused, never accepted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from sigstore._utils import read_embedded
from sigstore.models import TrustedRoot
from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.updater import Updater
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from source_controller.signatures.keyless import trusted_root

URL = "https://tuf-repo-cdn.sigstore.dev"
_TARGET = "trusted_root.json"
_FRESH, _AGAIN = 86400.0, 600.0
_SECONDS = 5
_SIZE = 1 << 20
_log = logging.getLogger(__name__)


class PublicSigstore:
    """The trusted root, for all who ask; it is fetched when the first one does."""

    def __init__(self, folder: Path, url: str = URL, first: bytes | None = None) -> None:
        """Keeps what it fetches in `folder`. `first` is the TUF root to begin with; the package's unless given."""
        self._folder, self._url, self._first = folder, url, first
        self._lock = asyncio.Lock()
        self._root: TrustedRoot | None = None
        self._due = 0.0

    async def root(self) -> TrustedRoot:
        """The newest trusted root that is to be had."""
        async with self._lock:
            if self._root is None or time.monotonic() >= self._due:
                found = await asyncio.to_thread(self._fetched)
                self._due = time.monotonic() + (_FRESH if found else _AGAIN)
                self._root = found or self._root or trusted_root(read_embedded(_TARGET, URL))
            return self._root

    def _fetched(self) -> TrustedRoot | None:
        """What the repository has now; None when it can't be reached or believed."""
        metadata, targets = self._folder / "metadata", self._folder / "targets"
        try:
            for folder in (metadata, targets):
                folder.mkdir(parents=True, exist_ok=True)
            updater = Updater(
                str(metadata),
                self._url,
                str(targets),
                f"{self._url}/targets/",
                fetcher=Urllib3Fetcher(socket_timeout=_SECONDS),
                config=UpdaterConfig(targets_max_length=_SIZE),
                bootstrap=self._first or read_embedded("root.json", URL),
            )
            updater.refresh()
            wanted = updater.get_targetinfo(_TARGET)
            if wanted is None or wanted.length > _SIZE:
                raise RepositoryError(f"it has no {_TARGET} of an expected size")
            file = updater.find_cached_target(wanted) or updater.download_target(wanted)
            return trusted_root(Path(file).read_bytes())
        except (DownloadError, RepositoryError, OSError, ValueError) as error:
            _log.warning(
                "the trusted root of the public Sigstore instance can't be fetched from %s: %s", self._url, error
            )
            return None
