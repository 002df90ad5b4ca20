"""The wire server as libpq sees it: what it lets tests and benchmarks ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest

from replay.target.target import parse_target
from replay.target.wire import Answer, Wire
from replay.waiter import SocketWaiter
from tests.wire_server import wire_server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with wire_server() as at:
        yield at


@pytest.fixture
def connect(url: str) -> Iterator[Callable[[], Wire]]:
    opened: list[Wire] = []

    def open_one() -> Wire:
        target = parse_target(url, statement_timeout_s=60)
        opened.append(Wire(target.conninfo, wait=SocketWaiter, setup=target.setup()))
        return opened[-1]

    yield open_one
    for wire in opened:
        wire.close()


ASKED = {
    "one row": (b"SELECT 1", 1, None),
    "no rows": (b"SELECT 1 -- rows 0", 0, None),
    "rows in several writes": (b"SELECT 1 -- rows 12345", 12_345, None),
    "rows of columns": (b"SELECT 1 -- rows 7 -- columns 3", 7, None),
    "an error": (b"SELECT 1 -- error 42P01", None, "42P01"),
    "an error, late": (b"SELECT 1 -- error 40001 -- after 1", None, "40001"),
    "a command": (b"BEGIN", None, None),
}


@pytest.mark.parametrize("params", [None, [b"1"]], ids=["simple", "extended"])
@pytest.mark.parametrize(("sql", "rows", "state"), ASKED.values(), ids=ASKED.keys())
def test_it_answers_as_asked_and_goes_on(
    sql: bytes,
    rows: int | None,
    state: str | None,
    params: list[bytes | None] | None,
    connect: Callable[[], Wire],
) -> None:
    wire = connect()
    answer = wire.execute(sql, params)
    assert (answer.rows, answer.sqlstate, answer.lost) == (rows, state, False)
    assert wire.execute(b"SELECT 1", params).rows == 1


@pytest.mark.parametrize("sql", [b"SELECT 1 -- after 60000", b"SELECT 1 -- rows 2000000000"])
def test_what_takes_long_can_be_cancelled(sql: bytes, connect: Callable[[], Wire]) -> None:
    wire = connect()
    ended: list[Answer] = []
    waiting = gevent.spawn(lambda: ended.append(wire.execute(sql, None)))
    gevent.sleep(0.05)
    wire.cancel()
    waiting.join(timeout=20)
    assert ended[0].sqlstate == "57014"
    assert wire.execute(b"SELECT 1", None).rows == 1


def test_a_long_answer_holds_up_nobody_else(connect: Callable[[], Wire]) -> None:
    slow, quick = connect(), connect()
    waiting = gevent.spawn(slow.execute, b"SELECT 1 -- after 60000", None)
    gevent.sleep(0.05)
    assert quick.execute(b"SELECT 1", None).rows == 1
    assert not waiting.ready()
    slow.cancel()
    waiting.join(timeout=20)
