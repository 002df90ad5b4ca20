"""Rows of the server's history, each brought to the statement of ours that it is about.

A session runs one statement at a time, so neither its samples nor its rows overlap, and both are in
order. Conservation: rows = joined + reasons, samples sent = with figures + reasons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.offsets import Ints

TIMES = ("elapsed_us", "queue_us", "compile_us", "planning_us", "lock_us", "execution_us")
_SUMS = (*TIMES, "returned_rows", "returned_bytes")
_PICKS = {
    "query_id": "min", "started_us": "min", "ended_us": "max", "result_cache_hit": "all",
    "compute_type": "max", "short_query_accelerated": "any", "error": "max",
}  # fmt: skip
"""What stays of several rows: of `primary` and `primary-scale` the latter."""
_STRINGS = dict.fromkeys(("query_type", "compute_type", "error"), pa.string())
_FLAGS = dict.fromkeys(("result_cache_hit", "short_query_accelerated"), pa.bool_())
_ROWS = ("session_id", "query_type", *_SUMS, *_PICKS)
ROWS = pa.schema([(name, (_STRINGS | _FLAGS).get(name, pa.int64())) for name in _ROWS])
"""Rows of the history; `session_id` is the process, moments are since the run's zero."""
_OF_SAMPLES = ("statement_id", "clone", "template_id", "sent_us", "done_us")

_STEER, _ASK = ("UTILITY", "COMMAND"), ("select", "insert", "update", "delete", "merge")
"""Types of rows that set a session up or end a transaction, and kinds of samples that do not."""
_FAR = np.iinfo(np.int64).min // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What became of every row and of every sample that was sent; figures where both met.

    Columns of `queries`, the content of server/queries.parquet, are in docs/contract.md.
    """

    queries: pa.Table
    rows: int
    row_reasons: dict[str, int]
    samples: int
    sample_reasons: dict[str, int]


def join_rows(samples: pa.Table, rows: pa.Table, *, error_us: int) -> Joined:
    """Join `rows`, of schema ROWS, to `samples`: those that were sent and answered.

    Of samples: statement_id, clone, template_id, kind, sent_us, done_us, backend_pid (or null).
    `error_us` is how far the two clocks may be apart.
    """
    sent, known = samples.num_rows, samples.filter(samples["backend_pid"].is_valid())
    known = known.sort_by([("backend_pid", "ascending"), ("sent_us", "ascending")])
    rows = rows.sort_by([("session_id", "ascending"), ("started_us", "ascending")])
    ours = pc.is_in(rows["session_id"], pc.cast(known["backend_pid"].unique(), pa.int64()))
    others, rows = rows.num_rows - (pc.sum(ours).as_py() or 0), rows.filter(ours)
    at = _assign(known, rows, error_us) if rows.num_rows else np.zeros(0, dtype=np.int64)
    queries = _gathered(known, rows.filter(pa.array(at >= 0)), at[at >= 0])
    row_reasons = {"another session": others, "no statement then": int((at < 0).sum())}
    sample_reasons = {
        "no process known": sent - known.num_rows,
        "no row of the server": known.num_rows - queries.num_rows,
    }
    return Joined(
        queries=queries,
        rows=others + rows.num_rows,
        row_reasons={why: number for why, number in row_reasons.items() if number},
        samples=sent,
        sample_reasons={why: number for why, number in sample_reasons.items() if number},
    )


def _assign(samples: pa.Table, rows: pa.Table, error_us: int) -> Ints:
    """For each row the place of its sample, or -1; both are sorted by process and time."""
    pid, sent, done = (samples[name].to_numpy() for name in ("backend_pid", "sent_us", "done_us"))
    of, start, end = (rows[name].to_numpy() for name in ("session_id", "started_us", "ended_us"))
    asks = pc.is_in(samples["kind"], pa.array(_ASK)).to_numpy()
    steers = pc.is_in(rows["query_type"], pa.array(_STEER)).to_numpy()

    def overlap(row: Ints, sample: Ints) -> Ints:
        """For how long they overlap, negative where they lie apart."""
        shared = np.minimum(end[row], done[sample]) - np.maximum(start[row], sent[sample])
        return np.where(steers[row] & asks[sample], _FAR, shared)

    row = np.arange(len(of))
    first, stop = np.searchsorted(pid, of), np.searchsorted(pid, of, side="right")
    # One long axis with a stretch for each session, so that one search serves all.
    low = min(sent.min(), start.min())
    stretch = max(sent.max(), start.max()) - low + 1
    session = np.searchsorted(np.unique(pid), pid)
    begins = session[first] * stretch + start - low
    best = np.searchsorted(session * stretch + sent - low, begins, side="right") - 1
    best = best.clip(first, stop - 1)
    most, later, left = overlap(row, best), best + 1, row
    while len(left := left[later[left] < stop[left]]):
        left = left[sent[later[left]] <= end[left] + error_us]
        shared = overlap(left, later[left])
        better = shared > most[left]
        best[left[better]], most[left[better]] = later[left[better]], shared[better]
        later[left] += 1

    # Where a session has as many rows as samples the first belongs to the first, and so on, unless
    # one of these pairs lies further apart than the clocks may be.
    _, begin, number = np.unique(of, return_index=True, return_counts=True)
    ordered = first + row - np.repeat(begin, number)
    alike = np.repeat(number, number) == stop - first
    shared = np.where(alike, overlap(row, np.minimum(ordered, stop - 1)), _FAR)
    whole = np.repeat(np.minimum.reduceat(shared, begin) >= -error_us, number)
    best[whole], most[whole] = ordered[whole], shared[whole]

    # Within the clock's error, but only where the sample has nothing better.
    taken = np.isin(best, best[most >= 0])
    kept: Ints = np.where((most >= 0) | ((most >= -error_us) & ~taken), best, -1)
    return kept


def _gathered(samples: pa.Table, rows: pa.Table, at: Ints) -> pa.Table:
    """Several rows of a sample added; with `return_us`, what none of the other figures has."""
    how = [*((name, "sum") for name in _SUMS), *_PICKS.items(), ("session_id", "count")]
    added = rows.append_column("at", pa.array(at)).group_by("at").aggregate(how)
    columns = {name: samples[name].take(added["at"]) for name in _OF_SAMPLES}
    columns["queries"] = added["session_id_count"].cast(pa.int32())
    columns |= {name: added[f"{name}_sum"] for name in _SUMS}
    columns |= {name: added[f"{name}_{pick}"] for name, pick in _PICKS.items()}
    elapsed, *waits, execution = (pc.fill_null(columns[name], 0).to_numpy() for name in TIMES)
    left, compiling = elapsed - sum(waits) - execution, waits[1]
    # Serverless counts compiling into execution, too: the parts are more than the whole until it
    # is taken out.
    twice = (left < 0) & (left + compiling >= 0) & (execution >= compiling)
    compiling = np.where(twice, compiling, 0)
    columns["execution_us"] = pc.subtract(columns["execution_us"], pa.array(compiling))
    known = pc.and_(columns["elapsed_us"].is_valid(), columns["execution_us"].is_valid())
    columns["return_us"] = pa.array((left + compiling).clip(0), mask=~known.to_numpy())
    return pa.table(columns)
