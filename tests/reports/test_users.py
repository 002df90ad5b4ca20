"""Who gets slower, warm-up, the evidence's checksum, and gates explained."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from replay.errors import UsageError
from replay.workload import Workload
from reports.callers import read_tags
from reports.checksums import checksums, in_one
from reports.cli import fourstep
from reports.explain import explain
from reports.load import load
from reports.render.markdown import render_markdown
from reports.report import write_report
from tests.replay.planned import write_workload as write_planned
from tests.reports.synthetic import Plan, write_both, write_run

HOSTILE = "<script>alert(1)</script>|`x`"
USERS = ("ann", "bob", HOSTILE, *[f"u{number}" for number in range(9)], None)
GATES = """
schema = 1
[decision]
resamples = 400
warm_up = "60s"
[[gate]]
id = "p95"
metric = "latency.response"
stat = "p95"
max_ratio = 1.5
[[gate]]
id = "p99"
metric = "latency.response"
stat = "p99"
max_ratio = 1.5
severity = "warn"
[[gate]]
id = "bob"
metric = "latency.service"
stat = "p50"
max_ratio = 1.2
where = { user = "bob" }
[[gate]]
id = "capped"
metric = "errors.all"
max = 2
[[waiver]]
gate = "capped"
until = 2030-01-01
reason = "known"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a run `two` in which bob and a hostile name are slower, and `one`."""
    directory = tmp_path_factory.mktemp("users")
    slow = {"bob": 2.0, HOSTILE: 1.5}
    plan = Plan(users=USERS, slow_user=slow, new_errors=3, run_id="two")
    write_both(directory, plan)
    other = Plan(users=USERS, seed=99, run_id="one")
    write_run(directory / "one", Workload(directory / "workload"), other)
    (directory / "gates.toml").write_text(GATES)
    return directory


def _report(place: Path, out: Path, **options: Any) -> dict[str, Any]:
    options = {"baseline": place / "one", "gates": place / "gates.toml"} | options
    return dict(write_report(place / "two", out=out, **options).document)


@pytest.fixture(scope="module")
def document(place: Path) -> dict[str, Any]:
    return _report(place, place / "out")


def test_the_worst_come_first_and_their_shares_are_of_all(document: dict[str, Any]) -> None:
    (users,) = document["users"]
    assert (users["by"], users["names"], len(users["worst"])) == ("user", len(USERS), 10)
    assert [row["name"] for row in users["worst"][:2]] == ["bob", HOSTILE]
    impacts = [row["impact_s"] for row in users["worst"]]
    assert impacts == sorted(impacts, reverse=True)
    first = users["worst"][0]
    assert first["share"] == pytest.approx(1 / len(USERS), rel=0.05)
    assert first["word"] == "worse"
    assert first["stats"]["p50"]["interval"][0] <= first["stats"]["p50"]["ratio"]
    assert users["slower"] >= 2
    assert users["slower"] + users["faster"] + users["cannot_tell"] <= users["names"]


def test_users_with_few_statements_are_cannot_tell_with_their_share(tmp_path: Path) -> None:
    rare = ("ann",) * 30 + ("bob",)
    run = write_both(tmp_path, Plan(statements=400, users=rare))
    (users,) = write_report(run, out=tmp_path / "out").document["users"]
    assert (users["names"], users["cannot_tell"]) == (2, 1)
    assert 0 < users["cannot_tell_share"] < 0.05
    assert "cannot tell for 1 with" in (tmp_path / "out" / "summary.md").read_text()


def test_one_user_is_the_headline_again(tmp_path: Path) -> None:
    run = write_both(tmp_path, Plan(statements=300))
    assert write_report(run, out=tmp_path / "out").document["users"] == []
    assert "Who gets slower" not in (tmp_path / "out" / "report.html").read_text()


def test_names_are_text_in_every_view(place: Path, document: dict[str, Any]) -> None:
    page, summary = (place / "out" / "report.html").read_text(), render_markdown(document)
    assert "Who gets slower" in page
    assert "Who gets slower, by user" in summary
    for view in (page, summary):
        assert "<script>alert" not in view
        assert "&lt;script&gt;" in view
    assert "not known" in page or len(document["users"][0]["worst"]) < len(USERS)


def test_the_warm_up_is_left_out_of_latencies_and_counted(
    tmp_path: Path, place: Path, document: dict[str, Any]
) -> None:
    text = GATES.replace('warm_up = "60s"\n', "")
    (tmp_path / "gates.toml").write_text(text)
    whole = _report(place, tmp_path / "out", gates=tmp_path / "gates.toml")
    n, less = (each["headline"][0]["n"] for each in (whole, document))
    gone = {arm: n[arm] - less[arm] for arm in n}
    assert gone["candidate"] == pytest.approx(200, rel=0.25)
    said = f"{gone['candidate']:,} samples due in the first 60.0 s left out of latencies as warm-up"
    assert said in document["warnings"]
    assert not any("warm-up" in warning for warning in whole["warnings"])
    assert [each["ledger"] for each in (whole, document)] == [document["ledger"]] * 2
    assert whole["errors"] == document["errors"]


def test_a_warm_up_longer_than_the_run_leaves_nothing_to_pass(tmp_path: Path, place: Path) -> None:
    (tmp_path / "gates.toml").write_text(GATES.replace('"60s"', '"2h"'))
    found = _report(place, tmp_path / "out", gates=tmp_path / "gates.toml")
    assert found["verdict"] == "INCONCLUSIVE"
    assert "p95: 0 samples" in found["reason"]


def test_the_same_evidence_has_the_same_checksum(place: Path, document: dict[str, Any]) -> None:
    provenance = document["provenance"]
    lines = "".join(f"{sha}  {name}\n" for name, sha in provenance["evidence"].items())
    assert hashlib.sha256(lines.encode()).hexdigest() == provenance["evidence_sha256"]
    assert provenance["evidence_sha256"] in (place / "out" / "report.html").read_text()
    assert set(provenance["evidence"]) == {
        f"{arm}/{name}"
        for arm in ("baseline", "candidate")
        for name in ("run.json", "samples/worker-0.parquet", "workload/statements.parquet")
    } | {"gates.toml"}


@pytest.mark.parametrize("what", ["run.json", "samples/worker-0.parquet", "gates", "config"])
def test_any_change_of_the_evidence_changes_the_checksum(tmp_path: Path, what: str) -> None:
    run = write_both(tmp_path, Plan(statements=50))
    files = {"gates": tmp_path / "gates.toml", "config": tmp_path / "fourstep.toml"}
    for path in files.values():
        path.write_text("")
    evidence = {"candidate": load(run)}
    before = checksums(evidence, **files)
    assert checksums(evidence, **files) == before
    with files.get(what, run / what).open("ab") as file:
        file.write(b" ")
    after = checksums(evidence, **files)
    assert in_one(after) != in_one(before)
    assert sum(after[name] != before[name] for name in before) == 1


def test_a_sample_file_that_is_not_the_runs_own_is_named(tmp_path: Path) -> None:
    run = write_both(tmp_path, Plan(statements=50))
    told = json.loads((run / "run.json").read_text())
    told["workers"][0] |= {"file": "worker-0.parquet", "sha256": "ab" * 32}
    (run / "run.json").write_text(json.dumps(told))
    warnings = write_report(run, out=tmp_path / "out").document["warnings"]
    assert any("`candidate/samples/worker-0.parquet` is not the file" in each for each in warnings)


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("p95", ["p95: pass", "at most 1.50× that of 1.0, a margin of 50.0 %", "95.0 % at each end",
                 "it needs 2,000", "all of the interval keeps", "takes part in the verdict"]),
        ("p99", ["p99: inconclusive", "it needs 10,000", "only warns", "about 10,000 samples, 1."]),
        ("bob", ["p50 of latency.service for user bob", "service time of 4", "bob: fail",
                 "none of the interval keeps"]),
        ("capped", ["waived: known", "takes no part", "which has no interval", "at most 2"]),
        ("validity.lag_p99", ["pass: by the number itself", "at most 250 ms"]),
        ("validity.finished", ["asked: that it holds for this run"]),
    ],
)  # fmt: skip
def test_a_gate_is_explained_by_its_entry(
    document: dict[str, Any], gate: str, words: list[str]
) -> None:
    said = explain(document, gate)
    assert [word for word in words if word not in said] == [], said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"baseline": None},
            "inconclusive: alone it would be pass, but 1.0's timings come from production",
        ),
        ({"baseline": None}, "what would decide it: a run of the same workload on 1.0"),
    ],
)
def test_a_capped_gate_says_what_it_would_be(
    tmp_path: Path, place: Path, options: dict[str, Any], words: str
) -> None:
    assert words in explain(_report(place, tmp_path / "out", **options), "p95")


def test_an_unknown_gate_is_answered_with_the_nearest(document: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no gate `p59`") as caught:
        explain(document, "p59")
    assert "`p95`" in (caught.value.hint or "")


def test_the_verb_prints_the_explanation_instead(tmp_path: Path, place: Path) -> None:
    known = {"--baseline": place / "one", "--gates": place / "gates.toml", "-o": tmp_path / "out"}
    options = [str(word) for pair in known.items() for word in pair]
    words = ["report", str(place / "two"), *options, "--explain", "bob"]
    plain = CliRunner().invoke(fourstep, words)
    assert (plain.exit_code, plain.stdout.splitlines()[0]) == (1, "bob: fail")
    told = json.loads(CliRunner().invoke(fourstep, [*words, "--json"]).stdout)
    assert told == {"gate": "bob", "explanation": plain.stdout.rstrip("\n")}


def test_a_tag_is_read_from_comments_of_every_style(tmp_path: Path) -> None:
    texts = {
        "SELECT 1 /*action='%2Fa',report='daily%20sales'*/": "daily sales",
        "/* Report: weekly */ SELECT 1": "weekly",
        "SELECT 1 -- report=monthly; other": "monthly",
        "SELECT 1 /* reports=x */": None,
        "SELECT 'report=no'": None,
        "SELECT 1": None,
        "SELECT 2 * 3 /* a * b */ /* x, report=after */": "after",
    }
    said = [(float(n), "s", text) for n, text in enumerate(texts)]
    tags = read_tags(write_planned(tmp_path / "w", said), "report")
    assert tags.to_pylist() == list(texts.values())


def test_who_gets_slower_by_a_tag_and_a_gate_of_one(tmp_path: Path) -> None:
    questions = [f"SELECT {n} /* report={'board' if n % 2 else 'list'} */" for n in range(8)]
    run = write_both(tmp_path, Plan(questions=tuple(questions), templates=8))
    gate = (
        'schema = 1\n[decision]\ntag = "report"\n[[gate]]\nid = "boards"\nmetric = '
        '"latency.response"\nstat = "p50"\nmax = "10s"\nwhere = { tag = "board" }\n'
    )
    (tmp_path / "gates.toml").write_text(gate)
    verdict = write_report(run, gates=tmp_path / "gates.toml", out=tmp_path / "out")
    (tags,) = verdict.document["users"]
    assert tags["by"] == "tag"
    assert sorted(row["name"] for row in tags["worst"]) == ["board", "list"]
    (boards,) = [each for each in verdict.gates if each.id == "boards"]
    (board,) = [row for row in tags["worst"] if row["name"] == "board"]
    assert boards.verdict == "pass"
    assert boards.n == board["n"]
    (tmp_path / "gates.toml").write_text(gate.replace('tag = "report"', ""))
    with pytest.raises(UsageError, match=r"`where.tag` needs `tag`"):
        write_report(run, gates=tmp_path / "gates.toml", out=tmp_path / "out")
