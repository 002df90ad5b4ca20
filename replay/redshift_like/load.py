"""COPY from S3, out of a directory: what is loaded, and in which words it fails.

Amazon Redshift developer guide, "COPY"; CSV and text with a delimiter, nothing packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from replay.redshift_like.protocol import encode
from replay.redshift_like.wording import refusal


def find_files(root: str, source: str) -> Sequence[Path]:
    """The files behind `BUCKET/KEY`, which is a prefix of names as in S3; none for a way out."""
    place = Path(root, source)
    if not root or not source or ".." in place.parts:
        return []
    within, start = (place, "") if source.endswith("/") else (place.parent, place.name)
    return sorted(each for each in within.glob(f"{start}*") if each.is_file())


def refuse(source: str) -> str:
    """A statement that fails as COPY does where there is nothing to load."""
    key = source.partition("/")[2]
    return refusal("XX000", f"The specified S3 prefix '{key}' does not exist")


def encode_files(files: Sequence[Path]) -> bytes:
    """The messages that answer a CopyInResponse."""
    return b"".join(encode(b"d", each.read_bytes()) for each in files) + encode(b"c")
