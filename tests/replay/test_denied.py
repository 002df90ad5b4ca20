from __future__ import annotations

import pytest

from replay.denied import denial

DENIED = {
    "padb_fetch_sample: select * from t": "padb_fetch_sample",
    "/* INTERNAL: QUERY_LOG */ select 1": "/* internal",
    "create table volt_tt_6053ab as select 1": "volt_tt_",
    "Undoing 1 transactions on table 106 with current xid 12": "undoing",
    "select pg_terminate_backend(12)": "pg_terminate_backend",
    "SELECT PG_CANCEL_BACKEND (12)": "pg_cancel_backend",
    "-- why\n CANCEL 12": "cancel",
    "set session authorization 'ann'": "set session authorization",
    "SET SESSION SESSION  AUTHORIZATION ann": "set session session authorization",
    "reset session authorization": "reset session authorization",
    "PREPARE q AS SELECT 1": "prepare",
    "execute q(1)": "execute",
    "deallocate all": "deallocate",
}
SENT = [
    "select 'pg_terminate_backend'",
    "select 1 -- volt_tt_",
    "select 1 /* INTERNAL */",
    "select execute, prepare from cancel",
    "set search_path to execute",
    "select note from t where note like 'Undoing%'",
]


@pytest.mark.parametrize(("sql", "reason"), DENIED.items())
def test_what_is_denied_is_named(sql: str, reason: str) -> None:
    assert denial(sql) == f"denied: {reason}"


@pytest.mark.parametrize("sql", SENT)
def test_words_in_literals_comments_and_names_deny_nothing(sql: str) -> None:
    assert denial(sql) is None
