"""Whether 2.0 gives 1.0's answers: digests, or numbers of rows alone, statement by statement.

What ended ok on 2.0 is compared, unstable or skipped for a counted reason. The join is DuckDB's,
over batches of columns, and goes to disk beyond 1 GB.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any, Literal

import duckdb

from replay.errors import Unreadable
from replay.run import Run
from reports.load import SESSION_KINDS, Evidence, other_workload
from reports.stats.estimate import Interval
from reports.stats.quantiles import share_interval

NO_QUESTION = ("asks nothing of the data", "returns no rows")
"""Reasons of a skip that leave nothing to compare."""
_SAME, _DIFFERENT, _OTHER_ROWS = "same", "different", "other number of rows"

_COLUMNS = ("statement_id", "clone", "template_id", "kind", "status", "rows", "digest", "diverged")
_RUN = """
SELECT statement_id, clone, template_id, kind, status = 'ok' AS answered, rows,
    coalesce(diverged, FALSE) AS diverged, {answer} AS answer FROM {run}
"""
_CAPTURED = """
SELECT statement_id, 0 AS clone, error IS NULL AS answered, rows, FALSE AS diverged, rows AS answer
FROM asked
"""
# A hash of NULL would be one; 64 bits of a digest tell twenty million answers apart.
_ANSWERS = {"digest": "CASE WHEN digest IS NOT NULL THEN hash(digest) END", "rows": "rows"}
_COMPARE = """
SELECT two.template_id, CASE
    WHEN two.kind IN {session_kinds} THEN 'asks nothing of the data'
    WHEN two.clone > 0 AND NOT {same_copies} THEN 'a copy asked with other values'
    WHEN one.answered IS NULL THEN 'not asked on 1.0'
    WHEN NOT one.answered THEN '1.0 gave no answer'
    WHEN one.diverged OR two.diverged THEN 'session diverged'
    WHEN one.rows IS NULL AND two.rows IS NULL THEN 'returns no rows'
    WHEN one.answer IS NULL THEN 'no {what} of 1.0'
    WHEN two.answer IS NULL THEN 'no {what} of 2.0'
    WHEN one.rows IS DISTINCT FROM two.rows THEN 'other number of rows'
    WHEN one.answer = two.answer THEN 'same' ELSE 'different' END AS outcome,
    count(*), min(two.statement_id, 5)
FROM ({two}) AS two LEFT JOIN ({one}) AS one USING (statement_id, clone)
WHERE two.answered GROUP BY ALL ORDER BY ALL
"""
_UNSTABLE = """
SELECT DISTINCT template_id FROM (
    SELECT asked.template_id FROM ({one}) AS one JOIN asked USING (statement_id)
    WHERE list_contains($suspects, asked.template_id) AND answered AND NOT diverged
        AND answer IS NOT NULL AND (clone = 0 OR {fixed_copies})
    GROUP BY asked.template_id, hash(asked.sql, asked.params)
    HAVING count(DISTINCT hash(answer, one.rows)) > 1)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """A template whose answers differ, with the lowest `statement_ids` of those that do."""

    template_id: str
    compared: int
    different: int
    statement_ids: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correctness:
    """Counts of samples, the `correctness` object of verdict.json.

    `answered` (ended ok on 2.0) = `compared` + `unstable` + all of `skipped`; `compared` = `same` +
    `different`, of which `row_count_differs` have another number of rows. `unstable` are of
    templates to which 1.0 itself gave two answers for one text and values. `share` is of compared.
    `captured` is true where the other side is 1.0's log.
    """

    checked: Literal["digest", "rows", False]
    reason: str | None
    captured: bool
    answered: int = 0
    compared: int = 0
    same: int = 0
    different: int = 0
    row_count_differs: int = 0
    unstable: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    share: float | None = None
    interval: Interval | None = None
    templates: tuple[Differing, ...] = ()

    @property
    def open_share(self) -> float:
        """The share not compared of answers that could be; 1 without any."""
        comparable = self.answered - sum(self.skipped.get(reason, 0) for reason in NO_QUESTION)
        return 1 - self.compared / comparable if comparable else 1.0


