"""The rows that page, terminal and markdown show: one place where a verdict becomes text."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from reports import format as fmt
from reports.findings import step_in_words

Document = Mapping[str, Any]
Row = dict[str, str]

MARKS = {
    "GO": "✓", "NO-GO": "✗", "INCONCLUSIVE": "?", "INVALID": "!",
    "pass": "✓", "fail": "✗", "inconclusive": "?", "invalid": "!",
}  # fmt: skip
NOISE = "two replays of one system differ by up to"
SQL_START = 52
"""Characters of a template's text by which a reader knows it."""

_ORDER = ("fail", "invalid", "inconclusive", "pass")
_ASIDES = {"block": "", "warn": "only warns", "info": "only shown"}


def facts(document: Document) -> dict[str, str]:
    """What was compared with what: 1.0, 2.0, how much of the capture was replayed, the noise."""
    provenance = document["provenance"]
    numbers = Counter(arm.partition("/")[0] for arm in provenance["runs"])
    name = {arm: provenance[arm] for arm in ("baseline", "candidate")}
    name |= {arm: f"{name[arm]} and {n - 1} more" for arm, n in numbers.items() if n > 1}
    noise = [
        f"{fmt.share(each['ratio'] - 1)} at p95 ({fmt.plural(each['pairs'], 'pair')})"
        for each in document["noise_floor"]
        if each["stat"] == "p95"
    ]
    dials = provenance["runs"]["candidate"]["dials"] or {}
    scale, speed = (float(dials.get(name) or 1) for name in ("scale", "speed"))
    replayed = (
        f"replayed at {scale:.1f} × the captured sessions" if scale != 1 else "replayed as captured"
    )
    if speed != 1:
        replayed += f", {speed:.1f} × as fast"
    timetable = provenance["runs"]["candidate"].get("timetable") or {}
    if period_us := timetable.get("period_us"):
        replayed += f", the workload {timetable['length_us'] / period_us:,.0f} times over"
    if dials.get("mode") == "pool":
        # No scale and no speed: a pool asks as fast as it is answered.
        replayed = f"drawn by {fmt.plural(dials['users'], 'connection')} that never wait (pool)"
    elif dials.get("pace") == "think":
        replayed += ", each after its answer and think time"
    return {
        "1.0": "durations in 1.0's log" if name["baseline"] == "captured" else name["baseline"],
        "2.0": name["candidate"],
        "replayed": f"{fmt.plural(document['ledger']['planned'], 'statement')} {replayed}",
        "noise": "".join(noise[:1]),
    }


def headline_rows(document: Document) -> Iterator[Row]:
    """The lines of both arms, errors and cost: stat, 1.0, 2.0, ratio, interval, difference, word.

    `change` is the word with what must be known to read it, or why there is none.
    """
    for line in document["headline"]:
        unit, ratio = line["unit"], line["ratio"]
        change, difference = line["word"], fmt.difference(line["difference"])
        if ratio is None:
            change, difference = "; ".join(line["warnings"][:1]), ""
        elif unit == "per_s":
            difference = ""
            if not fmt.is_same(line["load"]):
                change += f", {fmt.ratio(line['load'])} load"
        yield {
            "stat": line["stat"],
            "baseline": fmt.amount(line["baseline"], unit),
            "candidate": fmt.amount(line["candidate"], unit),
            "ratio": fmt.ratio(ratio),
            "interval": fmt.interval(line["interval"]),
            "difference": difference,
            "word": line["word"],
            "change": change,
        }
    errors, cost = document["errors"], document["cost"]
    empty = dict.fromkeys(("baseline", "ratio", "interval", "difference", "word"), "")
    yield empty | {
        "stat": "new errors",
        "candidate": fmt.count(errors["new"]),
        "change": f"{errors['existing']:,} on both, {errors['resolved']:,} resolved",
    }
    if (found := document["correctness"])["compared"]:
        yield empty | {
            "stat": "same answers" if found["checked"] == "digest" else "same rows",
            "candidate": fmt.share(1 - found["share"]),
            "change": f"{found['different']:,} of {found['compared']:,} differ",
        }
    if (server := document["server"]) and server["split"]:
        own, *others = server["split"]["parts"]
        others = sorted(others, key=lambda part: -part["share"])
        yield empty | {
            "stat": "inside 2.0",
            "candidate": fmt.share(1 - own["share"]),
            "change": ", ".join(
                f"{part['part']} {fmt.share(part['share'])}" for part in others[:3]
            ),
        }
    if (document["drift"] or {}).get("series", {}).get("p95"):
        drift = document["drift"]["series"]["p95"]
        steps = [step_in_words(step) for step in drift["steps"]]
        yield empty | {
            "stat": "drift of p95",
            "candidate": fmt.change(drift["drift"]),
            "interval": fmt.interval(drift["interval"], "change"),
            "change": "; ".join([drift["word"], *steps]),
        }
    if ingest := document["ingest"]:
        yield empty | {
            "stat": "loads p95",
            "candidate": fmt.duration(ingest["response_us"]["p95"]),
            "change": _loads(ingest),
        }
    if cost["stated"]:
        yield empty | {
            "stat": "cost per 1,000",
            "baseline": fmt.money(cost["per_1000"]["baseline"]),
            "candidate": fmt.money(cost["per_1000"]["candidate"]),
            "ratio": fmt.ratio(cost["ratio"]),
            "change": f"prices of {cost['price_date'] or 'no date'}",
        }


