"""From records to statements in their sessions: outcomes joined, order kept, times derived.

A log that is written as statements start tells their duration or error in a later record of the
same session, with other sessions in between; the extended protocol's parsing and binding come in
records of their own before the execution. Records are therefore sorted by session, block by block,
and what a session has not finished is carried to the next block.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.record import Bools, Ints, What
from replay.template import has_markers

_OF_SESSIONS = tuple(what for what in What if what < What.SKIPPED)
_MOST_SESSIONS = 100_000
"""Sessions remembered; without disconnections in the log none would ever be forgotten."""
_MOST_HELD = 20_000
_KEPT = "origin duration_us rows error user database application sql params".split()


@dataclass(slots=True)
class _Session:
    id: str
    user: str | None
    seq: int
    last_started_at_us: int = 0


class Sessions:
    """Joins outcomes to statements and numbers the statements of each session.

    One for logs that continue each other. `unique` says that no two sessions share a key; else a
    key is used again after a disconnection, a restart or by another user, and `prefix` tells logs
    of different servers apart.
    """

    def __init__(self, *, unique: bool, prefix: str = "") -> None:
        self._unique = unique
        self._prefix = prefix
        self._open: dict[str, _Session] = {}
        self._carried: pa.Table | None = None
        self._seq_floor = 0

    def take(self, records: pa.Table, *, last: bool) -> tuple[pa.Table, Counter[str]]:
        """Take the next records: the statements that are complete, and why others are none.

        `records` are rows of RECORDS with their `origin`; those that say nothing of a session are
        ignored. Statements are rows of INCOMING without `kind` and `template_id`. With `last`
        nothing is carried on.
        """
        rows = records.filter(pa.array(np.isin(records["what"].to_numpy(), _OF_SESSIONS)))
        if self._carried is not None:
            rows = pa.concat_tables([self._carried, rows])
        block = _Block(rows, unique=self._unique)
        skipped = block.join()
        held = np.zeros(len(block.what), dtype=np.bool_) if last else block.unfinished()
        self._carried = None if last else block.carried(held)
        sessions = self._sessions_of(block)
        statements = _placed(block, block.is_statement & ~held, sessions)
        self._forget(block, sessions)
        return statements, skipped

    def _sessions_of(self, block: _Block) -> list[_Session]:
        """The session of each group of the block's rows."""
        found = []
        for key, user, anew, at_us in block.groups():
            session = self._open.get(key)
            if session is None or anew or (not self._unique and _another(session.user, user)):
                name = key if self._unique else f"{self._prefix}{key}@{_moment(at_us)}"
                session = self._open[key] = _Session(name, user, self._seq_floor)
            found.append(session)
        return found

    def _forget(self, block: _Block, sessions: list[_Session]) -> None:
        if block.epochs:
            alive = {id(sessions[group]) for group in block.group[block.epoch == block.epochs]}
            self._open = {k: each for k, each in self._open.items() if id(each) in alive}
        for key in block.disconnected():
            self._open.pop(key, None)
        if len(self._open) > _MOST_SESSIONS:
            oldest = list(self._open)[: _MOST_SESSIONS // 2]
            # One that comes back goes on with higher numbers than it could have had.
            self._seq_floor = max(self._seq_floor, *(self._open[key].seq for key in oldest))
            for key in oldest:
                del self._open[key]


class _Block:
    """Records sorted by session, in the log's order within each; a group is one session's."""

    def __init__(self, rows: pa.Table, *, unique: bool) -> None:
        what = rows["what"].to_numpy()
        # Sessions with a name of their own cannot be taken for one from before a restart.
        epoch = np.cumsum((what == What.RESTART) & (not unique))
        self.epochs = int(epoch[-1]) if len(epoch) else 0
        rows = rows.filter(pa.array(what != What.RESTART)).combine_chunks()
        keys = pc.fill_null(rows["session"], "").combine_chunks().dictionary_encode()
        order = np.argsort(keys.indices.to_numpy(), kind="stable")
        self.rows = rows.take(pa.array(order))
        self.what = self.rows["what"].to_numpy().copy()
        self.epoch: Ints = epoch[what != What.RESTART][order]
        self._keys = keys.dictionary.to_pylist()
        self._key: Ints = keys.indices.to_numpy()[order]
        self.at_us: Ints = pc.fill_null(self.rows["at_us"], 0).to_numpy().copy()
        self.ends = mask(self.rows["ends"])
        duration = self.rows["duration_us"]
        self.untimed = mask(duration.is_null())
        self.duration_us: Ints = pc.fill_null(duration, 0).to_numpy().copy()
        self.extended = mask(self.rows["extended"])
        self._error_from = np.arange(len(order))
        self._params_from = np.arange(len(order))

        same_key = self._key[1:] == self._key[:-1]
        begins = ~same_key
        if not unique:
            begins |= self._begins_anew()
        begins = np.concatenate([[True], begins])[: len(order)]
        self.group: Ints = np.cumsum(begins) - 1
        self.first = np.flatnonzero(begins)
        self.last: Ints = np.append(self.first[1:], len(order))[: len(self.first)] - 1
        later = np.concatenate([[False], same_key])[: len(order)]
        self._anew = later[self.first] | (not unique) & (
            (self.what[self.first] == What.CONNECT) | (self.epoch[self.first] > 0)
        )

    @property
    def _goes_on(self) -> Bools:
        """Groups that are the last of their key."""
        key = self._key[self.last]
        last: Bools = np.append(key[1:] != key[:-1], True)[: len(key)]
        return last

    def _begins_anew(self) -> Bools:
        """Whether each row but the first begins a session although its key goes on."""
        before, now = self.what[:-1], self.what[1:]
        anew: Bools = (now == What.CONNECT) | (before == What.DISCONNECT)
        anew |= self.epoch[1:] != self.epoch[:-1]
        # Another database is none: MySQL's USE goes from one to the next.
        users = self.rows["user"].combine_chunks().dictionary_encode().indices
        user = pc.fill_null(users, -1).to_numpy()
        anew |= (user[1:] != user[:-1]) & (user[1:] >= 0) & (user[:-1] >= 0)
        return anew

    @property
    def is_statement(self) -> Bools:
        """Rows that are statements, once outcomes are joined."""
        statement: Bools = (self.what == What.STATEMENT) | (self.what == What.FAILURE)
        return statement

    def join(self) -> Counter[str]:
        """Give outcomes, steps and bind values to the statements they belong to."""
        skipped: Counter[str] = Counter()
        what = self.what
        opens = (what == What.STATEMENT) & ~self.ends & self.untimed
        follows = np.zeros(len(what), dtype=np.bool_)
        follows[1:] = opens[:-1] & (self.group[1:] == self.group[:-1])
        outcome = np.flatnonzero((what == What.OUTCOME) & follows)
        failure = np.flatnonzero((what == What.FAILURE) & follows)
        sql = self.rows["sql"]
        alike = mask(pc.equal(sql.take(pa.array(failure)), sql.take(pa.array(failure - 1))))
        failure = failure[alike]
        what[failure] = What.OUTCOME
        skipped["error of earlier record"] += len(failure)
        self.duration_us[outcome - 1] = self.duration_us[outcome]
        self.untimed[outcome - 1] = self.untimed[outcome]
        for rows in (outcome, failure):
            self._error_from[rows - 1] = rows
        self._add_steps()
        skipped["bind values not logged"] += self._bind_failures()
        return +skipped

    def _add_steps(self) -> None:
        """Parsing and binding count as time of the execution that follows them."""
        steps_us = np.where(self.what == What.STEP, self.duration_us, 0)
        if not steps_us.any():
            return
        total_us = np.cumsum(steps_us)
        ran = np.flatnonzero(self._ran)
        before = self.first[self.group[ran]]
        since_us = total_us[before] - steps_us[before]
        since_us[1:] = np.maximum(since_us[1:], total_us[ran[:-1]])
        timed = (self.what[ran] == What.STATEMENT) & ~self.untimed[ran]
        self.duration_us[ran[timed]] += (total_us[ran] - since_us)[timed]

    @property
    def _ran(self) -> Bools:
        """Rows that use up the steps before them."""
        executed = (self.what == What.STATEMENT) & self.extended
        ran: Bools = executed | (self.what == What.FAILURE)
        return ran

    def _bind_failures(self) -> int:
        """The record of an error never tells bind values; the binding before it did."""
        lost = 0
        sql, params = self.rows["sql"], self.rows["params"]
        bound = np.where(
            (self.what == What.STEP) & mask(params.is_valid()), np.arange(len(self.what)), -1
        )
        bound = np.maximum.accumulate(bound) if len(bound) else bound
        for row in np.flatnonzero(self.what == What.FAILURE):
            text = sql[row].as_py()
            if params[row].is_valid or "$" not in text or not has_markers(text):
                continue
            step = bound[row]
            if step >= self.first[self.group[row]] and sql[step].as_py() == text:
                self._params_from[row] = step
            else:
                self.what[row] = What.SKIPPED
                lost += 1
        return lost

    def unfinished(self) -> Bools:
        """Statements whose outcome may still come: the last words of their session."""
        held = np.zeros(len(self.what), dtype=np.bool_)
        last = self.last[self._goes_on][-_MOST_HELD:]
        held[last] = (
            (self.what[last] == What.STATEMENT)
            & ~self.ends[last]
            & self.untimed[last]
            & (self.epoch[last] == self.epochs)
        )
        return held

    def carried(self, held: Bools) -> pa.Table:
        """Rows to begin the next block with: unfinished statements, and what precedes one."""
        step, ran = self._latest(self.what == What.STEP), self._latest(self._ran & ~held)
        waiting = self._goes_on & (step > ran) & (self.what[self.last] != What.DISCONNECT)
        step, ran = step[waiting], ran[waiting]
        # One row stands for all steps since the last execution.
        total_us = np.cumsum(np.where(self.what == What.STEP, self.duration_us, 0))
        since = np.where(ran >= 0, ran, self.first[waiting] - 1)
        total_us = np.append(total_us, 0)  # where -1 looks
        self.duration_us[step] = total_us[step] - total_us[since]
        chosen = np.union1d(np.flatnonzero(held), step)
        rows = self.rows.take(pa.array(chosen))
        at = rows.schema.get_field_index("duration_us")
        durations = pa.array(self.duration_us[chosen], mask=self.untimed[chosen])
        return rows.set_column(at, rows.schema.field(at), durations)

    def _latest(self, rows: Bools) -> Ints:
        """The last of these rows in each group, or -1."""
        latest = np.maximum.accumulate(np.where(rows, np.arange(len(rows)), -1))[self.last]
        return np.where(latest >= self.first, latest, -1)

    def groups(self) -> Any:  # noqa: ANN401  an iterator of a tuple for each group
        """Key, user, whether the session begins here, and when."""
        users = self.rows["user"].take(pa.array(self.first)).to_pylist()
        keys = [self._keys[code] for code in self._key[self.first]]
        stamps = self.at_us[self.first].tolist()
        return zip(keys, users, self._anew.tolist(), stamps, strict=True)

    def disconnected(self) -> list[str]:
        """Keys whose session has ended by the block's end."""
        ended = self.last[self._goes_on & (self.what[self.last] == What.DISCONNECT)]
        return [self._keys[self._key[row]] for row in ended]

    def taken(self, at: Ints) -> pa.Table:
        """The statements at these rows, as far as no session is needed."""
        rows = self.rows.select(_KEPT)
        chosen = rows.take(pa.array(at))
        for name, source in (("error", self._error_from), ("params", self._params_from)):
            if (source[at] != at).any():
                column = rows[name].take(pa.array(source[at]))
                chosen = chosen.set_column(_KEPT.index(name), name, column)
        durations = pa.array(self.duration_us[at], mask=self.untimed[at])
        return chosen.set_column(_KEPT.index("duration_us"), "duration_us", durations)


def _placed(block: _Block, emitted: Bools, sessions: list[_Session]) -> pa.Table:
    """The statements with their session, their place in it and their start."""
    at = np.flatnonzero(emitted)
    group = block.group[at]
    starts = block.at_us[at] - np.where(block.ends[at], block.duration_us[at], 0)
    first = np.flatnonzero(np.diff(group, prepend=-1))
    owners = [sessions[number] for number in group[first]]
    length = np.diff(np.append(first, len(at)))
    owner = np.repeat(np.arange(len(first)), length)
    earliest = np.array([each.last_started_at_us for each in owners], dtype=np.int64)
    # Stamps are coarser than durations: neighbours may seem to change places.
    starts[first] = np.maximum(starts[first], earliest)
    starts = _running_maximum(starts, owner)
    base = np.array([each.seq for each in owners], dtype=np.int64)
    seq = np.arange(len(at)) - np.repeat(first - base, length)
    for each, begin, count in zip(owners, first.tolist(), length.tolist(), strict=True):
        each.seq += count
        each.last_started_at_us = int(starts[begin + count - 1])
    ids = pa.array([each.id for each in owners], type=pa.string())
    statements = block.taken(at)
    statements = statements.append_column("session_id", ids.take(pa.array(owner)))
    statements = statements.append_column("seq", pa.array(seq, type=pa.int32()))
    moments = pa.array(starts).cast(pa.timestamp("us", tz="UTC"))
    return statements.append_column("started_at", moments)


def _running_maximum(values: Ints, group: Ints) -> Ints:
    """The largest value so far within each group; groups are numbered in order.

    Ranks instead of values keep the sum with the group's number within 64 bits.
    """
    if not len(values):
        return values
    order = np.argsort(values, kind="stable")
    rank = np.empty(len(values), dtype=np.int64)
    rank[order] = np.arange(len(values))
    highest = np.maximum.accumulate(group * len(values) + rank)
    largest: Ints = values[order[highest % len(values)]]
    return largest


def _another(known: str | None, user: str | None) -> bool:
    return known is not None and user is not None and known != user


def _moment(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y%m%dT%H%M%S.%f")
