"""The split of latency, from a run whose server told of its statements, to every view of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.artefact import write_json
from replay.run import Run
from reports.inside import PARTS, inside_figures
from reports.report import write_report
from reports.verdict import Answer
from tests.reports.synthetic import Plan, write_both

ERROR_US = 40
FACTS = {"redshift_version": "1.0.1", "node_type": "ra3.large", "nodes": 2, "base_rpu": None}
SHARES = {"queue": 0.1, "compile": 0.05, "planning": 0.02, "lock": 0.0, "execution": 0.6}


def tell(run: Path, *, outside: int = 0, cached: float = 0.05, **told: Any) -> Run:
    """Add what a server says: every statement took a tenth of its time on our side."""
    samples = Run(run).samples()
    samples = samples.filter(samples["done_us"].is_valid())
    n, sent, done = samples.num_rows, *(samples[c].to_numpy() for c in ("sent_us", "done_us"))
    elapsed = ((done - sent) * 0.9).astype(np.int64)
    times = {name: (elapsed * share).astype(np.int64) for name, share in SHARES.items()}
    begun = sent + np.where(np.arange(n) < outside, -ERROR_US - 1, (done - sent) // 20)
    columns = {name: samples[name] for name in ("statement_id", "clone", "template_id")}
    columns |= {"sent_us": sent, "done_us": done, "started_us": begun, "ended_us": begun + elapsed}
    columns |= {"elapsed_us": elapsed} | {f"{name}_us": took for name, took in times.items()}
    columns["return_us"] = elapsed - sum(times.values())
    columns["result_cache_hit"] = np.arange(n) < cached * n
    columns["compute_type"] = ["primary-scale"] * (n // 4) + ["primary"] * (n - n // 4)
    columns["short_query_accelerated"] = pa.nulls(n, pa.bool_())
    (run / "server").mkdir()
    pq.write_table(pa.table(columns), run / "server" / "queries.parquet")
    minutes = np.arange(30)
    metrics: dict[str, Any] = {"metric": ["CPUUtilization"] * 30 + ["WLMQueueLength"] * 30}
    metrics |= {"at_us": np.tile(minutes * 60_000_000, 2), "unit": ["%"] * 30 + [""] * 30}
    metrics |= {"value": np.concatenate([40 + minutes % 7 * 5.0, minutes % 5 * 1.0])}
    pq.write_table(pa.table(metrics), run / "server" / "metrics.parquet")
    server = {"source": "sys_query_history", "settled": True, "rows": n + 3, "joined": n}
    server |= {"row_reasons": {"another session": 3}, "samples": n, "with_figures": n}
    server |= {"sample_reasons": {}, "versions": ["1.0.1"], "before": FACTS, "after": FACTS}
    server |= {"clock": {"offset_us": 1_500, "error_us": ERROR_US, "drift_us": 3, "before": None}}
    document = Run(run).document | {"server": server | {"changed": False, "failures": []} | told}
    write_json(run / "run.json", document)
    return Run(run)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_both(tmp_path, Plan(statements=4_000, templates=5))


def test_parts_are_shares_of_service_time_and_add_up(run: Path) -> None:
    told = inside_figures(tell(run, outside=7))
    assert told is not None
    for split in (told["split"], *told["templates"]):
        assert [part["part"] for part in split["parts"]] == list(PARTS)
        shares = {part["part"]: part["share"] for part in split["parts"]}
        assert sum(shares.values()) == pytest.approx(1)
        assert shares["client"] == pytest.approx(0.1, abs=1e-4)
        for name, share in SHARES.items():
            assert shares[name] == pytest.approx(0.9 * share, abs=1e-4)
    assert sum(split["n"] for split in told["templates"]) == told["split"]["n"]
    totals = [split["n"] * split["mean_us"] for split in told["templates"]]
    assert totals == sorted(totals, reverse=True)
    assert told["adds_up"] == {"statements": 4_000, "outside": 7, "error_us": ERROR_US}
    assert told["scaling_share"] == 0.25
    assert told["sqa_share"] is None
    services = pq.read_table(run / "server" / "queries.parquet", columns=["elapsed_us"])
    exact = np.quantile(services["elapsed_us"].to_numpy() * 0.6, 0.95)
    execution = next(part for part in told["split"]["parts"] if part["part"] == "execution")
    assert execution["p95_us"] == pytest.approx(exact, rel=0.01)


def test_parts_that_are_more_than_the_whole_do_not_add_up(run: Path) -> None:
    path = run / "server" / "queries.parquet"
    tell(run)
    table = pq.read_table(path)
    longer = pa.array(table["lock_us"].to_numpy() + np.where(np.arange(len(table)) < 5, 41, 40))
    pq.write_table(table.set_column(table.column_names.index("lock_us"), "lock_us", longer), path)
    told = inside_figures(Run(run))
    assert told is not None
    assert told["adds_up"]["outside"] == 5


def test_every_view_shows_where_the_time_went(run: Path, tmp_path: Path) -> None:
    tell(run, cached=0.4, failures=[{"what": "use", "why": "denied <b>", "hint": "ask"}])
    verdict = write_report(run, out=tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "4,000 of 4,000 statements with figures" in page
    assert 'id="split-title"' in page
    assert "WLMQueueLength" in page
    assert "denied &lt;b&gt;; ask" in page
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert re.search(r"\| inside 2\.0 \|.*execution 54", summary)
    assert "| queue | 9.0" in summary
    warnings = "\n".join(verdict.document["warnings"])
    assert "40.0 % of statements were answered by the result cache" in warnings
    assert "not known from the server: use: denied <b>; ask" in warnings
    assert json.loads((tmp_path / "out" / "verdict.json").read_text())["server"]["split"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"after": FACTS | {"nodes": 4}, "changed": True}, "nodes was 2, then 4"),
        ({"versions": ["1.0.1", "1.0.2"], "changed": True}, "versions 1.0.1, 1.0.2"),
        ({"after": dict.fromkeys(FACTS), "changed": False}, ""),
    ],
    ids=["resized", "patched", "not known"],
)
def test_a_server_that_became_another_one_makes_the_run_invalid(
    told: dict[str, Any], words: str, run: Path, tmp_path: Path
) -> None:
    tell(run, **told)
    verdict = write_report(run, out=tmp_path / "out")
    (check,) = (gate for gate in verdict.gates if gate.id == "validity.same_server")
    assert words in check.reason
    assert (verdict.verdict is Answer.INVALID) == told["changed"]


def test_a_server_that_told_of_nothing_is_shown_as_that(run: Path, tmp_path: Path) -> None:
    tell(run, source=None, with_figures=0)
    (run / "server" / "queries.parquet").unlink()
    write_report(run, out=tmp_path / "out")
    assert "The server told of no statement" in (tmp_path / "out" / "report.html").read_text()