def _loads(ingest: Mapping[str, Any]) -> str:
    """What was written in the background."""
    words = f"{fmt.plural(ingest['loads'], 'load')} beside the readers, {ingest['error']:,} failed"
    if ingest["rows_per_s"] is not None:
        words += f", {ingest['rows_per_s']:,.0f} rows/s"
        if ingest["asked_rows_per_s"] is not None:
            words += f" of {ingest['asked_rows_per_s']:,.0f}"
    return words


def gate_rows(document: Document, *, checks: bool) -> list[Row]:
    """Gates, or checks of the run itself; what speaks against a GO first, then as in the file."""
    gates = [gate for gate in document["gates"] if is_check(gate) is checks]
    gates.sort(key=lambda g: (_ORDER.index(g["verdict"]), g["severity"] != "block"))
    return [_gate_row(gate) for gate in gates]


def is_check(gate: Mapping[str, Any]) -> bool:
    """True for a check of the run itself rather than of 2.0."""
    return str(gate["id"]).startswith("validity.")


def _gate_row(gate: Mapping[str, Any]) -> Row:
    unit, limit = gate["unit"], gate["limit"]
    side = "≤" if gate["side"] == "max" else "≥"
    aside, why = _ASIDES[gate["severity"]], gate["why"]
    if gate["waived"] is not None:
        aside, why = "waived", f"waived: {gate['waived']}"
    needed = f" (needs {gate['needed_n']:,})" if gate["needed_n"] else ""
    return {
        "mark": MARKS[gate["verdict"]],
        "verdict": gate["verdict"],
        "aside": aside,
        "id": gate["id"],
        "observed": fmt.amount(gate["observed"], unit),
        "interval": fmt.interval(gate["interval"], unit),
        "limit": "" if limit is None else f"{side} {fmt.amount(limit, unit)}",
        "n": f"{gate['n']:,}{needed}" if gate["n"] or needed else "",
        "reason": gate["reason"],
        "why": why,
    }


def split_rows(document: Document) -> list[Row]:
    """Where the time went; none where the server was not asked."""
    split = (document["server"] or {}).get("split") or {"parts": []}
    return [
        {"part": part["part"], "share": fmt.share(part["share"])}
        | {stat: fmt.duration(part[f"{stat}_us"]) for stat in ("p50", "p95", "p99")}
        for part in split["parts"]
    ]


_DRIFTS = {
    "p50": "p50", "p95": "p95", "errors": "errors", "lag_p99_us": "tool lag p99",
    "memory_bytes": "memory of the tool", "open_sessions": "open sessions",
    "server_disk": "disk of the server", "server_connections": "connections of the server",
}  # fmt: skip


def drift_rows(document: Document) -> list[Row]:
    """How each figure of a long run changed from its beginning to its end."""
    series = (document["drift"] or {"series": {}})["series"]
    return [
        {
            "figure": name,
            "over the run": fmt.amount(found["drift"], found["unit"]),
            "interval": fmt.interval(found["interval"], found["unit"]),
            "in words": found["word"],
            "p": f"{found['p']:.2g}",
            "flat within": "" if found["spread"] is None else fmt.share(found["spread"]),
            "steps": "; ".join(map(step_in_words, found["steps"])),
        }
        for key, name in _DRIFTS.items()
        if (found := series.get(key))
    ]


