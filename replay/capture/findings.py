"""What a user must know of a capture before trusting it, with the setting of 1.0 to change."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.record import Reader, What

_STEP_BACK_US = 5_000_000
"""Stamps of neighbours change places by milliseconds; a clock that is set jumps further."""
_THRESHOLD_US = 1_000
_ENOUGH = 50
"""So many statements without a quick one among them tell of a threshold."""


class Findings:
    """Watches a capture go by; `lines` says what it found."""

    def __init__(self) -> None:
        self._timed = self._untimed = 0
        self._fastest_us: int | None = None
        self._connects = self._disconnects = 0
        self._back: list[tuple[str, int]] = []
        self._back_count = 0
        self._last_us: dict[str, int] = {}

    def see_records(self, uri: str, records: pa.Table) -> None:
        """Look at records of the log `uri`, in its order."""
        what = records["what"].to_numpy()
        self._connects += int((what == What.CONNECT).sum())
        self._disconnects += int((what == What.DISCONNECT).sum())
        stamped = pc.drop_null(records["at_us"]).to_numpy()
        if not len(stamped):
            return
        before = np.concatenate([[self._last_us.get(uri, stamped[0])], stamped[:-1]])
        back = before - stamped
        jumps = np.flatnonzero(back > _STEP_BACK_US)
        self._back_count += len(jumps)
        if len(jumps):
            self._back.append((uri, int(back[jumps].max())))
            self._back = sorted(self._back, key=lambda each: -each[1])[:1]
        self._last_us[uri] = int(stamped[-1])

    def see_statements(self, statements: pa.Table) -> None:
        """Look at statements in their sessions."""
        duration = statements["duration_us"]
        self._untimed += duration.null_count
        self._timed += len(duration) - duration.null_count
        fastest = pc.min(duration).as_py()
        if fastest is not None:
            known_us = fastest if self._fastest_us is None else self._fastest_us
            self._fastest_us = min(fastest, known_us)

    def lines(self, reader: Reader) -> list[str]:
        """One sentence for each finding."""
        found = sorted(reader.notes)
        all_logged = _ALL_LOGGED.get(reader.dialect, _EVERYTHING)
        fastest_us = self._fastest_us or 0
        if self._timed >= _ENOUGH and fastest_us >= _THRESHOLD_US:
            found.append(
                f"no statement took less than {fastest_us / 1e3:g} ms: a threshold seems to hide "
                f"quicker ones, which make most of the load; set {all_logged}"
            )
        if self._untimed and not self._timed:
            found.append(
                f"no statement has a duration, so 1.0 cannot be compared with; set {all_logged}"
            )
        elif self._untimed > self._timed:
            found.append(f"{self._untimed:,} of {self._untimed + self._timed:,} statements have no "
                         "duration")  # fmt: skip
        if not reader.unique_sessions and not self._disconnects:
            found.append(
                "no disconnections are logged: statements of several sessions may be taken for "
                f"one; set {_CONNECTIONS[reader.dialect]}"
            )
        if reader.resolution_us >= 1_000_000:
            found.append(
                "stamps have whole seconds: statements are spread within theirs by a seeded "
                "jitter, and order between sessions is a guess within it"
            )
        if self._back_count:
            uri, most_us = self._back[0]
            found.append(
                f"stamps go back {self._back_count:,} times by more than "
                f"{_STEP_BACK_US / 1e6:g} s, at most {most_us / 1e6:,.1f} s in `{uri}`: a clock "
                "was set, or records are not in order; statements are sorted by stamp"
            )
        return found


_EVERYTHING = "what the log is exported from to hold every statement with its duration"
_ALL_LOGGED = {
    "postgres": "log_min_duration_statement = 0",
    "mysql": "slow_query_log = ON, long_query_time = 0, min_examined_row_limit = 0",
    "redshift": "nothing in the audit log, which has none, but capture the system views "
    "(redshift://…)",
}
_CONNECTIONS = {
    "postgres": "log_connections and log_disconnections = on, and %c in log_line_prefix",
    "mysql": "log_slow_admin_statements = ON, or use the general log",
    "redshift": "audit logging with the connection log",
}
