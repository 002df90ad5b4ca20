"""Logins with credentials that end: fetched once for all, and anew when they are refused."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
import pytest

from replay.errors import FourstepError, Unreachable
from replay.login import Logins
from replay.target.credentials import Credentials, Grant
from replay.target.null import NullConnection
from replay.target.wire import Connection, LoginFailed, WaiterFactory


class Door:
    """Gives out numbered passwords, and lets in whoever knows one of those that are good."""

    def __init__(self, *good: str, lasts_s: float = 3_600, takes_s: float = 0) -> None:
        self.good = good
        self.lasts_s = lasts_s
        self.takes_s = takes_s
        self.fetched = 0
        self.failure: FourstepError | None = None
        self.credentials = Credentials(self._fetch)
        self.logins = Logins(self._connect, self.credentials, timeout_s=20)

    def _fetch(self) -> Grant:
        time.sleep(self.takes_s)
        self.fetched += 1
        if self.failure is not None:
            raise self.failure
        expires_s = time.time() + self.lasts_s
        return Grant(user="u", password=f"p{self.fetched}", expires_s=expires_s)

    def _connect(self, wait: WaiterFactory, *, user: str | None = None) -> Connection:
        assert self.credentials.grant is not None
        if self.credentials.grant.password not in self.good:
            raise LoginFailed("password expired", sqlstate="28P01")
        return NullConnection(wait)


def all_of(number: int, work: Callable[[], object]) -> list[object]:
    greenlets = [gevent.spawn(work) for _ in range(number)]
    gevent.joinall(greenlets, raise_error=True)
    return [greenlet.value for greenlet in greenlets]


def test_sessions_of_a_worker_share_one_grant() -> None:
    door = Door("p1", takes_s=0.05)
    assert None not in all_of(30, door.logins.open)
    assert door.fetched == 1


def test_what_the_server_refuses_is_fetched_anew_once_for_all() -> None:
    door = Door("p2")
    assert None not in all_of(30, door.logins.open)
    assert door.fetched == 2


def test_what_is_refused_again_is_the_statements_error() -> None:
    door = Door("p3")
    with pytest.raises(LoginFailed) as failed:
        door.logins.open()
    assert failed.value.sqlstate == "28P01"
    assert door.fetched == 2


def test_where_aws_gives_none_the_login_fails() -> None:
    door = Door("p1")
    door.failure = Unreachable("credentials for `c`: AWS throttles the requests")
    with pytest.raises(LoginFailed, match="throttles") as failed:
        door.logins.open()
    assert failed.value.sqlstate == "28000"


def test_what_ends_soon_is_renewed_and_holds_up_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door("p1", "p2", lasts_s=60)
    door.logins.open()
    door.takes_s = 1.0
    renewing = gevent.spawn(door.logins.open)
    gevent.sleep(0.2)
    others = all_of(10, door.logins.open)
    assert None not in others and not renewing.ready()
    renewing.get()
    assert door.fetched == 2


def test_what_cannot_be_renewed_yet_goes_on_and_warns_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door("p1", lasts_s=60)
    door.logins.open()
    door.failure = Unreachable("credentials for `c`: AWS throttles the requests")
    assert None not in all_of(10, door.logins.open)
    assert door.fetched == 2
    assert [record.message for record in caplog.records if "cannot be renewed" in record.message]
    assert len(caplog.records) == 1