def answer_rows(document: Document, most: int) -> list[Row]:
    """Templates whose answers differ, most first."""
    return [
        {
            "template": found["template_id"],
            **{name: fmt.count(found[name]) for name in ("compared", "different")},
            "statements": ", ".join(map(str, found["statement_ids"])),
        }
        for found in document["correctness"]["templates"][:most]
    ]


def answers_in_words(document: Document) -> list[str]:
    """What was compared, what of it differs, and what was left out for which reason."""
    found = document["correctness"]
    if not found["checked"]:
        return [f"Not checked: {found['reason']}."]
    kind = "answers" if found["checked"] == "digest" else "numbers of rows"
    apart = {"of templates that 1.0 itself answers in two ways": found["unstable"]}
    left_out = [f"{n:,} {reason}" for reason, n in (apart | found["skipped"]).items() if n]
    return [
        f"{found['different']:,} of {found['compared']:,} {kind} differ from 1.0's, "
        f"{fmt.share(found['share'])} {fmt.interval(found['interval'], 'share')}; "
        f"{found['row_count_differs']:,} of them in their number of rows.",
        f"Not compared: {', '.join(left_out) or 'none'}.",
        *([f"Note: {found['reason']}."] if found["reason"] else []),
    ]


def commands(document: Document) -> list[str]:
    """What to type for the same runs, where they say, and the same report, as a shell reads it."""
    provenance = document["provenance"]
    made = [run.get("command") for run in reversed(provenance["runs"].values())]
    return [shlex.join(each) for each in [*made, [*provenance["command"], "-o", "DIR"]] if each]


def template_rows(document: Document, most: int) -> list[Row]:
    """Templates in order of impact."""
    return [_template_row(template) for template in document["templates"][:most]]


def _template_row(template: Mapping[str, Any]) -> Row:
    new = template["new_errors"]
    return {
        "id": template["template_id"],
        "start": fmt.excerpt(template["sql"] or "", SQL_START),
        "sql": fmt.excerpt(template["sql"] or "", 4_000),
        "executions": fmt.count(template["executions"]),
        **_compared(template),
        "new_errors": fmt.plural(new, "new error") if new else "",
    }


def user_tables(document: Document) -> list[tuple[str, str, list[Row]]]:
    """By user and by application: of what, a sentence, and the rows that got slowest."""
    return [
        (section["by"], _told(section), [_user_row(row) for row in section["worst"]])
        for section in document["users"]
    ]


def _told(section: Mapping[str, Any]) -> str:
    said = (
        f"{section['slower']:,} of {fmt.plural(section['names'], section['by'])} slower, "
        f"{section['faster']:,} faster"
    )
    if section["cannot_tell"]:
        share = fmt.share(section["cannot_tell_share"])
        said += f"; cannot tell for {section['cannot_tell']:,} with {share} of statements"
    if section["names"] > len(section["worst"]):
        said += f"; the {len(section['worst'])} with the largest impact"
    return said


def _user_row(user: Mapping[str, Any]) -> Row:
    return {
        "name": "not known" if user["name"] is None else fmt.excerpt(user["name"], SQL_START),
        "statements": fmt.count(user["statements"]),
        "share": fmt.share(user["share"]),
        **_compared(user),
    }


def _compared(entry: Mapping[str, Any]) -> Row:
    p50, p95, impact = entry["stats"]["p50"], entry["stats"]["p95"], entry["impact_s"]
    return {
        **{
            f"{stat} {place}": fmt.duration(line[f"{arm}_us"])
            for stat, line in (("p50", p50), ("p95", p95))
            for place, arm in (("1.0", "baseline"), ("2.0", "candidate"))
        },
        "ratio": fmt.ratio(p50["ratio"]),
        "interval": fmt.interval(p50["interval"]),
        "impact": fmt.difference(None if impact is None else impact * 1e6),
        "word": entry["word"],
        "p95 ratio": fmt.ratio(p95["ratio"]),
        "p95 interval": fmt.interval(p95["interval"]),
    }
