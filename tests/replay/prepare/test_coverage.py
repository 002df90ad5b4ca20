"""What coverage.json adds up, and the table for a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.prepare.coverage import Coverage, CoverageWord, TemplateCoverage, coverage_text

TEMPLATES = st.lists(
    st.builds(
        TemplateCoverage,
        template_id=st.uuids().map(lambda each: each.hex[:16]),
        word=st.sampled_from(CoverageWord),
        note=st.none(),
        construct=st.sampled_from("abc"),
        sqlstate=st.none(),
        statements=st.integers(1, 1_000),
        total_duration_us=st.integers(0, 10**9),
        users=st.just(1),
        sql=st.just("select ?"),
    ),
    unique_by=lambda each: each.template_id,
)


def _coverage(templates: list[TemplateCoverage]) -> Coverage:
    return Coverage(
        templates=tuple(templates),
        askers={each.template_id: frozenset({each.construct}) for each in templates},
        missing=tuple(
            ("table", each.template_id, (each.template_id,))
            for each in templates
            if each.word is CoverageWord.UNSUPPORTED
        ),
        origin={"checked": True},
    )


@given(TEMPLATES)
def test_all_constructs_together_win_what_is_not_covered(templates: list[TemplateCoverage]) -> None:
    document = _coverage(templates).as_json()
    assert document["checked"]
    for share in ("statements_share", "time_share"):
        won = [row[f"cumulative_{share}"] for row in document["constructs"]]
        covered = document["covered"][share]
        if covered is None:
            assert set(won) <= {None}
            continue
        assert won == sorted(won)
        assert covered + (won[-1] if won else 0) == pytest.approx(1)


@given(TEMPLATES)
def test_what_is_missing_has_its_weight_most_time_first(templates: list[TemplateCoverage]) -> None:
    rows = _coverage(templates).as_json()["missing"]
    weights = {each.template_id: each.total_duration_us for each in templates}
    assert all(row["templates"] == [row["name"]] for row in rows)
    found = [row["total_duration_us"] for row in rows]
    assert found == [weights[row["name"]] for row in rows] == sorted(found, reverse=True)


def _unsupported(number: int, *, us: int) -> TemplateCoverage:
    return TemplateCoverage(
        template_id=str(number), word=CoverageWord.UNSUPPORTED, note=None,
        construct=f"construct {number}", sqlstate=None, statements=10 + number,
        total_duration_us=us, users=1, sql="select ?",
    )  # fmt: skip


def test_the_table_for_people() -> None:
    first = replace(_unsupported(1, us=6_000), word=CoverageWord.UNCHANGED)
    text = coverage_text(
        _coverage([first, _unsupported(2, us=3_000), _unsupported(3, us=1_000)]).as_json()
    )
    assert text.splitlines() == [
        "             templates  statements   share  of time  of users",
        "translated           0           0    0.0%     0.0%      0.0%",
        "unchanged            1          11   30.6%    60.0%     33.3%",
        "overridden           0           0    0.0%     0.0%      0.0%",
        "unsupported          2          25   69.4%    40.0%     66.7%",
        "",
        "1 of 3 users ask nothing unsupported",
        "",
        "to rewrite   templates  statements   share  of time  together",
        "                     1          12   33.3%    30.0%     30.0%  construct 2",
        "                     1          13   36.1%    10.0%     40.0%  construct 3",
        "",
        "missing on 2.0, with the statements that need it:",
        "          12 × table 2",
        "          13 × table 3",
    ]


def test_without_durations_the_table_adds_up_statements_and_long_lists_are_cut() -> None:
    text = coverage_text(_coverage([_unsupported(number, us=0) for number in range(12)]).as_json())
    lines = text.splitlines()
    assert "                     1          21   11.3%              11.3%  construct 11" in lines
    assert lines.count("  and 2 more in coverage.json") == 2
