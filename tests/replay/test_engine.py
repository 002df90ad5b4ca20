from __future__ import annotations

import errno
import gc
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gevent
import pyarrow.parquet as pq
import pytest

from replay.dials import DRAWS, Dials
from replay.divergence import Divergence
from replay.engine import Engine
from replay.marks import BEGIN, END, FAILED
from replay.run import Ledger
from replay.samples import Planned, SampleStream
from replay.timetable import build_timetable
from replay.variation import Variation
from tests.replay.fakes import ScriptedTarget
from tests.replay.planned import write_workload

LEAD_NS = 50_000_000


@dataclass(frozen=True, kw_only=True)
class Played:
    samples: list[dict[str, Any]]
    ledger: Ledger
    target: ScriptedTarget
    engine: Engine


def play(
    tmp_path: Path,
    said: list[tuple[float, str, str]],
    *,
    target: ScriptedTarget | None = None,
    dials: Dials | None = None,
    kind: str | None = "select",
    unsupported: tuple[str, ...] = (),
    drain_after_s: float | None = None,
    drain_when: Callable[[ScriptedTarget], bool] | None = None,
    grace_s: float = 0.0,
    full_disk: bool = False,
) -> Played:
    target = target or ScriptedTarget()
    dials = dials or Dials()
    workload = write_workload(tmp_path / "w", said, kind=kind, unsupported=unsupported)
    statements = workload.statements()
    timetable = build_timetable(statements, dials)
    stream = SampleStream(tmp_path / "samples", worker="w0", planned=Planned(timetable, statements))
    if full_disk:
        stream._part._file.close()
        stream._part._file = cast(Any, FullDisk(stream.path, stream._reserve))
    engine = Engine(
        timetable,
        statements,
        connect=target.connect,
        dials=dials,
        unsupported=frozenset(
            row["template_id"]
            for row in workload.templates().to_pylist()
            if row["coverage"] == "unsupported"
        ),
        stream=stream,
        variation=Variation(statements, timetable, dials, dialect="postgres"),
    )
    # The engine collects garbage as it starts: with all the tests' that takes longer than the lead.
    gc.collect()
    gc.freeze()
    engine.play(zero_ns=time.monotonic_ns() + LEAD_NS)
    if drain_after_s is not None:
        gevent.spawn_later(LEAD_NS / 1e9 + drain_after_s, lambda: engine.drain(grace_s=grace_s))
    while drain_when is not None and not drain_when(target):
        gevent.sleep(0.01)
    if drain_when is not None:
        engine.drain(grace_s=grace_s)
    assert engine.finished.wait(timeout=30)
    table = pq.read_table(stream.path)
    samples = sorted(table.to_pylist(), key=lambda row: (row["statement_id"], row["clone"]))
    planned = None if dials.endless else timetable.statements
    ledger = Ledger.of_samples(planned, iter([table]))
    return Played(samples=samples, ledger=ledger, target=target, engine=engine)


def statuses(played: Played) -> list[str]:
    return [sample["status"] for sample in played.samples]


def test_every_planned_statement_ends_as_one_sample(tmp_path: Path) -> None:
    said = [(n / 100, f"s{n % 5}", "now") for n in range(40)]
    played = play(tmp_path, said, dials=Dials(scale=2.5))
    # Two copies of five sessions of eight, and half of the five, rounded to two, once more.
    assert len(played.samples) == played.ledger.planned == 96
    assert played.ledger.balanced
    assert played.ledger.ok == played.ledger.planned


def test_statements_are_sent_when_due_and_in_order(tmp_path: Path) -> None:
    said = [(0.3, "b", "third"), (0.0, "a", "first"), (0.1, "b", "second"), (0.4, "a", "fourth")]
    played = play(tmp_path, sorted(said))
    sent = [text for _, text in played.target.sent]
    # A machine that is held up may send what two sessions have due by then in either order.
    assert sorted(sent) == ["first", "fourth", "second", "third"]
    assert sent.index("first") < sent.index("fourth")
    assert sent.index("second") < sent.index("third")
    for sample in played.samples:
        assert sample["sent_us"] >= sample["due_us"]
        assert sample["done_us"] >= sample["sent_us"]
    assert [sample["due_us"] for sample in played.samples] == [0, 100_000, 300_000, 400_000]


def test_each_session_has_a_connection_of_its_own_and_closes_it(tmp_path: Path) -> None:
    played = play(tmp_path, [(0.0, "a", "x"), (0.0, "b", "x"), (0.1, "a", "x")])
    assert played.target.logins == 2
    assert all(connection.closed for connection in played.target.connections)


