"""Which statements are not sent, and why."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from replay.kind import READING
from replay.workload import coded


class Skips:
    """Why a statement of the workload is not sent, by row; None where it is."""

    def __init__(self, statements: pa.Table, *, unsupported: frozenset[str], writes: bool) -> None:
        kind, template = coded(statements["kind"]), coded(statements["template_id"])
        kinds = kind.dictionary.to_pylist()
        reasons = [f"may write: {each}" for each in kinds]
        self._reasons: list[str | None] = [None, "unsupported", *reasons]
        of_kind = [0 if writes or each in READING else 2 + at for at, each in enumerate(kinds)]
        codes = np.array(of_kind, dtype=np.uint8)[kind.indices]
        not_carried = [each in unsupported for each in template.dictionary.to_pylist()]
        codes[np.array(not_carried, dtype=np.bool_)[template.indices]] = 1
        self._codes: bytes = codes.tobytes()

    def __getitem__(self, row: int) -> str | None:
        return self._reasons[self._codes[row]]
