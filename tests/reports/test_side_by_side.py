"""`fourstep compare`: the figures against hand-made ones, and the same cells in every form."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from replay.errors import UsageError
from replay.run import Run
from replay.target.embedded import EmbeddedServer
from replay.workload import Workload
from reports.cli import fourstep
from reports.load import load
from reports.render.table import FORMATS
from reports.report import write_report
from reports.samples import MISSING
from reports.side_by_side import compare_runs
from reports.table import Cell, Table
from tests.locusts import replay
from tests.replay import planned
from tests.reports.conftest import HOSTILE
from tests.reports.synthetic import QUESTIONS, Plan, write_both, write_run, write_workload

GOLDEN = Path(__file__).parents[1] / "golden" / "compare"
TWO_TEMPLATES = Plan(statements=2000, templates=2, questions=(HOSTILE, QUESTIONS[0]))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A sound run and one that was slower, failed some and was asked twice as much."""
    directory = tmp_path_factory.mktemp("compared")
    workload = write_workload(directory / "workload", TWO_TEMPLATES)
    worse = Plan(
        statements=2000, templates=2, questions=TWO_TEMPLATES.questions, seed=20, scale=2,
        slowdown=1.3, new_errors=3, timeouts=2, skipped=4, run_id="r-20240612-c07",
    )  # fmt: skip
    return [
        write_run(directory / name, workload, plan)
        for name, plan in (("one", TWO_TEMPLATES), ("two", worse))
    ]


@pytest.fixture(scope="module")
def table(runs: list[Path]) -> Table:
    return compare_runs(runs, by_template=True)


def _cells(table: Table, figure: str) -> dict[str, Any]:
    """The first row of that figure."""
    return dict(next(row for row in table.rows if row["figure"] == figure))