def test_a_slow_target_makes_a_backlog_and_no_lag(tmp_path: Path) -> None:
    played = play(tmp_path, [(0.05 * n, "a", "sleep 0.15") for n in range(5)])
    response = [sample["done_us"] - sample["due_us"] for sample in played.samples]
    assert response == sorted(response)
    assert response[-1] > 500_000
    for before, sample in itertools.pairwise(played.samples):
        # What held the statement up was the answer before it, and that is the target's time.
        assert sample["ready_us"] == before["done_us"] > sample["due_us"]
    lag_us = [sample["sent_us"] - sample["ready_us"] for sample in played.samples[1:]]
    assert sum(lag_us) < response[-1]


def test_one_slow_session_does_not_delay_another(tmp_path: Path) -> None:
    said = [(0.0, "slow", "sleep 1"), (0.1, "quick", "now"), (0.2, "quick", "now")]
    slow, *quick = play(tmp_path, said).samples
    assert all(sample["done_us"] < slow["done_us"] for sample in quick)


def test_failures_of_the_target_are_errors_with_their_state(tmp_path: Path) -> None:
    played = play(tmp_path, [(0.0, "a", "fail 42P01"), (0.1, "a", "now")])
    assert statuses(played) == ["error", "ok"]
    assert (played.samples[0]["sqlstate"], played.samples[0]["error"]) == ("42P01", "as told")


def test_what_follows_a_failure_that_1_0_did_not_have_is_marked(tmp_path: Path) -> None:
    said = ["BEGIN", "fail 42P01", "SELECT 1", "COMMIT", "SELECT 2", "lose", "SELECT 3"]
    spoken = [(n / 100, "s", sql) for n, sql in enumerate(said)]
    played = play(tmp_path, spoken, kind=None, dials=Dials(writes=True))
    assert statuses(played) == ["ok", "error", "ok", "ok", "ok", "error", "ok"]
    assert [sample["diverged"] for sample in played.samples] == [
        *(False, False, True, True),
        *(False, False, True),
    ]


@pytest.mark.parametrize(
    ("mark", "failed", "diverged"),
    [(0, False, False), (0, True, True), (FAILED, True, False), (FAILED, False, True)],
)
def test_a_session_diverges_where_one_side_alone_failed(
    mark: int, failed: bool, diverged: bool
) -> None:
    session = Divergence()
    session.follow(mark, failed=failed)
    assert not session.mark, "outside of a transaction a failure changes nothing"
    session.follow(BEGIN, failed=False)
    session.follow(mark, failed=failed)
    assert bool(session.mark) == diverged
    session.follow(END, failed=False)
    assert not session.mark


SAID = [(0.0, "a", "SELECT 1"), (0.0, "b", "SELECT 2"), (30, "a", "sleep 0.1"), (60, "a", "x")]


def test_by_think_time_a_statement_is_due_after_the_answer_before(tmp_path: Path) -> None:
    said = [(0.0, "a", "sleep 0.2"), (0.101, "a", "SELECT 1")]
    played = play(tmp_path, said, dials=Dials(pace="think"))
    first, second = played.samples
    # 1.0 answered after a millisecond, and its user thought for 100.
    assert second["due_us"] == first["done_us"] + 100_000
    assert second["ready_us"] == first["done_us"]
    assert second["sent_us"] >= second["due_us"] >= 300_000


@pytest.mark.parametrize("draw", DRAWS)
def test_a_pool_plays_everything_once_without_a_pause(draw: str, tmp_path: Path) -> None:
    played = play(tmp_path, SAID, dials=Dials(mode="pool", draw=draw, users=2))
    assert played.ledger.ok == len(SAID)
    assert len(played.target.connections) == 2
    assert all(connection.closed for connection in played.target.connections)
    for sample in played.samples:
        assert sample["due_us"] <= sample["ready_us"] + 1 <= sample["sent_us"] + 1
    assert max(sample["done_us"] for sample in played.samples) < 30_000_000, "60 s by the timetable"


def test_a_pool_draws_sessions_in_order_and_one_connection_each(tmp_path: Path) -> None:
    played = play(tmp_path, SAID, dials=Dials(mode="pool", users=1))
    of_a = [text for _, text in played.target.sent if text != "SELECT 2"]
    assert of_a == ["SELECT 1", "sleep 0.1", "x"]