def compare_answers(
    candidate: Evidence, baseline: Evidence | None, *, confidence: float
) -> Correctness:
    """Compare with another run, or with the numbers of rows in 1.0's log.

    Of several runs the first is compared with the first, and so on; where 1.0 has fewer, they take
    turns. The interval of the share is Clopper-Pearson's, two-sided at `confidence`.

    Raises:
        Unreadable: a file of a run or of the workload is damaged.
    """
    workload, captured = candidate.workload, baseline is None
    others = [] if baseline is None else [{"baseline": run.run} for run in baseline.runs]
    pairs = [
        {"candidate": run.run} | (others[at % len(others)] if others else {})
        for at, run in enumerate(candidate.runs)
    ]
    runs = [run for pair in pairs for run in pair.values()]
    bare = dict.fromkeys(run.run_id for run in runs if not run.document["dials"].get("digest"))
    missing = f"{' and '.join(bare)} replayed without --digest: replay both with --digest"
    if captured:
        missing = "1.0's log holds no answers: replay both with --digest, give 1.0's as --baseline"
    if baseline is not None and other_workload(candidate.run, baseline.run) is not None:
        apart = "the runs replayed different workloads, whose statements do not correspond"
        return Correctness(checked=False, reason=apart, captured=False)
    checked: Literal["digest", "rows"] = "rows" if bare or captured else "digest"
    with duckdb.connect() as database, TemporaryDirectory() as spill:
        database.execute(f"SET memory_limit = '1GB'; SET temp_directory = '{spill}'")
        try:
            if workload is not None:
                database.read_parquet(str(workload.statements_path)).create_view("asked")
            # Pseudonyms ask for other rows than the literals in 1.0's log did.
            known = workload is not None and workload.manifest.get("redaction") != "literals"
            any_rows = "SELECT count(rows) > 0 FROM asked"
            if captured and not (known and database.execute(any_rows).fetchall()[0][0]):
                return Correctness(checked=False, reason=missing, captured=True)
            asked = workload is not None
            found = [_compare(database, pair, checked, asked=asked) for pair in pairs]
        except duckdb.Error as error:
            damaged = f"`{candidate.run.path}` or what it is compared with is damaged"
            raise Unreadable(damaged) from error
    return _counted(
        [row for rows, _ in found for row in rows], set().union(*(apart for _, apart in found)),
        checked=checked, captured=captured, confidence=confidence,
        reason=f"only numbers of rows were compared; {missing}" if checked == "rows" else None,
    )  # fmt: skip


def _compare(
    database: duckdb.DuckDBPyConnection, runs: dict[str, Run], checked: str, *, asked: bool
) -> tuple[list[tuple[str, str, int, list[int]]], set[str]]:
    """Rows of template, outcome, count and lowest ids; and the unstable templates."""
    sides = {name: _RUN.format(answer=_ANSWERS[checked], run=name) for name in runs}
    one, two = sides.get("baseline", _CAPTURED), sides["candidate"]
    # How a copy's values are drawn, see replay.variation.
    dials = [run.document["dials"] for run in runs.values()]
    drawn = {(each.get("vary"), each.get("seed")) for each in dials}
    fixed = all(vary == "none" for vary, _ in drawn)
    for name, run in runs.items():
        _register(database, name, run)
    rows = database.execute(
        _COMPARE.format(
            one=one, two=two, what="digest" if checked == "digest" else "number of rows",
            session_kinds=tuple(sorted(SESSION_KINDS)),
            same_copies=fixed or len(drawn) == 1,
        )
    ).fetchall()  # fmt: skip
    suspects = sorted({name for name, outcome, *_ in rows if outcome in (_DIFFERENT, _OTHER_ROWS)})
    if not (suspects and asked):
        return rows, set()
    if "baseline" in runs:
        _register(database, "baseline", runs["baseline"])
    found = database.execute(_UNSTABLE.format(one=one, fixed_copies=fixed), {"suspects": suspects})
    return rows, {name for (name,) in found.fetchall()}


def _register(database: duckdb.DuckDBPyConnection, name: str, run: Run) -> None:
    """A run's samples under a name, to be read once."""
    database.register(name, run.sample_reader(_COLUMNS))


def _counted(
    rows: list[tuple[str, str, int, list[int]]], unstable: set[str], *, confidence: float,
    **told: Any,  # noqa: ANN401  the fields that are not counts
) -> Correctness:  # fmt: skip
    skipped: Counter[str] = Counter()
    by_template: defaultdict[str, Counter[str]] = defaultdict(Counter)
    examples: defaultdict[str, list[int]] = defaultdict(list)
    for name, outcome, number, ids in rows:
        if outcome not in (_SAME, _DIFFERENT, _OTHER_ROWS):
            skipped[outcome] += number
            continue
        by_template[name][outcome] += number
        examples[name] += ids if outcome != _SAME else []
    apart = sum(by_template.pop(name).total() for name in unstable)
    counts = sum(by_template.values(), Counter[str]())
    compared, different = counts.total(), counts.total() - counts[_SAME]
    templates = [
        Differing(
            template_id=name, compared=found.total(), different=found.total() - found[_SAME],
            statement_ids=sorted(set(examples[name]))[:5],
        )
        for name, found in by_template.items()
        if found.total() > found[_SAME]
    ]  # fmt: skip
    return Correctness(
        answered=compared + apart + skipped.total(), compared=compared, unstable=apart,
        same=counts[_SAME], different=different, row_count_differs=counts[_OTHER_ROWS],
        skipped=dict(sorted(skipped.items(), key=lambda entry: (-entry[1], entry[0]))),
        share=different / compared if compared else None,
        interval=share_interval(different, compared, confidence=confidence) if compared else None,
        templates=tuple(sorted(templates, key=lambda t: (-t.different, t.template_id))), **told,
    )  # fmt: skip
