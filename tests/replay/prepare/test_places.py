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
    "constants": (
        '[constants]\nrate = "{ratio} * 2"\na = "{b}"\nb = "{a}"\n[tables.t]\nto = "u"\n'
        "[tables.t.columns]\nx = \"{rat} || '{{' || '{1}'\"\n",
        [
            "line 2: constants.rate: `{ratio}` is not one of `constants`",
            "line 3: constants.a: the constants need each other in a circle",
            "line 4: constants.b: the constants need each other in a circle",
            "line 8: tables.t.columns.x: `{rat}` is not one of `constants`, nearest: `rate`",
            "4 problem(s)",
        ],
    ),
    "sections of texts": (
        '[settings]\nwork_mem = true\n[schemas]\nold = "a.b"\n[users]\n"*" = 1\n',
        [
            "line 2: settings.work_mem: must be a string that is not empty or false",
            "line 4: schemas.old: `a.b` is not a name alone of postgres",
            "line 6: users.*: must be a string",
        ],
    ),
    "one table twice": (
        '[tables."public.t"]\nto = "u"\n[tables.t]\nto = "v"\n',
        ["line 3: tables.t: this table was there before"],
    ),
    "others": ('[tables.t]\nto = "u"\nothers = "drop"\n', ["line 3: tables.t.others: must be"]),
    "an override that does not parse": (
        '[[overrides]]\nsource = \'select 1\'\nsql = """\nselect\n\'secret\', ({1}"""\n'
        "[tables.t]\nto = 1\n",
        [
            "line 3: overrides.#1.sql: line 2 of it does not parse: expecting )",
            "line 7: tables.t.to",
        ],
    ),
    "a slot that nothing uses": (
        '[[overrides]]\nsource = "select 1, 2, 3"\nslots = ["a", "b", "c"]\nsql = "select {a}"\n'
        'unused = ["c", "a"]\n',
        ["line 4: overrides.#1.sql: does not use `b`: use it", "`a` of `unused` is no idle slot"],
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


def test_what_stands_beside_the_statements_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "places.toml"
    path.write_text(
        '[databases]\nShop = "dwh"\n[users]\napp = "app2"\n"*" = "reader"\n[settings]\n'
        'Work_Mem = false\n"app.user" = "x"\n[constants]\nhalf = "{one} / 2"\none = "1 + 0"\n'
        '[tables.t]\ncolumns = { a = "b * {half}" }\n'
        "[[overrides]]\nsource = 'select 7, 8'\nsql = 'select {1}, {half}'\nunused = ['2']\n",
        encoding="utf-8",
    )
    places = read_places(path, read="postgres", write="postgres", templates={})
    assert (places.databases, places.users) == ({"Shop": "dwh"}, {"app": "app2"})
    assert (places.default_user, places.settings) == ("reader", {"work_mem": None, "app.user": "x"})
    assert places.tables["public", "t"].columns["a"].sql() == "b * ((1 + 0) / 2)"
    [override] = places.overrides.values()
    assert override.parts == ("select ", "", ", ((1 + 0) / 2)")


PATTERNS = {
    "a table": ('[tables.t]\nto = "u"\n', {"from t": True, "from tt": False}),
    "a schema": ('[schemas]\nold = "new"\n', {"from OLD.x": True, "from x": False}),
    "the schema of bare names": ('[schemas]\npublic = "new"\n', {"from x": True}),
    "a database": ('[databases]\nd = "e"\n', {"from d.s.t": True, "from s.t": False}),
    "nothing": ("", {}),
}


@pytest.mark.parametrize(("text", "found"), PATTERNS.values(), ids=PATTERNS.keys())
def test_the_pattern_tells_what_need_not_be_parsed(
    tmp_path: Path, text: str, found: dict[str, bool]
) -> None:
    path = tmp_path / "places.toml"
    path.write_text(text, encoding="utf-8")
    pattern = read_places(path, read="postgres", write="postgres", templates={}).pattern()
    assert (pattern is None) == (not found)
    assert {sql: bool(pattern and pattern.search(sql)) for sql in found} == found


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.toml"):
        read_places(tmp_path / "nowhere.toml", read="postgres", write="postgres", templates={})
