"""What MySQL's slow and general logs share: stamps, banners, texts taken apart at byte offsets.

Stamps are `YYMMDD h:mm:ss` in the server's own zone, which they do not name, up to MySQL 5.6 and in
all of MariaDB; ISO 8601 with `Z` or an offset (`log_timestamps`) since MySQL 5.7.
"""

from __future__ import annotations

import re
from datetime import tzinfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import extract
from replay.capture.record import Bools, Ints
from replay.capture.stamp import stamps_us

STAMP = (
    r"(?:\d{6} {1,2}\d{1,2}:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?"
)
Bytes = npt.NDArray[np.uint8]

BANNER = (
    r"[^\n]*, Version: [^\n]* started with:\r?\n"
    r"(?:TCP [Pp]ort|Tcp port): [^\n]*\n"
    r"Time[ \t]+Id[ \t]+Command[ \t]+Argument[^\n]*\n?"
)
"""Three lines that begin a log, and come again at each restart and each FLUSH LOGS."""
_BANNER = re.compile(BANNER.encode())
_BANNER_WORDS = b" started with:"

_ISO = (
    r"^(?P<stamp>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?)\d*(?P<zone>Z|[+-]\d\d:\d\d)?\s*$"
)


def banners(block: bytes) -> list[int]:
    """Offsets of the lines that begin a banner."""
    found = []
    at = block.find(_BANNER_WORDS)
    while at >= 0:
        start = block.rfind(b"\n", 0, at) + 1
        if _BANNER.match(block, start):
            found.append(start)
        at = block.find(_BANNER_WORDS, at + 1)
    return found


def log_stamps_us(texts: pa.StringArray, *, zone: tzinfo | None) -> tuple[pa.Int64Array, bool]:
    """Microseconds since the epoch, UTC, null where a text is no stamp; whether a zone is missing.

    Raises:
        UsageError: a zone does not name one offset.
    """
    codes = texts.dictionary_encode()
    distinct = codes.dictionary
    for year, century in ((r"[7-9]\d", "19"), (r"\d\d", "20")):
        pattern = rf"^({year})(\d\d)(\d\d) +(\d?\d:)"
        distinct = pc.replace_substring_regex(distinct, pattern, rf"{century}\1-\2-\3 \4")
    distinct = pc.replace_substring_regex(distinct, r" (\d):", r" 0\1:")
    found = extract(distinct, _ISO)
    zoneless = zone is None and bool(pc.any(pc.equal(found["zone"], "")).as_py())
    return stamps_us(found["stamp"], found["zone"], zone=zone).take(codes.indices), zoneless


def zoneless_note(ahead_us: int) -> str:
    """What to say of stamps that name no zone, and what else in the log tells of their offset."""
    note = (
        "stamps name no time zone and are taken as UTC; say with --timezone which zone the "
        "server's clock shows"
    )
    if ahead_us:
        where = "ahead of" if ahead_us > 0 else "behind"
        note += f": it is {abs(ahead_us) / 3.6e9:g} h {where} UTC by `SET timestamp`"
    return note


def resolution_us(stamps: list[bytes]) -> int:
    """How fine the stamps of a log are, by some of them."""
    fine = bool(stamps) and all(b"." in stamp for stamp in stamps)
    return 1 if fine else 1_000_000


def carried(values: pa.Array, seed: object) -> pa.Array:
    """The values, each null replaced by the last value before it; `seed` is before the first."""
    first = pa.array([seed], type=values.type)
    return pc.fill_null_forward(pa.concat_arrays([first, values]))[1:]


def offsets_of(texts: pa.StringArray) -> Ints:
    """Where each text begins among all their bytes, and where the last one ends."""
    offsets = np.frombuffer(texts.buffers()[1], dtype=np.int32)
    offsets = offsets[texts.offset : texts.offset + len(texts) + 1]
    return np.asarray(offsets - offsets[0], dtype=np.int64)


def slices(data: bytes, starts: Ints, ends: Ints) -> pa.StringArray:
    """The texts between each start and its end, which come one after the other in `data`."""
    if not len(starts):
        return pa.array([], type=pa.string())
    offsets = np.column_stack([starts, ends]).astype(np.int32).ravel()
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    # Every other one is what lies between two of them.
    every = pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)
    return every.take(pa.array(np.arange(0, len(every), 2)))


def begin(data: Bytes, starts: Ints, words: bytes) -> Bools:
    """Whether the words stand at each of the offsets."""
    found = starts + len(words) <= len(data)
    for place, byte in enumerate(words):
        found[found] = data[starts[found] + place] == byte
    return found
