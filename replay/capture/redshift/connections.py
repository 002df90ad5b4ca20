"""Connections to Redshift, as its connection log tells them, and whose statement is whose.

A process id is used again: a statement belongs to the latest connection of its process and user
that had begun. Events: Amazon Redshift management guide, "Database audit logging".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.record import Ints, What, records_of

_BEGINS, _ENDS = "initiating session", "disconnecting session"
USER_LOG = "user log"
"""Stands for an event that tells of no connection."""
# A connection from its events in order of time; what an event does not tell is passed over.
_MERGED = dict.fromkeys("at_us event pid user session".split(), "first")
_MERGED |= dict.fromkeys("application end_us".split(), "last")

_SLACK_US = 2_000_000
"""Statements and connections are logged by different processes: so little may be out of order."""
_MOST_NEW = 500_000
_MOST_USERS = 1 << 20
_USER_CHARACTERS = 50
"""The connection log cuts names there."""
_OPEN = np.iinfo(np.int64).max
Keys = npt.NDArray[np.complex128]


class Connections:
    """What is known of connections by now; grows with them, not with their statements."""

    def __init__(self) -> None:
        self._users: dict[str, int] = {}
        numbers = dict.fromkeys(("at_us", "end_us", "pid"), pa.int64())
        names = [(name, numbers.get(name, pa.string())) for name in _MERGED]
        self._known = pa.schema(names).empty_table()
        self._new = [self._known]

    def see(self, events: Mapping[str, Any], lines: Ints) -> pa.Table:
        """Remember events and give them as rows of RECORDS: they are not replayed.

        `events` has the columns at_us, event, pid, session (the server's own name of it), user,
        database and application; null is what is not told.
        """
        at_us, event = events["at_us"], events["event"]
        end_us = pc.if_else(pc.equal(event, _ENDS), at_us, pa.scalar(None, pa.int64()))
        told = pa.table({**events, "end_us": end_us}).select(list(_MERGED))
        self._new.append(told.filter(pc.and_(at_us.is_valid(), events["pid"].is_valid())))
        if sum(map(len, self._new)) > _MOST_NEW:
            self._fold()
        reason = pc.if_else(pc.equal(event, USER_LOG), USER_LOG, "connection")
        # Their stamps would go back where they are read before all statements.
        columns = {name: events[name] for name in ("user", "database", "application")}
        columns |= {"line": lines, "what": int(What.SKIPPED), "reason": reason}
        return records_of(len(lines), columns)

    def find(self, pid: Ints, user: pa.StringArray, at_us: Ints, *, resolution_us: int) -> pa.Table:
        """Session and application of statements, null where no connection is known.

        They began at `at_us`, or less than a `resolution_us` later.
        """
        if self._new:
            self._fold()
        found = np.full(len(pid), -1, dtype=np.int64)
        for late_us in (0, _SLACK_US):
            key = self._key_of(pid, user, at_us + resolution_us - 1 + late_us)
            place = np.searchsorted(self._key, key, side="right") - 1
            fits = self._key.real[place] == key.real
            fits &= self._end_us[place] >= at_us - _SLACK_US
            found = np.where((found < 0) & fits, place, found)
        return self._owners.take(pa.array(found, mask=found < 0))

    def _fold(self) -> None:
        """Make connections of the events that came since."""
        rows, self._new = pa.concat_tables([self._known, *self._new]).combine_chunks(), []
        pid, user, at_us = (rows[name].combine_chunks() for name in ("pid", "user", "at_us"))
        key = self._key_of(pid.to_numpy(), user, at_us.to_numpy())
        order = np.argsort(key, kind="stable")
        rows, key, place = rows.take(pa.array(order)), key[order], np.arange(len(key))
        same = np.append(False, key.real[1:] == key.real[:-1])[: len(key)]
        first = np.maximum.accumulate(np.where(same, 0, place))
        begins = np.where(mask(pc.equal(rows["event"], _BEGINS)), place, -1)
        connection = np.maximum.accumulate(begins)
        rows = rows.append_column("connection", pa.array(connection))
        # What began before the log did is of no use: it may be anybody's.
        rows = rows.filter(pa.array(connection >= first))
        grouped = rows.group_by("connection", use_threads=False)
        merged = grouped.aggregate(list(_MERGED.items())).sort_by("connection").combine_chunks()
        known = pa.table({name: merged[f"{name}_{how}"] for name, how in _MERGED.items()})

        self._known = known
        # No process is infinite: where nothing precedes a key, the last place is looked at.
        self._key = np.append(key[merged["connection"].to_numpy()], np.inf)
        self._end_us = np.append(pc.fill_null(known["end_us"], _OPEN).to_numpy(), 0)
        moment = pc.strftime(known["at_us"].cast(pa.timestamp("us")), "%Y%m%dT%H%M%S")
        made = pc.binary_join_element_wise(known["pid"].cast(pa.string()), moment, "@")
        session = pc.coalesce(known["session"], made)
        self._owners = pa.table({"session": session, "application": known["application"]})

    def _key_of(self, pid: Ints, user: pa.StringArray, at_us: Ints) -> Keys:
        """Process and user, then time: numpy orders complex numbers by real part first. Both parts
        are whole numbers below 2 ** 53, so exact.
        """
        codes = pc.fill_null(user, "").dictionary_encode()
        names = [_plain(name) for name in codes.dictionary.to_pylist()]
        known = [self._users.setdefault(name, len(self._users)) for name in names]
        number = np.array(known, dtype=np.int64)[codes.indices.to_numpy()]
        key: Keys = (pid * _MOST_USERS + number) + 1j * at_us
        return key


def _plain(name: str) -> str:
    """A name without the way its user was let in, which one of the logs may leave out."""
    head, _, tail = name.partition(":")
    return (tail if tail and head in ("IAM", "IAMA", "IAMR") else name)[:_USER_CHARACTERS]
