"""What a gates file may say, and what is said when it may not."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from replay.errors import ExitCode, UsageError
from reports.gates import Severity, load_gates
from reports.judge.judge import JUDGES
from reports.metrics import METRICS, Metric

GOOD = """
schema = 1
[decision]
confidence = 0.9
seed = 7
[validity]
lag_p99 = { max = "20ms" }
[[gate]]
id = "p95"
metric = "latency.response"
stat = "p95"
max_ratio = 1.1
"""

ONE = 'schema = 1\n[[gate]]\nid = "one"\n'
INGEST = ONE + 'metric = "ingest.latency"\nstat = "max"\nmax = "2s"\n'


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gates.toml"
    path.write_text(text)
    return path


def test_the_shipped_gates_are_sound() -> None:
    gates = load_gates(None)
    assert gates.gates[0].id == "new-errors"
    assert {gate.severity for gate in gates.gates} == {Severity.BLOCK, Severity.WARN}


def test_a_file_is_read_with_its_units(tmp_path: Path) -> None:
    gates = load_gates(_write(tmp_path, GOOD))
    assert gates.decision.seed == 7
    assert gates.decision.two_sided == pytest.approx(0.8)
    assert gates.validity == {"lag_p99": 20_000}
    assert gates.gates[0].metric is Metric.LATENCY_RESPONSE


def test_every_metric_has_a_unit_and_a_judge() -> None:
    assert set(METRICS) == set(JUDGES) == set(Metric)


def test_a_scope_is_one_name_or_several(tmp_path: Path) -> None:
    text = GOOD + 'where = { user = "ann", kind = ["select", "copy"] }'
    where = load_gates(_write(tmp_path, text)).gates[0].where
    assert where == {"user": ("ann",), "kind": ("select", "copy")}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GOOD.replace("max_ratio", "max_ration"), "did you mean `max_ratio`?"),
        (GOOD.replace("[decision]", "[decisions]"), "did you mean `decision`?"),
        (GOOD.replace("latency.response", "latency.respons"), "did you mean `latency.response`?"),
        (GOOD.replace('"p95"\nmax', '"p97"\nmax'), "`stat` cannot be `p97`"),
        (GOOD.replace("schema = 1", "schema = 2"), "`schema` must be 1"),
        (GOOD.replace('"20ms"', '"20 parsecs"'), '`max` must be a duration such as "250ms"'),
        (GOOD + 'max = "2s"', "needs one limit, `max` or `max_ratio`; it has `max` and"),
        (GOOD.replace("max_ratio = 1.1", ""), "it has none"),
        (GOOD.replace("1.1", '"1.1"'), "`max_ratio` must be a number"),
        (GOOD.replace("max_ratio = 1.1", "max = 3"), "`max` must be a duration"),
        (GOOD.replace('id = "p95"', ""), "needs an `id`"),
        (GOOD + GOOD[GOOD.index("[[gate]]") :], "gate id `p95` is used 2 times"),
        (GOOD + 'for_each = "template"', "needs both `max_ratio` and `min_harm`"),
        (GOOD + "severity = 'warning'", "`severity` cannot be `warning`: did you mean `warn`?"),
        (GOOD + "[[waiver]]\ngate = 'p59'", "`gate` cannot be `p59`: did you mean `p95`?"),
        (GOOD + "[[waiver]]\ngate = 'p95'\nuntil = 'May'", "`until` must be a date"),
        (GOOD + "where = { tag = 'x' }", "`where.tag` needs `tag` in [decision]"),
        (GOOD + "where = { tags = 'x' }", "gate[0] `p95` where: unknown key `tags`"),
        (GOOD.replace("seed = 7", "tag = 3"), "must be the name of a key in comments"),
        (GOOD + "where = { user = [] }", "`user` must be a name or a list of names"),
        (GOOD + "where = { kind = 3 }", "`kind` must be a name or a list of names"),
        (GOOD + "where = 'ann'", "`where` must be a table"),
        (GOOD.replace("latency.response", "throughput"), "needs one limit, `min` or `min_ratio`"),
        (GOOD.replace("latency.response", "ingest.latency"), "needs one limit, `max`; it has none"),
        (INGEST.replace('"max"', '"p90"'), "`stat` cannot be `p90`"),
        (ONE + 'metric = "errors.all_share"\nmax = 1.5', "`max` must be from 0 to 1"),
        (ONE + 'metric = "errors.all"\nmax = 1\ncaptured = "allow"', "unknown key `captured`"),
        (GOOD.replace("seed = 7", "warm_up = 3"), "`warm_up` must be a duration"),
        (
            GOOD + 'for_each = "template"\nmin_harm = "1s"\nwhere = { user = "ann" }',
            "takes no `where`",
        ),
        (GOOD.replace('{ max = "20ms" }', '{ min = "20ms" }'), "must be { max = ... }"),
        ("schema = 1", "no [[gate]]"),
        (GOOD.replace("latency.response", "errors.new"), "unknown key `stat`"),
    ],
)
def test_a_wrong_file_is_refused_with_a_remedy(tmp_path: Path, text: str, complaint: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_gates(path)
    assert complaint in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("confidence", "confidense").replace("max_ratio", "max_ration")
    with pytest.raises(UsageError, match="has 3 problems") as caught:
        load_gates(_write(tmp_path, text))
    assert "`confidense`" in str(caught.value)
    assert "`max_ration`" in str(caught.value)


def test_what_is_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read as TOML"):
        load_gates(_write(tmp_path, "schema = = 1"))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_gates(tmp_path / "none.toml")


def test_a_waiver_ends_by_the_runs_own_date(tmp_path: Path) -> None:
    text = GOOD + "[[waiver]]\ngate = 'p95'\nuntil = 2024-06-11\nreason = 'known'\n"
    gates = load_gates(_write(tmp_path, text))
    gates.refuse_expired(datetime.date(2024, 6, 11))
    with pytest.raises(UsageError, match="ended on 2024-06-11, before the run of 2024-06-12"):
        gates.refuse_expired(datetime.date(2024, 6, 12))
