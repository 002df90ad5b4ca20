"""coverage.html against a golden file, hostile content and workloads with little to say.

Renew the golden file with FOURSTEP_GOLDEN=write in the environment, and read the difference.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

import reports.render.coverage as rendering
from replay.prepare.coverage import Coverage, CoverageWord, TemplateCoverage
from reports.render.coverage import coverage_page
from tests.reports.render.pages import without_our_script

GOLDEN = Path(__file__).parents[2] / "golden" / "coverage" / "coverage.html"
ORIGIN = {
    "prepared_from": {"uri": "captured", "sha256": "00"},
    "prepared_with": {"read": "mysql", "write": "redshift", "places_sha256": "11"},
    "checked": True,
}
SERIES = "generate_series: join a table of numbers"
GONE = '42P01 UndefinedTable: relation "gone" does not exist'


def template(number: int, word: str, **others: Any) -> TemplateCoverage:
    values: dict[str, Any] = {
        "note": None, "construct": None, "sqlstate": None, "statements": 10,
        "total_duration_us": 1_000_000, "users": 1,
        "sql": f"select a from t{number} where a = ?",
    }  # fmt: skip
    return TemplateCoverage(
        template_id=f"{number:08x}{number:08x}", word=CoverageWord(word), **values | others
    )


def unsupported(number: int, why: str, **others: Any) -> TemplateCoverage:
    return template(number, "unsupported", note=why, construct=why, **others)


TEMPLATES = (
    template(1, "translated", statements=1_200, total_duration_us=95_000_000_000),
    template(2, "unchanged", total_duration_us=2_000_000_000),
    template(3, "overridden", note="the view sorts by label", total_duration_us=200_000_000),
    unsupported(
        4, SERIES, sql=f"select {'long_name, ' * 10}a from t", total_duration_us=1_900_000_000
    ),
    unsupported(5, SERIES, total_duration_us=800_000_000),
    unsupported(
        6, f"refused by the target: {GONE}", sqlstate="42P01", total_duration_us=70_000_000
    ),
    unsupported(7, "refused by the target", sqlstate="42601", total_duration_us=500_000),
    template(8, "unchanged", note=f"fails on 1.0 too: {GONE}", total_duration_us=1_000),
)


def document(templates: tuple[TemplateCoverage, ...] = TEMPLATES, **others: Any) -> dict[str, Any]:
    """As a reader of coverage.json gets it; every second template has a user of its own."""
    coverage = Coverage(
        templates=templates,
        askers={t.template_id: frozenset({"ann", f"u{n // 2}"}) for n, t in enumerate(templates)},
        **{"origin": ORIGIN, **others},
    )
    loaded: dict[str, Any] = json.loads(json.dumps(coverage.as_json()))
    return loaded


def full() -> dict[str, Any]:
    return document(
        skipped={"may write: insert": 1_234, "not matched by --user": 1},
        missing=(("table", "gone", (TEMPLATES[5].template_id, TEMPLATES[7].template_id)),),
        unused_overrides=(12, 40),
    )


def visible(page: str) -> str:
    """The text of a page, white space folded."""
    body = page.partition("<body>")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_the_page_is_as_it_was() -> None:
    page = re.sub(r"(?s)<style>.*</style>", "<style></style>", coverage_page(full()))
    if os.environ.get("FOURSTEP_GOLDEN") == "write":
        GOLDEN.write_text(page, encoding="utf-8")
    assert page == GOLDEN.read_text(encoding="utf-8")


def test_sections_come_in_the_order_of_reading_and_empty_ones_not_at_all() -> None:
    ids = re.findall(r'<h2 id="([\w-]+)"', coverage_page(full()))
    assert ids == "words first missing unsupported left-out noted unused on".split()
    sound = coverage_page(document((template(1, "unchanged"),)))
    assert re.findall(r'<h2 id="([\w-]+)"', sound) == ["words", "on"]
    assert "overrides.toml" not in sound


SENTENCES: dict[str, tuple[dict[str, Any], str]] = {
    "all of it": (
        document((template(1, "unchanged"),)),
        "100 % of the time users spent on 1.0 can be asked of 2.0: nothing is unsupported.",
    ),
    "a part": (
        document((template(1, "unchanged"), template(2, "unchanged"), unsupported(3, SERIES))),
        "66.7 % of the time users spent on 1.0 can be asked of 2.0; 1 construct stands in the way"
        " of the rest; 1 of 3 users asks nothing unsupported.",
    ),
    "no durations": (
        document(
            (
                template(1, "unchanged", total_duration_us=0, statements=1),
                unsupported(2, SERIES, total_duration_us=0, statements=3),
                unsupported(3, GONE, total_duration_us=0, statements=1),
            )
        ),
        "20.0 % of the statements can be asked of 2.0; 2 constructs stand in the way of the rest;"
        " 0 of 3 users ask nothing unsupported.",
    ),
    "nothing": (document(()), "The workload holds no statements."),
}


@pytest.mark.parametrize(("given", "said"), SENTENCES.values(), ids=SENTENCES.keys())
def test_one_sentence_says_it(given: dict[str, Any], said: str) -> None:
    assert f'<p class="reason">{said}</p>' in coverage_page(given)


def test_without_durations_the_page_weighs_by_statements() -> None:
    page = coverage_page(SENTENCES["no durations"][0])
    assert "time on 1.0" not in visible(page).replace("the time users spent on 1.0", "")
    assert re.findall(r"flex-grow: (\d+)", page) == ["1", "4"]
    assert re.findall(r'data-l="together">([^<]+)', page) == ["60.0 %", "80.0 %"]


def test_an_empty_workload_still_says_what_was_left_out() -> None:
    page = coverage_page(document((), skipped={"may write: insert": 3}))
    assert re.findall(r'<h2 id="([\w-]+)"', page) == ["left-out"]
    assert "3 statements of 1.0" in visible(page)


def test_a_long_table_is_cut_and_says_so_and_no_link_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rendering, "MOST_ROWS", 3)
    page = coverage_page(full())
    assert page.count('<tr id="t-') == 3 + 2
    assert "the first 3 of 4, the rest is in coverage.json" in page
    assert f">{TEMPLATES[6].template_id}<" not in page
    check_references(page)


def check_references(page: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|aria-labelledby=")([^"]+)"', page)) <= set(ids)


def test_what_is_missing_leads_to_the_templates_that_need_it() -> None:
    page = coverage_page(full())
    check_references(page)
    assert page.count('<a href="#t-') == 2


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    page = without_our_script(coverage_page(full()))
    assert not re.search(r"https?:|//[a-z]|@import|url\(", page)
    assert not re.search(r"<(script|link|iframe|object|embed|img|base|form)\b", page)
    assert "default-src 'none'" in page


def hostile(text: str) -> dict[str, Any]:
    """A document with this text wherever one comes from a log, a user or a server."""
    bad = unsupported(1, text, sqlstate=text, sql=text)
    return document(
        (bad, template(2, "overridden", note=text, sql=text)),
        skipped={text: 1},
        missing=((text, text, (bad.template_id,)),),
        origin=ORIGIN | {"prepared_from": {"uri": text, "sha256": ""}},
    )


def test_hostile_content_is_text() -> None:
    text = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'><!--{{ 7*7 }}"
    page = without_our_script(coverage_page(hostile(text)))
    assert not re.search(r"<(script|img)|<!--|\"'>", page)
    assert page.count("</style>") == page.count("</title>") == 1
    assert "{{ 7*7 }}" in page
