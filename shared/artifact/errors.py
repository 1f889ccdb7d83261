"""What goes wrong with the disk that artifacts are on, in words that say what to do."""

from __future__ import annotations

import errno


class StorageError(Exception):
    """The store can't do it: the disk is full, not writable, or the request makes no sense. Says what to do."""


def explained(error: OSError, what: str) -> StorageError:
    """The error for what could not be done."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"{what}: {reason}; free some space below the storage path or enlarge its volume")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(f"{what}: {reason}; make the storage path writable for this process")
    return StorageError(f"{what}: {reason}")
