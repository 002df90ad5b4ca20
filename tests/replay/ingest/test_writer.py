"""The writer beside a replay, on a real PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from replay.ingest.background import NOTES
from replay.redshift_like import Behaviour, RedshiftLike
from replay.target.embedded import EmbeddedServer
from reports.ingest import ingest_figures
from tests.locusts import failed, judged, replay
from tests.replay.planned import write_workload
from tests.replay.redshift_like.conftest import embedded, new_database

__all__ = ["embedded"]

COPIES = [(0.0, "a", "SELECT 1"), (0.5, "etl", "COPY t FROM 's3://x'"), (1.0, "a", "SELECT 2")]


@pytest.fixture
def url(embedded_empty: EmbeddedServer) -> Iterator[str]:
    with psycopg.connect(embedded_empty.url(), autocommit=True) as session:
        session.execute("CREATE TABLE arrivals (n int, word text)")
        yield embedded_empty.url()
        session.execute("DROP TABLE arrivals")


def options(tmp_path: Path, url: str, ingest: str) -> list[str]:
    # The last line has no end, which must not grow together with the first.
    (tmp_path / "rows.csv").write_text('1,"a, b"\n2,c')
    config = tmp_path / "fourstep.toml"
    config.write_text(f"[ingest]\n{ingest}\n")
    workload = write_workload(tmp_path / "w", COPIES)
    return ["--workload", str(workload.path), "--host", url, "--ingest", str(config)]


def loads(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / NOTES).read_text().splitlines()]


def rows_of(url: str) -> list[Any]:
    with psycopg.connect(url) as session:
        question = "SELECT n, word, count(*) FROM arrivals GROUP BY 1, 2 ORDER BY 1"
        return session.execute(question).fetchall()


def test_rows_are_written_while_readers_are_replayed(url: str, tmp_path: Path) -> None:
    ingest = 'table = "arrivals"\nrows_from = "rows.csv"\nrows_per_s = 30\nrows_per_load = 3'
    result = replay(tmp_path, *options(tmp_path, url, ingest))
    assert result.code == 0, result.text
    noted = loads(result.run.path)
    assert [note["load"] for note in noted] == list(range(len(noted)))
    assert [note["due_us"] for note in noted] == [n * 100_000 for n in range(len(noted))]
    assert all(note["due_us"] <= note["sent_us"] <= note["done_us"] for note in noted)
    whole = [note for note in noted if note["status"] == "ok"]
    assert len(whole) >= len(noted) - 1 >= 2, "only the last may have been stopped"
    (one, two) = rows_of(url)
    assert one[:2] == (1, "a, b") and two[:2] == (2, "c")
    assert one[2] + two[2] == 3 * len(whole) == sum(note["rows"] or 0 for note in noted)
    told = result.run.document["ingest"]
    assert (told["table"], told["rows_per_s"], told["failure"]) == ("arrivals", 30, None)
    figures = ingest_figures(result.run)
    assert figures is not None and figures["ok"] == len(whole)
    document = judged(result).document
    assert document["ingest"] == figures
    page = (tmp_path / "report" / "summary.md").read_text()
    assert "beside the readers, 0 failed" in page and "rows/s of 30" in page


def test_captured_loads_come_when_1_0_was_loaded(url: str, tmp_path: Path) -> None:
    ingest = 'table = "arrivals"\nrows_from = "rows.csv"\nrows_per_load = 5\ncaptured = true'
    result = replay(tmp_path, *options(tmp_path, url, ingest), "--scale", "3")
    assert result.code == 0, result.text
    # Readers are multiplied, the pipeline is not.
    (note,) = loads(result.run.path)
    assert note["rows"] == 5
    assert result.ledger["skipped"] == {"may write: copy": 3}


def test_loads_that_fail_are_counted_and_take_nothing_with_them(url: str, tmp_path: Path) -> None:
    ingest = 'table = "arrivals"\nrows_from = "wrong.csv"\nevery_s = 0.2'
    (tmp_path / "wrong.csv").write_text("not a number,x\n")
    result = replay(tmp_path, *options(tmp_path, url, ingest))
    assert result.code == 0, result.text
    assert result.ledger["ok"] == 2
    figures = ingest_figures(result.run)
    assert figures is not None and figures["ok"] == 0
    assert set(figures["errors"]) == {"22P02"}
    assert figures["errors"]["22P02"] == figures["error"] >= 2


def test_redshift_is_loaded_from_s3_while_readers_are_replayed(
    embedded: EmbeddedServer, tmp_path: Path
) -> None:
    (tmp_path / "bucket" / "part").mkdir(parents=True)
    for name in ("0", "1"):
        (tmp_path / "bucket" / "part" / name).write_text("1,a\n2,b\n")
    backend = new_database(embedded)
    with psycopg.connect(backend, autocommit=True) as session:
        session.execute("CREATE TABLE arrivals (n int, word text)")
        session.execute("GRANT ALL ON arrivals TO analyst")
    behaviour = Behaviour(compile_ms=0, view_delay_s=0, s3=str(tmp_path))
    ingest = 'table = "arrivals"\ncopy_from = "s3://bucket/part/"\nevery_s = 0.25'
    with RedshiftLike(backend, behaviour) as server:
        url = server.url(user="analyst")
        result = replay(tmp_path, *options(tmp_path, url, ingest), "--cold")
    assert result.code == 0, result.text
    noted = loads(result.run.path)
    whole = [note for note in noted if note["status"] == "ok"]
    assert len(whole) >= len(noted) - 1 >= 2, noted
    assert {note["rows"] for note in whole} == {4}
    assert len(rows_of(backend)) == 2
    figures = ingest_figures(result.run)
    assert figures is not None and figures["asked_rows_per_s"] is None


@pytest.mark.parametrize(
    ("ingest", "host", "said"),
    [
        ('table = "nowhere"\nrows_from = "rows.csv"\nevery_s = 1', None, "cannot be asked on 2.0"),
        ('table = "arrivals"\nrows_from = "rows.csv"\nevery_s = 1', "null:", "takes no rows"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_run(
    ingest: str, host: str | None, said: str, url: str, tmp_path: Path
) -> None:
    code, text = failed(tmp_path, *options(tmp_path, host or url, ingest))
    assert code == 2
    assert said in text
