"""Files that are either whole or absent, and their hashes.

Both artefacts, workload and run, write aside and rename, and both are addressed by hash.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from replay.errors import Unreadable

_BATCHES_AT_ONCE = 64


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path to write to, renamed to `path` when the block ends well and removed when it does not.

    A reader sees the old file or the new one, never a part of it.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text, on the disk before it has its name."""
    with written_aside(path) as aside, aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def write_table(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Write a whole Parquet file, with no more of it in memory than a few batches.

    Raises:
        OSError: there is no room for it; nothing is left behind.
    """
    with (
        written_aside(path) as aside,
        pq.ParquetWriter(aside, schema, compression="zstd") as file,
    ):
        batches = iter(batches)
        while group := list(islice(batches, _BATCHES_AT_ONCE)):
            file.write_table(pa.Table.from_batches(group))


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write one JSON document, indented, keys in the order given."""
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file that holds one a line; none where there is no file.

    A line that is no JSON was being written when its writer was killed, and is left out.
    """
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found


def read_json(path: Path, *, what: str) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        Unreadable: it is missing, is not JSON, or is not an object; names `what` it should be.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unreadable(
            f"`{path.parent}` is not a {what}: `{path.name}` cannot be read",
            hint=f"name the directory that holds `{path.name}`",
        ) from error
    except ValueError as error:
        raise Unreadable(f"`{path}` is damaged: not JSON") from error
    if not isinstance(document, dict):
        raise Unreadable(f"`{path}` is damaged: not an object")
    return document