def _texts(table: Table) -> list[dict[str, str]]:
    return [
        {head: c.text if isinstance(c := row[head], Cell) else c for head in table.heads}
        for row in table.rows
    ]


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_against_its_golden_file(table: Table, form: str) -> None:
    text, path = FORMATS[form](table), GOLDEN / form
    if os.environ.get("FOURSTEP_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def _from_table(text: str, heads: tuple[str, ...]) -> list[dict[str, str]]:
    head, *lines = text.splitlines()
    starts = [found.start() for found in re.finditer(r"(?<=  )\S", head)]
    ends = [*starts[1:], None]
    return [
        {name: line[a:b].strip() for name, a, b in zip(heads, starts, ends, strict=True)}
        for line in lines
    ]


def _from_markdown(text: str, heads: tuple[str, ...]) -> list[dict[str, str]]:
    rows = []
    for line in text.splitlines()[2:]:
        cells = re.split(r"(?<!\\)\|", line)[1:-1]
        plain = (re.sub(r"\\([`|*_\[\]\\])", r"\1", cell).strip() for cell in cells)
        shown = (c.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for c in plain)
        rows.append(dict(zip(heads, shown, strict=True)))
    return rows


def _cell(parts: dict[str, Any]) -> str:
    return Cell(**parts).text


def _from_json(text: str, heads: tuple[str, ...]) -> list[dict[str, str]]:
    document = json.loads(text)
    assert document["heads"] == list(heads)
    return [
        {head: _cell(c) if isinstance(c, dict) else c for head, c in row.items()}
        for row in document["rows"]
    ]


def _from_csv(text: str, heads: tuple[str, ...]) -> list[dict[str, str]]:
    def number(text: str) -> float | None:
        return float(text) if text else None

    return [
        {
            head: row[head]
            if f"{head} note" not in row
            else _cell(
                {
                    "value": row[head],
                    "low": number(row[f"{head} low"]),
                    "high": number(row[f"{head} high"]),
                    "note": row[f"{head} note"],
                }
            )
            for head in heads
        }
        for row in csv.DictReader(io.StringIO(text))
    ]


READERS = {
    "table": _from_table, "markdown": _from_markdown, "json": _from_json, "csv": _from_csv,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_holds_the_same_cells(table: Table, form: str) -> None:
    assert READERS[form](FORMATS[form](table), table.heads) == _texts(table)


def test_numbers_read_as_numbers_everywhere() -> None:
    cell = Cell(value=1_234_567.8, low=0.000012345, high=None)
    assert cell.text == "1235000 [0.00001234, …]"
    assert Cell(value=1_234_567).text == "1234567"


def test_the_figures_are_those_of_the_samples(table: Table, runs: list[Path]) -> None:
    samples = Run(runs[1]).samples()
    ok = np.isin(samples["status"].to_numpy(zero_copy_only=False), ["ok", "timeout"])
    due, sent, done = (samples[f"{n}_us"].to_numpy()[ok] for n in ("due", "sent", "done"))
    for measure, took in (("response", done - due), ("service", done - sent)):
        exact = np.quantile(took, 0.95, method="inverted_cdf") / 1e3
        cell = _cells(table, f"{measure} p95")["B"]
        assert cell.value == float(f"{exact:.4g}")
        assert cell.low < cell.value < cell.high
    assert _cells(table, "samples")["B"].value == ok.sum()
    ended = {name: _cells(table, name)["B"].value for name in ("planned", "ok", "error", "skipped")}
    assert ended == {"planned": 4000, "ok": 3982, "error": 6, "skipped": 8}


def test_service_time_is_missing_where_nothing_was_sent(runs: list[Path]) -> None:
    evidence = load(runs[1])
    assert ((evidence.service_us == MISSING) == evidence.is_status("skipped")).all()


def test_a_slower_run_is_worse_and_load_is_said(table: Table) -> None:
    ratio = _cells(table, "response p50")["B / A"]
    assert ratio.low > 1.15
    assert ratio.note == "worse"
    assert "1.99× load" in _cells(table, "throughput")["B / A"].note


def test_a_percentile_of_too_few_samples_says_how_many_it_needs(table: Table) -> None:
    row = _cells(table, "response p99.9")
    assert row["A"].text == "2,000 samples, needs 10,000"
    assert row["B / A"].text == "cannot tell"


def test_templates_that_took_most_time_come_first(table: Table) -> None:
    rows = [row for row in table.rows if row["template"]]
    assert [row["figure"] for row in rows] == ["samples", "response p50", "response p95"] * 2
    assert len({row["template"] for row in rows}) == 2
    total = [sum(row[run].value for row in rows if row["figure"] == "samples") for run in "AB"]  # type: ignore[union-attr, misc]
    assert total == [_cells(table, "samples")[run].value for run in "AB"]


def test_more_than_two_runs_are_each_compared_with_the_first(runs: list[Path]) -> None:
    table = compare_runs([runs[0], runs[1], runs[0]])
    assert table.heads == ("figure", "unit", "A", "B", "C", "B / A", "C / A")
    row = _cells(table, "response p95")
    assert row["C"] == row["A"]
    assert row["C / A"].text == "1 [1, 1] no clear change"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of another workload, with a template that the others do not have."""
    return write_both(
        tmp_path_factory.mktemp("stranger"), Plan(statements=900, seconds=90, templates=3)
    )


def test_runs_of_different_workloads_are_refused_by_name(runs: list[Path], stranger: Path) -> None:
    with pytest.raises(UsageError, match="replayed another workload") as refused:
        compare_runs([runs[0], stranger])
    for path in (runs[0], stranger):
        assert Run(path).document["workload"]["sha256"][:12] in str(refused.value)


@pytest.mark.parametrize("form", FORMATS)
def test_force_compares_them_and_marks_every_form(
    runs: list[Path], stranger: Path, form: str
) -> None:
    words = ["compare", str(runs[0]), str(stranger), "--format", form, "--by", "template"]
    refused = CliRunner().invoke(fourstep, words)
    assert isinstance(refused.exception, UsageError)
    forced = CliRunner().invoke(fourstep, [*words, "--force"])
    assert forced.exit_code == 0, forced.exception
    assert "not A's, compared by force" in forced.stdout


def test_a_report_against_another_workload_says_so_in_every_view(
    runs: list[Path], stranger: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="replayed another workload"):
        write_report(runs[1], baseline=stranger, out=tmp_path / "out")
    verdict = write_report(runs[1], baseline=stranger, force=True, out=tmp_path / "out")
    words = "replayed different workloads, compared by force"
    assert words in verdict.reason
    assert words in verdict.document["warnings"][0]
    for name in ("report.html", "summary.md", "verdict.json"):
        assert words in (tmp_path / "out" / name).read_text()


@pytest.mark.parametrize("statements", [0, 1])
def test_runs_of_hardly_anything_have_no_figures(tmp_path: Path, statements: int) -> None:
    run = write_both(tmp_path, Plan(statements=statements))
    table = compare_runs([run, run], by_template=True)
    assert _cells(table, "response p50")["A"].text == f"{statements} samples, needs 20"
    assert _cells(table, "response p50")["B / A"].value is None


def test_an_unfinished_run_is_marked(tmp_path: Path, runs: list[Path]) -> None:
    workload = Workload(runs[0].with_name("workload"))
    run = write_run(tmp_path / "cut", workload, Plan(statements=2000, finished=False))
    assert _cells(compare_runs([runs[0], run]), "run")["B"].note == "not finished"


@pytest.mark.parametrize(
    ("dials", "shown"),
    [
        ({"mode": "pool", "users": 4, "scale": None}, "pool of 4"),
        ({"mode": "open", "pace": "think"}, "open after think time"),
    ],
)
def test_the_mode_says_who_paced_the_statements(
    tmp_path: Path, runs: list[Path], dials: dict[str, Any], shown: str
) -> None:
    workload = Workload(runs[0].with_name("workload"))
    run = write_run(tmp_path / "other", workload, TWO_TEMPLATES)
    document = json.loads((run / "run.json").read_text())
    document["dials"] |= dials
    (run / "run.json").write_text(json.dumps(document))
    assert _cells(compare_runs([runs[0], run]), "mode")["B"].text == shown


@pytest.mark.parametrize("number", [0, 1, 27])
def test_a_number_of_runs_that_cannot_be_shown_is_refused(runs: list[Path], number: int) -> None:
    with pytest.raises(UsageError, match=f"takes 2 to 26 runs, not {number}"):
        compare_runs(runs[:1] * number)


def test_json_is_a_form(runs: list[Path]) -> None:
    words = ["compare", *map(str, runs)]
    ask = CliRunner().invoke
    assert (
        ask(fourstep, [*words, "--json"]).stdout
        == ask(fourstep, [*words, "--format", "json"]).stdout
    )
    both = ask(fourstep, [*words, "--json", "--format", "csv"])
    assert isinstance(both.exception, UsageError)


def test_two_replays_of_one_server(embedded_empty: EmbeddedServer, tmp_path: Path) -> None:
    said = [(n / 100, f"s{n % 8}", f"SELECT {n}") for n in range(240)]
    workload = planned.write_workload(tmp_path / "workload", said)
    paths = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        result = replay(
            tmp_path / name, "--workload", str(workload.path), "--host", embedded_empty.url()
        )
        assert result.code == 0, result.text
        paths.append(result.run.path)
    table = compare_runs(paths)
    for run in "AB":
        assert _cells(table, "ok")[run].value == 240
        assert _cells(table, "target")[run].text.startswith("postgresql ")
        for stat in ("p50", "p90", "p95"):
            response, service = (
                _cells(table, f"{of} {stat}")[run].value for of in ("response", "service")
            )
            assert 0 < service <= response
    ratio = _cells(table, "service p50")["B / A"]
    assert ratio.low <= ratio.value <= ratio.high
    assert _cells(table, "time block")["B / A"].note == "short, intervals may be too narrow"
