"""Connections to Redshift, as its connection log tells them, and whose statement is whose.

A process id is used again, so a session is a process from one connection to the next. Connections
are found by process and time: the latest one of the process that had begun, of the same user and
database. Events: Amazon Redshift management guide, "Database audit logging"; SYS_CONNECTION_LOG.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.record import Bools, Ints

EVENTS = pa.schema(
    [
        ("event", pa.string()),
        ("at_us", pa.int64()),
        ("pid", pa.int64()),
        *((name, pa.string()) for name in "session user database application driver".split()),
    ]
)
"""Events of connections; `session` is the server's own name of it, which old versions lack."""

_AUTHENTICATED, _BEGINS, _ENDS = "authenticated", "initiating session", "disconnecting session"
_LOGIN_US = 60_000_000
"""A session begins this soon after its user is authenticated."""
_SLACK_US = 2_000_000
"""Statements and connections are logged by different processes: so little may be out of order."""
_MOST_PENDING = 500_000
_MOST_LOOKED_AT = 5
_USER_CHARACTERS = 50
"""The connection log cuts names there."""
_OPEN = np.iinfo(np.int64).max
_NOWHERE = -1


class Owner(NamedTuple):
    """The connection of each statement; all null where none is known."""

    session: pa.StringArray
    database: pa.StringArray
    application: pa.StringArray
    known: Bools


