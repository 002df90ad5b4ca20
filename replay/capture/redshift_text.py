"""Texts as Redshift's system views hold them: in chunks of bytes, escaped, padded with spaces.

A chunk may end within an escape or a character, so chunks are put together as bytes before anything
else is done to them. Amazon Redshift developer guide, SYS_QUERY_TEXT and STL_QUERYTEXT.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask

_NUL = "\0"
"""No text of a database holds it."""
_LEADS = ((0xF0, 4), (0xE0, 3), (0xC0, 2))
"""First bytes of UTF-8's characters and how many bytes these have."""


def join_chunks(chunks: Sequence[tuple[int, bytes]], *, width: int) -> bytes | None:
    """The escaped text of `(sequence, chunk)` in any order; None where chunks are missing.

    All chunks but the last are `width` bytes long. One that is shorter has lost spaces at its end,
    which may be part of a literal, or had no room for the next one's first character.
    """
    ordered = sorted(chunks)
    if [sequence for sequence, _ in ordered] != list(range(len(ordered))) or not ordered:
        return None
    texts = [text for _, text in ordered]
    parts = [_filled(text, then, width) for text, then in pairwise(texts)]
    return b"".join([*parts, texts[-1].rstrip(b" ")])


def unescaped(texts: pa.StringArray) -> pa.StringArray:
    r"""Texts with `\n`, `\r` and `\\` as what they stand for."""
    if not mask(pc.match_substring(texts, "\\")).any():
        return texts
    # A run of backslashes pairs from its left, as the server wrote it.
    for escape, meaning in (("\\\\", _NUL), ("\\n", "\n"), ("\\r", "\r"), (_NUL, "\\")):
        texts = pc.replace_substring(texts, escape, meaning)
    return texts


def _filled(chunk: bytes, then: bytes, width: int) -> bytes:
    if len(chunk) > width:
        # Padded to as many characters as others have bytes.
        return chunk[:width] if not chunk[width:].strip(b" ") else chunk
    room = width - len(chunk)
    needed = next((size for lead, size in _LEADS if then[:1] >= bytes([lead])), 1)
    return chunk if room < needed else chunk.ljust(width)
