"""Feeds Locust's own statistics: service times by template, errors by SQLSTATE.

In bulk, twice a second: firing Locust's request event for each statement would cost as much again
as sending it. Listeners of that event which are not Locust's own are called for each.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import gevent
import numpy as np
from locust import stats as locust_stats
from locust.event import EventHook

from replay.offsets import Ints
from replay.samples import CLONE, DONE_US, INDEX, NONE, SENT_US, Notes, Rows
from replay.swarm.labels import Label

if TYPE_CHECKING:
    from locust.env import Environment

_BETWEEN_PAUSES = 8
_KEPT_S = 600
_KEPT_POINTS = 720


class StatementFailed(Exception):
    """A statement's SQLSTATE, without the text that would make every failure a class of its own."""


class Statistics:
    """What Locust's tables, charts and files are made of."""

    def __init__(self, environment: Environment, codes: Ints, labels: Sequence[Label]) -> None:
        """`codes` holds a place in `labels` for each planned statement."""
        self._stats = environment.stats
        self._codes = codes
        self._labels = labels
        self._failures: dict[str, StatementFailed] = {}
        handlers = cast(Any, environment.events.request)._handlers
        self._listeners = EventHook()
        self._listened = [handler for handler in handlers if handler.__module__ != "locust.runners"]
        for handler in self._listened:
            self._listeners.add_listener(handler)

    def add(self, rows: Rows, notes: Notes) -> None:
        """Count what was sent of these samples; lets others run now and then."""
        rows = rows[rows[:, SENT_US] != NONE]
        codes = self._codes[rows[:, INDEX]]
        order = np.argsort(codes, kind="stable")
        edges = np.flatnonzero(np.diff(codes[order])) + 1
        for number, group in enumerate(np.split(order, edges) if len(order) else ()):
            if number % _BETWEEN_PAUSES == _BETWEEN_PAUSES - 1:
                gevent.sleep(0)
            self._add_group(self._labels[codes[group[0]]], rows[group], notes)

    def _add_group(self, label: Label, rows: Rows, notes: Notes) -> None:
        kind, name = label
        service_ms = (rows[:, DONE_US] - rows[:, SENT_US]) / 1_000
        failed: dict[int, str] = {}
        if notes:
            keys = map(tuple, rows[:, [INDEX, CLONE]].tolist())
            told = ((at, notes.get(cast("tuple[int, int]", key))) for at, key in enumerate(keys))
            failed = {at: note[0] for at, note in told if note and note[0]}
        entry = _entry(name, kind, service_ms, failures=len(failed))
        for total in (self._stats.total, self._stats.get(name, kind)):
            total.extend(entry)
        for sqlstate, count in Counter(failed.values()).items():
            failure = self._failure(sqlstate)
            key = locust_stats.StatsError.create_key(kind, name, failure)
            if key not in self._stats.errors:
                self._stats.errors[key] = locust_stats.StatsError(kind, name, failure)
            self._stats.errors[key].occurrences += count
        if self._listened:
            self._tell(label, service_ms.tolist(), failed)

    def _tell(self, label: Label, service_ms: list[float], failed: Mapping[int, str]) -> None:
        for number, time_ms in enumerate(service_ms):
            self._listeners.fire(
                request_type=label[0],
                name=label[1],
                response_time=time_ms,
                response_length=0,
                exception=self._failure(failed[number]) if number in failed else None,
                context={},
                response=None,
            )
            if number % 100 == 99:
                gevent.sleep(0)

    def _failure(self, sqlstate: str) -> StatementFailed:
        return self._failures.setdefault(sqlstate, StatementFailed(f"SQLSTATE {sqlstate}"))


def forget_past(stats: locust_stats.RequestStats) -> None:
    """Drop what only grows: Locust keeps a number for each second and name, and charts' points.

    Its rates look back some ten seconds; of a long run the page shows the last hour.
    """
    oldest_s = int(time.time()) - _KEPT_S
    for entry in (stats.total, *stats.entries.values()):
        for by_second in (entry.num_reqs_per_sec, entry.num_fail_per_sec):
            for second in [each for each in by_second if each < oldest_s]:
                del by_second[second]
    del stats.history[:-_KEPT_POINTS]


def _entry(name: str, kind: str, service_ms: Any, *, failures: int) -> locust_stats.StatsEntry:  # noqa: ANN401
    """As a worker would report these times to its master."""
    entry = locust_stats.StatsEntry(cast(Any, None), name, kind)
    now_s = time.time()
    entry.num_requests = len(service_ms)
    entry.num_failures = failures
    entry.total_response_time = float(service_ms.sum())  # type: ignore[assignment]
    entry.min_response_time = float(service_ms.min())  # type: ignore[assignment]
    entry.max_response_time = float(service_ms.max())  # type: ignore[assignment]
    entry.last_request_timestamp = now_s
    entry.num_reqs_per_sec[int(now_s)] = len(service_ms)
    if failures:
        entry.num_fail_per_sec[int(now_s)] = failures
    for time_ms, count in zip(*np.unique(np.rint(service_ms), return_counts=True), strict=True):
        entry.response_times[locust_stats.bucket_response_time(int(time_ms))] += int(count)
    return entry
