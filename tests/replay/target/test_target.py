from __future__ import annotations

import pytest

from replay.errors import Unreachable, UsageError, describe
from replay.target.target import parse_target

BAD = {
    "another database": ("oracle://h/d", "not a kind of target"),
    "no URL": ("postgresql://u:secret@h:not-a-port/d?=x", "not a connection URL"),
    "a password taken for a port": ("postgresql://u:secret/x@h/d", "not a connection URL"),
    "a password": ("postgresql://u:secret@h/d", "holds a password"),
    "a password as an option": ("postgresql://h/d?password=secret", "holds a password"),
}


@pytest.mark.parametrize(("url", "words"), BAD.values(), ids=BAD.keys())
def test_bad_urls_are_refused_without_showing_secrets(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        parse_target(url, statement_timeout_s=1)
    assert "secret" not in describe(refused.value)


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="cannot be found"):
        parse_target("postgresql://no-such-host.invalid/d", statement_timeout_s=1)


def test_what_is_recorded_holds_no_user_and_no_option() -> None:
    target = parse_target("postgresql://ann@127.0.0.1/d?sslmode=disable", statement_timeout_s=2)
    told = target.as_json()
    assert told.pop("session") == {
        "application_name": "fourstep",
        "statement_timeout": "3000",
        "default_transaction_read_only": "on",
    }
    assert told == {"kind": "postgresql", "host": "127.0.0.1", "database": "d"}
    assert "hostaddr=127.0.0.1" in target.conninfo


def test_a_network_that_is_cut_in_silence_is_noticed_unless_the_url_says_otherwise() -> None:
    target = parse_target("postgresql://ann@127.0.0.1/d?keepalives_idle=7", statement_timeout_s=2)
    assert "keepalives_idle=7 " in target.conninfo
    assert "tcp_user_timeout=60000" in target.conninfo


def test_sessions_are_read_only_and_limited_unless_told_otherwise() -> None:
    url = "postgresql://ann@127.0.0.1/d"
    reading = parse_target(url, statement_timeout_s=2).setup()
    assert reading == "SET statement_timeout TO 3000; SET default_transaction_read_only TO on"
    writing = parse_target(url, statement_timeout_s=2, writes=True).setup()
    assert writing == "SET statement_timeout TO 3000"
