"""Digests of answers, on a real server."""

from __future__ import annotations

import pytest

from replay.target.digest import canonical
from replay.target.embedded import EmbeddedServer
from replay.target.target import parse_target
from replay.target.wire import Answer
from replay.waiter import SocketWaiter


def answer_of(server: EmbeddedServer, sql: str, *, digest: bool = True) -> Answer:
    target = parse_target(server.url(), statement_timeout_s=30, digest=digest)
    connection = target.connect(SocketWaiter)
    try:
        return connection.execute(sql.encode(), None)
    finally:
        connection.close()


def digest_of(server: EmbeddedServer, sql: str) -> str:
    digest = answer_of(server, sql).digest
    assert digest is not None
    return digest


NUMBERS = "SELECT n, 'x' || n FROM generate_series(1, 1234) AS of(n) ORDER BY n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{NUMBERS} DESC", f"{NUMBERS} ASC"),
        ("SELECT 5::int", "SELECT 5.00::numeric"),
        ("SELECT 5::int", "SELECT 5::float8"),
        ("SELECT 0.1::float8 + 0.2::float8", "SELECT 0.3::float8"),
        ("SELECT -0.0::numeric", "SELECT 0::int"),
        ("SELECT 'a'::char(9)", "SELECT 'a'::text"),
        ("SELECT 1 WHERE false", "SELECT 'x' WHERE false"),
    ],
)
def test_the_same_rows_have_the_same_digest(
    one: str, other: str, embedded_empty: EmbeddedServer
) -> None:
    assert digest_of(embedded_empty, one) == digest_of(embedded_empty, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("VALUES (1), (1), (2)", "VALUES (1), (2), (2)"),
        ("VALUES (1), (1)", "VALUES (2), (2)"),
        ("SELECT NULL::text", "SELECT ''"),
        ("SELECT 'a', 'bc'", "SELECT 'ab', 'c'"),
        ("SELECT 100::int", "SELECT 1::int"),
        ("SELECT 5::text", "SELECT '5.0'::text"),
        ("SELECT 123456789.12::numeric", "SELECT 123456789.13::numeric"),
    ],
)
def test_other_rows_have_another(one: str, other: str, embedded_empty: EmbeddedServer) -> None:
    assert digest_of(embedded_empty, one) != digest_of(embedded_empty, other)


def test_failures_and_those_that_did_not_ask_have_none(embedded_empty: EmbeddedServer) -> None:
    assert answer_of(embedded_empty, "SELECT 1 / 0").digest is None
    assert answer_of(embedded_empty, "SELECT 1", digest=False).digest is None


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (b"1e+300", 701, b"1" + b"0" * 300),
        (b"NaN", 701, b"NaN"),
        (b"-Infinity", 700, b"-Infinity"),
        (b"-0", 701, b"0"),
        (b"1200", 23, b"1200"),
        (b"1.50", 25, b"1.50"),
    ],
)
def test_numbers_have_one_form(value: bytes, kind: int, text: bytes) -> None:
    assert canonical(value, kind) == text