class Connections:
    """What is known of connections by now; grows with them, not with their statements."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._key = np.zeros(0, dtype=np.uint64)
        self._columns: dict[str, Ints] = {
            name: np.zeros(0, dtype=np.int64)
            for name in "pid start_us end_us user database application driver".split()
        }
        self._session: pa.StringArray = pa.array([], type=pa.string())

    def see(self, events: Mapping[str, Any]) -> None:
        """Remember events: columns of EVENTS, empty or null text where nothing is told."""
        table = pa.table(dict(events)).select(EVENTS.names).cast(EVENTS)
        self._pending.append(table)
        self._pending_rows += len(table)
        if self._pending_rows > _MOST_PENDING:
            self._fold()

    def find(
        self,
        pid: Ints,
        at_us: Ints,
        user: pa.StringArray,
        database: pa.StringArray,
        *,
        resolution_us: int,
    ) -> Owner:
        """Whose statements are: those of processes `pid` that began at `at_us`, whose true start is
        less than a `resolution_us` later. A null database is any.
        """
        self._fold()
        users, databases = self._codes(user), self._codes(database)
        of = self._columns

        def fits(rows: Ints, found: Ints) -> Bools:
            fit = (of["user"][found] == users[rows]) & (
                of["end_us"][found] >= at_us[rows] - _SLACK_US
            )
            wanted = databases[rows]
            return np.asarray(fit & ((of["database"][found] == wanted) | (wanted == _NOWHERE)))

        found = self._latest(pid, at_us + resolution_us - 1, fits)
        missing = np.flatnonzero(found == _NOWHERE)
        late = at_us[missing] + resolution_us + _SLACK_US
        found[missing] = self._latest(pid[missing], late, lambda rows, at: fits(missing[rows], at))
        known = found != _NOWHERE
        at = pa.array(found, mask=~known)
        names = pa.array([*self._names], type=pa.string())

        def named(code: Ints) -> pa.StringArray:
            codes = np.append(code, _NOWHERE)[found]
            return names.take(pa.array(codes, mask=~known | (codes == _NOWHERE)))

        application = np.where(of["application"] == _NOWHERE, of["driver"], of["application"])
        return Owner(self._session.take(at), named(of["database"]), named(application), known)

    def _latest(self, pid: Ints, limit_us: Ints, fits: Any) -> Ints:  # noqa: ANN401
        """The last connection of each process that began by a time and fits, else -1."""
        found = np.full(len(pid), _NOWHERE, dtype=np.int64)
        place = np.searchsorted(self._key, _key(pid, limit_us), side="right") - 1
        rows = np.arange(len(pid))
        for _ in range(_MOST_LOOKED_AT):
            at = place[rows]
            rows = rows[(at >= 0) & (np.append(self._columns["pid"], _NOWHERE)[at] == pid[rows])]
            if not len(rows):
                break
            at = place[rows]
            good = (self._columns["start_us"][at] <= limit_us[rows]) & fits(rows, at)
            found[rows[good]] = at[good]
            rows = rows[~good]
            place[rows] -= 1
        return found

    def _fold(self) -> None:
        """Make connections of the events that came since."""
        if not self._pending_rows:
            return
        events = pa.concat_tables(self._pending).combine_chunks()
        self._pending, self._pending_rows = [], 0
        known = pc.and_(pc.is_valid(events["at_us"]), pc.is_valid(events["pid"]))
        events = events.filter(known).sort_by([("pid", "ascending"), ("at_us", "ascending")])
        events = events.combine_chunks()
        ends = mask(pc.equal(events["event"], _ENDS))
        begins = mask(pc.is_in(events["event"], pa.array([_AUTHENTICATED, _BEGINS])))
        self._begin(events.filter(pa.array(begins)))
        self._tell(events.filter(pa.array(ends)), ends=True)
        self._tell(events.filter(pa.array(~ends)), ends=False)

    def _begin(self, events: pa.Table) -> None:
        """Add connections; a login and the beginning of its session are one."""
        pid, at_us = events["pid"].to_numpy(), events["at_us"].to_numpy()
        user = self._codes(events["user"].combine_chunks())
        login = mask(pc.equal(events["event"], _AUTHENTICATED))
        second = np.zeros(len(pid), dtype=np.bool_)
        second[1:] = login[:-1] & ~login[1:] & (pid[1:] == pid[:-1]) & (user[1:] == user[:-1])
        second[1:] &= at_us[1:] - at_us[:-1] <= _LOGIN_US
        first = np.flatnonzero(~second)
        session = _told(events["session"].combine_chunks())
        # The second record may be the one that names the session.
        follows = np.append(second, False)[first + 1]
        later = session.take(pa.array(first + 1, mask=~follows))
        moment = pc.strftime(events["at_us"].cast(pa.timestamp("us")), "%Y%m%dT%H%M%S")
        made = pc.binary_join_element_wise(events["pid"].cast(pa.string()), moment, "@")
        made = made.combine_chunks().take(pa.array(first))
        session = pc.coalesce(session.take(pa.array(first)), later, made)
        count = len(first)
        new = {
            "pid": pid[first],
            "start_us": at_us[first],
            "end_us": np.full(count, _OPEN),
            "user": user[first],
            "database": self._codes(events["database"].combine_chunks())[first],
            "application": np.full(count, _NOWHERE),
            "driver": np.full(count, _NOWHERE),
        }
        columns = {name: np.concatenate([old, new[name]]) for name, old in self._columns.items()}
        order = np.lexsort((columns["start_us"], columns["pid"]))
        self._columns = {name: column[order] for name, column in columns.items()}
        self._session = pa.concat_arrays([self._session, session]).take(pa.array(order))
        self._key = _key(self._columns["pid"], self._columns["start_us"])

    def _tell(self, events: pa.Table, *, ends: bool) -> None:
        """Add to connections what later events say of them, in order of time."""
        pid, at_us = events["pid"].to_numpy(), events["at_us"].to_numpy()
        user = self._codes(events["user"].combine_chunks())
        session = _told(events["session"].combine_chunks())
        at = pc.index_in(session, self._session, skip_nulls=True)
        at = pc.fill_null(at, _NOWHERE).to_numpy().astype(np.int64)
        nameless = np.flatnonzero((at == _NOWHERE) & mask(session.is_null()))
        at[nameless] = self._latest(
            pid[nameless],
            at_us[nameless],
            lambda rows, found: self._columns["user"][found] == user[nameless][rows],
        )
        found = at != _NOWHERE
        if ends:
            self._columns["end_us"][at[found]] = at_us[found]
        for name in ("application", "driver"):
            code = self._codes(events[name].combine_chunks(), as_is=True)
            told = found & (code != _NOWHERE)
            self._columns[name][at[told]] = code[told]

    def _codes(self, names: pa.StringArray, *, as_is: bool = False) -> Ints:
        """A number for each name, the same for all that mean the same user or database; -1 for
        none.
        """
        encoded = names.dictionary_encode()
        codes = np.full(len(encoded.dictionary) + 1, _NOWHERE, dtype=np.int64)
        for place, name in enumerate(encoded.dictionary.to_pylist()):
            if name:
                codes[place] = self._names.setdefault(
                    name if as_is else _plain(name), len(self._names)
                )
        places: Ints = pc.fill_null(encoded.indices, _NOWHERE).to_numpy()
        return codes[places]


def _plain(name: str) -> str:
    """A name without the way its user was let in, which one of the logs may leave out."""
    head, _, tail = name.partition(":")
    return (tail if tail and head in ("IAM", "IAMA", "IAMR") else name)[:_USER_CHARACTERS]


def _told(names: pa.StringArray) -> pa.StringArray:
    return pc.if_else(pc.equal(names, ""), pa.scalar(None, pa.string()), names)


def _key(pid: Ints, at_us: Ints) -> Any:  # noqa: ANN401  an array of uint64
    """Process and second in one number that sorts by both."""
    second = np.maximum(at_us // 1_000_000, 0).astype(np.uint64)
    return (pid.astype(np.uint64) << np.uint64(32)) | second
