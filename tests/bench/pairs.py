"""Public query sets through the translator: what it covers, and whether answers stay.

    python -m tests.bench.pairs [DIRECTORY]

The directory has `tpch`, `tpcds` and `public-bi` in the layout of their collection. Where data is
there, both texts run on one embedded PostgreSQL: a text for Redshift is brought back to PostgreSQL
first, which proves that the two translations agree with the original, not that Redshift does.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import psycopg
import sqlglot
from psycopg import sql as names
from sqlglot.errors import SqlglotError

from replay.prepare.translate import Translator
from replay.target.embedded import EmbeddedServer

COLLECTION = Path(__file__).parents[3] / "shared" / "logs" / "pairs"
# What a tool of the collection reads, and no SQL.
_COMMANDS = re.compile(r"^(?::EXPLAIN|set\s.*|#.*)$", re.IGNORECASE | re.MULTILINE)
_DOUBLE = re.compile(r"\bdouble\b(?!\s+precision)", re.IGNORECASE)
_SYNTAX = "42601"

Rows = list[tuple[object, ...]]


@dataclass(slots=True)
class Score:
    """What became of one set of queries in one direction."""

    queries: int = 0
    translated: int = 0
    accepted: int = 0
    """Explained by PostgreSQL, or (without tables) no error of its grammar."""
    compared: int = 0
    agree: int = 0
    unsupported: Counter[str] = field(default_factory=Counter)
    refused: dict[str, str] = field(default_factory=dict)
    """Translated, and not accepted: by query, why."""
    wrong: list[str] = field(default_factory=list)
    """Translated and run, with another answer."""

    def line(self, name: str) -> str:
        """For the printed table."""
        share = self.accepted / self.queries if self.queries else 0
        return (
            f"{name:<34}{self.queries:>8}{self.translated:>12}{self.accepted:>10}{share:>8.1%}"
            f"{self.compared:>10}{self.agree:>7}"
        )


def measure(collection: Path, url: str) -> dict[str, Score]:
    """Every set in both directions; `url` is an empty database's that may be filled."""
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("SET statement_timeout = '60s'")
        _load_tpch(session, collection / "tpch")
        _load_public_bi(session, collection / "public-bi")
        tpch, tpcds = collection / "tpch", collection / "tpcds"
        return {
            "tpch redshift → postgres": _forth(session, tpch, data=True),
            "tpch postgres → redshift → back": _and_back(session, tpch.glob("*.postgres.sql")),
            "tpcds redshift → postgres": _forth(session, tpcds, data=False),
            "tpcds postgres → redshift → back": _and_back(
                session, tpcds.glob("*.postgres.sql"), data=False
            ),
            "public-bi → redshift → back": _and_back(
                session, (collection / "public-bi").glob("*/queries/*.sql")
            ),
        }


def _forth(session: psycopg.Connection, directory: Path, *, data: bool) -> Score:
    """Redshift's texts for PostgreSQL, beside the PostgreSQL texts of the same questions."""
    score, translator = Score(), Translator(read="redshift", write="postgres")
    for path in sorted(directory.glob("*.redshift.sql")):
        text = _COMMANDS.sub("", path.read_text(encoding="utf-8"))
        original = path.with_name(path.name.replace("redshift", "postgres"))
        # The literals of these two differ between the texts.
        same = data and path.name[:2] not in ("11", "19")
        _judge(session, score, path, translator, text, original if same else None, data=data)
    return score


def _and_back(session: psycopg.Connection, paths: Iterator[Path], *, data: bool = True) -> Score:
    """PostgreSQL's texts for Redshift, parsed as its SQL, and brought back."""
    score, back = Score(), Translator(read="redshift", write="postgres")
    translator = Translator(read="postgres", write="redshift")
    for path in sorted(paths):
        text = _COMMANDS.sub("", path.read_text(encoding="utf-8"))
        done = translator.translate(text)
        if done.reason is not None:
            score.queries += 1
            score.unsupported[done.reason] += 1
            continue
        try:
            sqlglot.parse(done.sql, read="redshift")
        except SqlglotError as error:
            score.queries += 1
            score.refused[path.name] = f"no Redshift SQL: {str(error)[:80]}"
            continue
        _judge(session, score, path, back, done.sql, path if data else None, data=data)
    return score