def test_a_pool_without_end_draws_until_it_is_told_to_stop(tmp_path: Path) -> None:
    dials = Dials(mode="pool", users=3, endless=True)
    played = play(tmp_path, SAID, dials=dials, drain_when=lambda at: len(at.sent) > 3 * len(SAID))
    assert played.engine.planned == len(played.samples) > 3 * len(SAID)
    assert {sample["status"] for sample in played.samples} <= {"ok", "cancelled"}
    asked = Counter((sample["statement_id"], sample["clone"]) for sample in played.samples)
    assert set(asked.values()) == {1}, "each time around is a clone of its own"


def test_a_pool_grows_by_its_ramp(tmp_path: Path) -> None:
    dials = Dials(mode="pool", draw="statements", users=99, ramp_per_s=10, endless=True)
    played = play(tmp_path, SAID, dials=dials, drain_when=lambda at: at.logins == 4)
    assert played.target.logged_in_ns[3] - played.target.logged_in_ns[0] > 200_000_000
    assert max(sample["done_us"] or 0 for sample in played.samples) >= 300_000


def test_statements_drawn_alone_leave_out_what_belongs_to_a_session(tmp_path: Path) -> None:
    said = [(n / 100, "s", sql) for n, sql in enumerate(["BEGIN", "SELECT 1", "COMMIT"])]
    played = play(tmp_path, said, kind=None, dials=Dials(mode="pool", draw="statements"))
    assert statuses(played) == ["skipped", "ok", "skipped"]
    assert dict(played.ledger.skipped) == {
        "not drawn alone: begin": 1,
        "not drawn alone: commit": 1,
    }


def test_what_may_write_is_skipped_and_counted(tmp_path: Path) -> None:
    said = [(0.0, "a", "delete from t"), (0.0, "a", "select 1")]
    played = play(tmp_path, said, kind=None)
    assert dict(played.ledger.skipped) == {"may write: delete": 1}
    assert [text for _, text in played.target.sent] == ["select 1"]
    wrote = play(tmp_path / "writes", said, kind=None, dials=Dials(writes=True))
    assert not wrote.ledger.skipped


def test_what_prepare_could_not_bring_over_is_skipped_and_counted(tmp_path: Path) -> None:
    said = [(0.0, "a", "select nothing"), (0.0, "a", "select 1")]
    played = play(tmp_path, said, unsupported=("select nothing",))
    assert dict(played.ledger.skipped) == {"unsupported": 1}


def test_a_statement_beyond_its_time_is_cancelled_as_timeout(tmp_path: Path) -> None:
    said = [(0.0, "a", "hang"), (0.1, "a", "now")]
    played = play(tmp_path, said, dials=Dials(statement_timeout_s=0.2))
    assert statuses(played) == ["timeout", "ok"]
    assert played.samples[0]["sqlstate"] == "57014"


def test_draining_cancels_what_is_in_flight_and_what_is_not_due(tmp_path: Path) -> None:
    said = [(0.0, "a", "now"), (0.0, "b", "hang"), (30.0, "a", "later"), (60.0, "c", "never")]
    began_s = time.monotonic()
    played = play(tmp_path, said, drain_after_s=0.3)
    assert time.monotonic() - began_s < 10
    assert statuses(played) == ["ok", "cancelled", "cancelled", "cancelled"]
    assert played.ledger.balanced
    assert "never" not in [text for _, text in played.target.sent]


def test_what_had_not_begun_is_cancelled_or_skipped_as_it_would_have_been(tmp_path: Path) -> None:
    said = [(0.0, "a", "SELECT 1"), (5.0, "b", "DELETE FROM t"), (5.1, "b", "SELECT 2")]
    said += [(6.0, "c", "SELECT 3")]
    played = play(tmp_path, said, kind=None, dials=Dials(scale=2), drain_after_s=0.6)
    of = {(row["session_id"], row["statement_id"]): row for row in played.samples}
    assert len(of) == 2 * len(said)
    ends = [of[key]["status"] for key in (("b", 1), ("b", 2), ("c", 3))]
    assert ends == ["skipped", "cancelled", "cancelled"]
    assert of["b#1", 1]["error"] == "may write: delete"
    assert of["c", 3]["due_us"] == 6_000_000 and of["c#1", 3]["clone"] == 1


def test_draining_lets_what_is_in_flight_end_within_its_grace(tmp_path: Path) -> None:
    played = play(tmp_path, [(0.0, "a", "sleep 0.5")], drain_after_s=0.1, grace_s=5)
    assert statuses(played) == ["ok"]


