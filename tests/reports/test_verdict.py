"""The order of decision, as a table, and the three-way rule."""

from __future__ import annotations

import pytest

from replay.errors import ExitCode
from reports.gates import Severity
from reports.judge.result import GateResult, Outcome
from reports.judge.result import decide as decide_gate
from reports.verdict import Answer, Verdict, decide

PASS, FAIL = Outcome.PASS, Outcome.FAIL
OPEN, INVALID = Outcome.INCONCLUSIVE, Outcome.INVALID
BLOCK, WARN, INFO = Severity.BLOCK, Severity.WARN, Severity.INFO


def _result(
    outcome: Outcome,
    severity: Severity = BLOCK,
    *,
    name: str = "gate",
    waived: str | None = None,
) -> GateResult:
    return GateResult(
        id=name, verdict=outcome, severity=severity, metric="errors.new", unit="count",
        observed=1, interval=None, limit=0, n=5, needed_n=None, reason="1 of 5", waived=waived,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("results", "answer"),
    [
        ([_result(PASS)], Answer.GO),
        ([_result(PASS), _result(FAIL)], Answer.NO_GO),
        ([_result(INVALID), _result(FAIL)], Answer.NO_GO),
        ([_result(OPEN), _result(INVALID)], Answer.INVALID),
        ([_result(PASS), _result(OPEN)], Answer.INCONCLUSIVE),
        ([_result(PASS), _result(FAIL, WARN)], Answer.GO),
        ([_result(PASS), _result(OPEN, INFO), _result(INVALID, WARN)], Answer.GO),
        ([_result(PASS), _result(FAIL, waived="until May")], Answer.GO),
        ([_result(FAIL, WARN)], Answer.INCONCLUSIVE),
        ([_result(PASS, name="validity.ledger")], Answer.INCONCLUSIVE),
        ([_result(INVALID, name="validity.ledger"), _result(PASS)], Answer.INVALID),
        ([], Answer.INCONCLUSIVE),
    ],
    ids=[
        "all pass", "one fails", "a failure beats invalid", "invalid beats inconclusive",
        "one inconclusive", "a warning does not block", "shown only does not block",
        "a waiver lifts", "nothing blocks", "validity alone decides nothing",
        "a broken run is invalid", "no gates",
    ],
)  # fmt: skip
def test_order_of_decision(results: list[GateResult], answer: Answer) -> None:
    assert decide(results)[0] is answer


def test_the_sentence_names_the_deciding_gate_with_its_numbers() -> None:
    _, sentence = decide([_result(PASS), _result(FAIL, name="errors"), _result(FAIL, name="p95")])
    assert sentence == "errors: 1 of 5; and 1 more gate: p95"


def test_the_sentence_counts_warnings_and_waivers() -> None:
    _, sentence = decide([_result(PASS), _result(OPEN, WARN), _result(FAIL, waived="known")])
    assert sentence == "1 blocking gate passes; gate: 1 of 5 (with 1 warning and 1 waiver)"


@pytest.mark.parametrize(
    ("interval", "outcome"),
    [
        ((0.9, 1.1), PASS),
        ((1.11, 1.3), FAIL),
        ((1.0, 1.2), OPEN),
        ((1.1, 1.2), OPEN),
        ((None, 1.0), PASS),
        ((0.9, None), OPEN),
        ((1.2, None), FAIL),
        (None, OPEN),
    ],
)
def test_three_way_rule(
    interval: tuple[float | None, float | None] | None, outcome: Outcome
) -> None:
    assert decide_gate(interval, most=1.1) is outcome


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Answer.GO, ExitCode.DONE),
        (Answer.NO_GO, ExitCode.NO_GO),
        (Answer.INVALID, ExitCode.UNDECIDED),
        (Answer.INCONCLUSIVE, ExitCode.UNDECIDED),
    ],
)
def test_exit_codes(answer: Answer, code: ExitCode) -> None:
    assert Verdict(verdict=answer, reason="", gates=(), document={}).exit_code is code