def _judge(
    session: psycopg.Connection,
    score: Score,
    path: Path,
    translator: Translator,
    text: str,
    original: Path | None,
    *,
    data: bool,
) -> None:
    score.queries += 1
    done = translator.translate(text)
    if done.reason is not None:
        score.unsupported[done.reason] += 1
        return
    score.translated += 1
    name = f"{path.parent.parent.name}/{path.name}" if path.parent.name == "queries" else path.name
    refusal = _refusal(session, done.sql)
    if refusal is not None and (data or refusal.sqlstate == _SYNTAX):
        score.refused[name] = f"{refusal.sqlstate} {refusal.diag.message_primary}"
        return
    score.accepted += 1
    expected = _answer(session, original.read_text(encoding="utf-8")) if original else None
    if expected is not None:
        score.compared += 1
        if _answer(session, done.sql) == expected:
            score.agree += 1
        else:
            score.wrong.append(name)


def _refusal(session: psycopg.Connection, text: str) -> psycopg.Error | None:
    try:
        session.execute(f"EXPLAIN {text.strip().rstrip(';')}".encode())
    except psycopg.Error as error:
        return error
    return None


def _answer(session: psycopg.Connection, text: str) -> Rows | None:
    """Rows without their order, numbers to nine digits; None where PostgreSQL has no answer."""
    try:
        rows = session.execute(_DOUBLE.sub("double precision", text).encode()).fetchall()
    except psycopg.Error:
        return None
    return sorted((tuple(map(_plain, row)) for row in rows), key=repr)


def _plain(value: object) -> object:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(f"{float(value):.9g}")
    return value.rstrip() if isinstance(value, str) else value


def _load_tpch(session: psycopg.Connection, directory: Path) -> None:
    definitions = (directory / "redshift.tpch.ddl.sql").read_text(encoding="utf-8")
    for definition in re.findall(r"^create table .*?;", definitions, re.DOTALL | re.MULTILINE):
        tree = sqlglot.parse_one(definition, read="redshift")
        tree.set("properties", None)
        session.execute(tree.sql(dialect="postgres").encode())
    for path in sorted((directory / "data").glob("*.csv.gz")):
        _copy(session, path.name.partition(".")[0], gzip.decompress(path.read_bytes()), head=True)


def _load_public_bi(session: psycopg.Connection, directory: Path) -> None:
    for path in sorted(directory.glob("*/tables/*.table.sql")):
        definition = _DOUBLE.sub("double precision", path.read_text(encoding="utf-8"))
        session.execute(definition.encode())
        table = path.name.removesuffix(".table.sql")
        sample = path.parents[1] / "samples" / f"{table}.sample.csv"
        _copy(session, table, sample.read_bytes(), head=False)


def _copy(session: psycopg.Connection, table: str, data: bytes, *, head: bool) -> None:
    command = names.SQL("COPY {} FROM STDIN (DELIMITER '|', NULL {}, FORMAT {}, HEADER {})").format(
        names.Identifier(table),
        names.SQL("''" if head else "'null'"),
        names.SQL("csv" if head else "text"),
        names.SQL(str(head)),
    )
    with session.cursor() as cursor, cursor.copy(command) as copying:
        copying.write(data)


def main(collection: Path) -> None:
    """Print the shares, and every query that is not covered."""
    with EmbeddedServer("pairs") as server:
        scores = measure(collection, server.url())
    print(f"{'':<34}{'queries':>8}{'translated':>12}{'accepted':>10}{'share':>8}{'compared':>10}"
          f"{'agree':>7}")  # fmt: skip
    for name, score in scores.items():
        print(score.line(name))
        for reason, count in score.unsupported.most_common():
            print(f"    unsupported: {count} × {reason}")
        for query, why in score.refused.items():
            print(f"    refused: {query}: {why}")
        for query in score.wrong:
            print(f"    another answer: {query}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else COLLECTION)
