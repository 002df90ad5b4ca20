"""How a gate was decided, in words, from its entry in verdict.json alone."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from replay.errors import UsageError
from reports import format as fmt
from reports.scope import in_words

_SEVERITY = {
    "block": "It takes part in the verdict.",
    "warn": "It only warns.",
    "info": "It is only shown.",
}


def explain(document: Mapping[str, Any], name: str) -> str:
    """The gate `name` of a verdict explained, a statement a line.

    Raises:
        UsageError: the verdict has no such gate; names the nearest.
    """
    gates = {gate["id"]: gate for gate in document["gates"]}
    if name not in gates:
        near = difflib.get_close_matches(name, gates, n=3, cutoff=0.4) or list(gates)
        listed = ", ".join(f"`{each}`" for each in near)
        raise UsageError(f"this verdict has no gate `{name}`", hint=f"it has {listed}")
    return "\n".join(_lines(gates[name]))


def _lines(gate: Mapping[str, Any]) -> Iterator[str]:
    yield f"{gate['id']}: {gate['verdict']}"
    if gate["why"]:
        yield f"  why: {gate['why']}"
    yield f"  asked: {_asked(gate)}"
    yield f"  measured: {_measured(gate)}"
    if gate["method"]:
        yield f"  method: {gate['method']}"
    yield f"  decided: {_decided(gate)}"
    yield f"  in one sentence: {gate['reason']}"
    if gate["waived"]:
        yield f"  waived: {gate['waived']}; it takes no part in the verdict"
    else:
        yield f"  weight: {_SEVERITY[gate['severity']]}"
    if gate["verdict"] in ("inconclusive", "invalid"):
        yield f"  what would decide it: {_remedy(gate)}"


def _asked(gate: Mapping[str, Any]) -> str:
    if gate["limit"] is None:
        return "that it holds for this run"
    what = f"{gate['stat']} of {gate['metric']}" if gate["stat"] else gate["metric"]
    if gate["where"]:
        what += f" for {in_words(gate['where'])}"
    side = "at most" if gate["side"] == "max" else "at least"
    if gate["stat"] and gate["unit"] == "count":
        return f"that no template's {what} is slower beyond the gate's ratio and harm"
    said = f"that {what} is {side} {fmt.amount(gate['limit'], gate['unit'])}"
    if gate["unit"] == "ratio":
        said += f" that of 1.0, a margin of {fmt.share(abs(gate['limit'] - 1))}"
    return said


def _measured(gate: Mapping[str, Any]) -> str:
    if gate["observed"] is None:
        said = "nothing"
    else:
        bounds = fmt.interval(gate["interval"], gate["unit"])
        said = f"{fmt.amount(gate['observed'], gate['unit'])} {bounds}".rstrip()
        if bounds and gate["confidence"]:
            each = (1 + gate["confidence"]) / 2
            said += f" ({fmt.share(gate['confidence'])}, {fmt.share(each)} at each end)"
    said += f", n={gate['n']:,}" if gate["n"] else ""
    return said + (f"; it needs {gate['floor']:,} to decide" if gate["floor"] else "")


def _decided(gate: Mapping[str, Any]) -> str:
    verdict, would = gate["verdict"], gate["would"]
    if would is not None:
        cap = gate["reason"].partition(f"would {would}, but ")[2] or "the run is not valid"
        return f"{verdict}: alone it would be {would}, but {cap}"
    if gate["observed"] is None or (gate["floor"] and gate["n"] < gate["floor"]):
        return f"{verdict}: too little was measured, and no data never passes"
    if gate["interval"] is None:
        return f"{verdict}: by the number itself, which has no interval"
    part = {"pass": "all", "fail": "none"}.get(verdict)
    if part is None:
        return f"{verdict}: the interval lies on both sides of the limit"
    return f"{verdict}: {part} of the interval keeps the limit"


def _remedy(gate: Mapping[str, Any]) -> str:
    if gate["verdict"] == "invalid":
        return "a run that meets its validity checks"
    if gate["would"] is not None:
        return (
            'a run of the same workload on 1.0 as --baseline, or `captured = "allow"` in the gate'
        )
    if not gate["needed_n"]:
        return "what the sentence above says is missing"
    n, needed = gate["n"], gate["needed_n"]
    more = f", {fmt.ratio(needed / n)} as many as there were" if 0 < n < needed else ""
    return f"about {needed:,} samples{more}: a longer or larger workload"
