"""Text that can be told: what no UTF-8 can hold is spelled out.

File names in other encodings, and halves of surrogate pairs, make strings that no JSON takes. They come from whoever
writes to a repository, so that nothing of them may keep a status, an event or a log line from being written.
"""

from __future__ import annotations

import re

_STRAY = re.compile("[\ud800-\udfff]")
_BYTES = range(0xDC80, 0xDD00)
"""What Python makes of the bytes of a file name that aren't UTF-8."""


def plain(text: str) -> str:
    r"""The text, with `\xe9` where a file name has such a byte, and `\ud83d` where half a pair stands."""
    if text.isascii():
        return text
    return _STRAY.sub(_spelled, text)


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if code in _BYTES else f"\\u{code:04x}"
