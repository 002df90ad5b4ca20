from __future__ import annotations

from pathlib import Path

import pytest

from replay.errors import ExitCode, UsageError
from replay.prepare.places import read_places

BAD = {
    "unknown key with the nearest": (
        '[tables.t]\nto = "u"\ncolunms = { a = "b" }\n',
        ["line 3: tables.t.colunms: unknown key `colunms`, nearest: `columns`"],
    ),
    "missing table": ("[tables.t]\n", ["line 1: tables.t: `to` is missing"]),
    "not an expression": (
        '[tables.t]\nto = "u"\n[tables.t.columns]\na = "b ||"\n',
        ["line 4: tables.t.columns.a: `b ||` is not an expression of postgres"],
    ),
    "unknown join": (
        '[tables.t]\nto = "u"\n[tables.t.columns]\na = "adress.b"\n'
        '[tables.t.joins]\naddress = { table = "a", on = "address.id = id" }\n',
        [
            "line 4: tables.t.columns.a: `adress` is not one of the table's joins",
            ", nearest: `address`",
        ],
    ),
    "joins in a circle": (
        '[tables.t]\nto = "u"\n[tables.t.joins]\n'
        'a = { table = "a", on = "a.x = b.x" }\nb = { table = "b", on = "b.x = a.x" }\n',
        ["tables.t.joins.a.on: the joins need", "tables.t.joins.b.on: the joins need"],
    ),
    "kind of join": (
        '[tables.t]\nto = "u"\n[tables.t.joins]\na = { table = "a", on = "a.x = x", '
        'kind = "full" }\n',
        ["tables.t.joins.a.kind: must be `inner` or `left`"],
    ),
    "slot beyond the literals": (
        '[[overrides]]\nsource = "select a from t where b = \'x\'"\nsql = "select {2}"\n',
        ["line 3: overrides.#1.sql: slot `{2}` does not exist: there are 1"],
    ),
    "slot without a name": (
        '[[overrides]]\nsource = "select 1"\nslots = ["one"]\nsql = "select {two}"\n',
        ["slot `{two}` is not named in `slots`"],
    ),
    "names that do not fit": (
        '[[overrides]]\nsource = "select 1"\nslots = ["one", "two"]\nsql = "select {one}"\n',
        ["names 2 slots, the source has 1"],
    ),
    "neither template nor source": (
        '[[overrides]]\nsql = "select 1"\n',
        ["needs one of `template` and `source`"],
    ),
    "one template twice": (
        '[[overrides]]\nsource = "select 1"\nsql = "select 1"\n'
        '[[overrides]]\nsource = "SELECT 2"\nsql = "select 1"\n',
        ["line 4: overrides.#2: overrides a template twice"],
    ),
    "all at once": (
        'tabels = 1\n[tables.t]\nto = 7\n[[overrides]]\ntemplate = "xyz"\nsql = "{"\n',
        [
            "4 problem(s)",
            "line 1: tabels: unknown key `tabels`, nearest: `tables`",
            "line 3: tables.t.to: must be a string",
            "line 5: overrides.#1.template: `xyz` is not in the workload",
            "a single `{`; write it twice",
        ],
    ),
    "no toml": ("[tables", ["is not TOML"]),
}


@pytest.mark.parametrize(("text", "messages"), BAD.values(), ids=BAD.keys())
def test_bad_places_name_line_and_remedy(tmp_path: Path, text: str, messages: list[str]) -> None:
    path = tmp_path / "places.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_places(path, read="postgres", write="postgres", templates={})
    for message in messages:
        assert message in str(caught.value)
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        read_places(tmp_path / "nowhere.toml", read="postgres", write="postgres", templates={})