def test_a_lost_connection_is_opened_again(tmp_path: Path) -> None:
    played = play(tmp_path, [(0.0, "a", "lose"), (0.1, "a", "now")])
    assert statuses(played) == ["error", "ok"]
    assert played.target.logins == 2


def test_a_refused_login_is_tried_again(tmp_path: Path) -> None:
    played = play(tmp_path, [(0.0, "a", "now")], target=ScriptedTarget(refuse=1))
    assert statuses(played) == ["ok"]


def test_a_login_that_stays_refused_is_the_statements_error(tmp_path: Path) -> None:
    target = ScriptedTarget(refuse=99, sqlstate="28P01")
    played = play(tmp_path, [(0.0, "a", "now"), (2.0, "a", "now")], target=target)
    assert statuses(played) == ["error", "error"]
    assert {sample["sqlstate"] for sample in played.samples} == {"28P01"}
    assert target.logins == 2
    assert all(sample["sent_us"] is None for sample in played.samples)


def test_draining_does_not_wait_for_a_login_that_gets_no_answer(tmp_path: Path) -> None:
    said = [(0.0, "a", "now"), (0.1, "a", "now"), (0.1, "b", "now"), (60.0, "b", "later")]
    began_s = time.monotonic()
    played = play(tmp_path, said, target=ScriptedTarget(silent=2), drain_after_s=0.3)
    assert time.monotonic() - began_s < 10
    assert statuses(played) == ["cancelled"] * 4
    assert played.ledger.balanced


def test_statements_due_while_a_login_gets_no_answer_share_its_fate(tmp_path: Path) -> None:
    said = [(n / 10, "a", "now") for n in (0, 1, 2, 40)]
    target = ScriptedTarget(silent=1)
    played = play(tmp_path, said, target=target, dials=Dials(statement_timeout_s=1))
    assert statuses(played) == ["error", "error", "error", "ok"]
    assert {sample["sqlstate"] for sample in played.samples[:3]} == {"08001"}
    assert target.logins == 2


def test_logins_that_wait_for_the_target_hold_up_no_others(tmp_path: Path) -> None:
    said = [(n / 100, f"s{n}", "now") for n in range(150)]
    played = play(tmp_path, said, target=ScriptedTarget(silent=150, silence_s=3))
    assert statuses(played) == ["ok"] * 150
    # All of the three seconds is the target's: the session was ready when its login was answered.
    assert min(sample["ready_us"] - sample["due_us"] for sample in played.samples) > 2_000_000
    lag_us = [sample["sent_us"] - sample["ready_us"] for sample in played.samples]
    assert max(lag_us) < 1_000_000


def test_a_cancellation_that_comes_late_does_not_meet_the_next_statement(tmp_path: Path) -> None:
    said = [(0.0, "a", "sleep 0.4"), (0.1, "a", "now")]
    target = ScriptedTarget(cancel_s=1)
    played = play(tmp_path, said, target=target, dials=Dials(statement_timeout_s=0.2))
    assert statuses(played) == ["ok", "ok"]
    assert [text for _, text in target.sent] == ["sleep 0.4", "cancelled", "now"]


def test_clones_are_told_apart(tmp_path: Path) -> None:
    played = play(tmp_path, [(0.0, "a", "now")], dials=Dials(scale=3))
    assert [sample["session_id"] for sample in played.samples] == ["a", "a#1", "a#2"]
    assert [sample["clone"] for sample in played.samples] == [0, 1, 2]


class FullDisk:
    """A file on a disk that is full until the reserve is given back."""

    def __init__(self, path: Path, reserve: Path) -> None:
        self._file = path.open("r+b", buffering=0)
        self._file.seek(0, os.SEEK_END)
        self._reserve = reserve

    def write(self, data: memoryview) -> int:
        if self._reserve.exists():
            self._file.write(data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_a_full_disk_ends_the_run_and_keeps_what_was_done(tmp_path: Path) -> None:
    said = [(0.0, "a", "now"), (0.1, "a", "now"), (60.0, "a", "later")]
    began_s = time.monotonic()
    played = play(tmp_path, said, full_disk=True)
    assert time.monotonic() - began_s < 10
    assert played.engine.recorder.failure is not None
    assert "No space left" in played.engine.recorder.failure
    assert statuses(played) == ["ok", "ok", "cancelled"]
