"""The writer's own program: loads rows when they are due and notes each load as one line of JSON.

A process of its own, so that neither its work nor its waits take anything from the sessions that
are replayed. It is told what to do in one line on standard input and ends when that is closed: the
run is over, or whoever conducted it is gone.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import psycopg

from replay.errors import FourstepError
from replay.ingest.config import Ingest
from replay.target.target import Target, log_in, parse_target

GRACE_S = 5.0
"""What a load in flight gets to end by itself when the run is over."""


@dataclass(kw_only=True)
class Writer:
    """Plays the loads of one run, one at a time: a late one makes the next ones late."""

    ingest: Ingest
    target: Target
    zero_ns: int
    notes: TextIO
    stopped: threading.Event
    _session: psycopg.Connection | None = None

    def play(self, captured_s: list[float]) -> None:
        """Load until no more is due or `stopped` is set."""
        lines = self._lines()
        for number, due_s in enumerate(self.ingest.due_s(captured_s)):
            due_ns = self.zero_ns + round(due_s * 1e9)
            if self.stopped.wait(max(0.0, (due_ns - time.monotonic_ns()) / 1e9)):
                break
            rows = list(itertools.islice(lines, self.ingest.rows_per_load))
            sent_us = self._now_us()
            note = {"load": number, "due_us": round(due_s * 1e6), "sent_us": sent_us}
            note |= self._load(rows) | {"done_us": self._now_us()}
            print(json.dumps(note), file=self.notes, flush=True)
        if self._session is not None:
            self._session.close()

    def cancel(self) -> None:
        """Stop a load that is still in flight; it is noted as cancelled."""
        session = self._session
        if session is not None and not session.closed:
            with suppress(psycopg.Error):
                session.cancel_safe(timeout=GRACE_S)

    def _load(self, rows: list[bytes]) -> dict[str, Any]:
        try:
            if self._session is None or self._session.closed:
                self._session = log_in(self.target)
            with self._session.cursor() as cursor:
                if self.ingest.copy_from is None:
                    with cursor.copy(self.ingest.statement) as copy:
                        for row in rows:
                            copy.write(row)
                else:
                    cursor.execute(self.ingest.statement)
                loaded = cursor.rowcount
                if loaded < 0:
                    # Redshift's COPY does not say it by itself.
                    cursor.execute("SELECT pg_last_copy_count()")
                    loaded = (cursor.fetchone() or (0,))[0]
            return {"status": "ok", "rows": loaded}
        except (psycopg.Error, FourstepError) as error:
            cause = error.__cause__ if isinstance(error, FourstepError) else error
            state = getattr(cause, "sqlstate", None)
            ended = "cancelled" if state == "57014" and self.stopped.is_set() else "error"
            return {"status": ended, "rows": None, "sqlstate": state or "08006"}

    def _lines(self) -> Iterator[bytes]:
        """The lines of the file, again and again."""
        if self.ingest.rows_from is None:
            return
        while True:
            with Path(self.ingest.rows_from).open("rb") as file:
                # The last line may lack its end, and the first one follows it.
                yield from (line.rstrip(b"\r\n") + b"\n" for line in file)

    def _now_us(self) -> int:
        return (time.monotonic_ns() - self.zero_ns) // 1_000


def main() -> None:
    """Read the order, play it, end when standard input does."""
    order = json.loads(sys.stdin.readline())
    target = parse_target(
        order["url"], statement_timeout_s=order["statement_timeout_s"], writes=True
    )
    ahead_ns = round((order["zero_epoch_s"] - time.time()) * 1e9)
    with Path(order["notes"]).open("w", encoding="utf-8") as notes:
        writer = Writer(
            ingest=Ingest(**order["ingest"]),
            target=target,
            zero_ns=time.monotonic_ns() + ahead_ns,
            notes=notes,
            stopped=threading.Event(),
        )

        def listen() -> None:
            sys.stdin.read()
            writer.stopped.set()
            if not ended.wait(GRACE_S):
                writer.cancel()

        ended = threading.Event()
        threading.Thread(target=listen, daemon=True).start()
        writer.play(order["captured_s"])
        ended.set()


if __name__ == "__main__":
    main()
