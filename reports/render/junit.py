"""junit.xml: one test case per gate, for any CI that reads JUnit."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from reports.render.labels import is_validity

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(document: Mapping[str, Any]) -> str:
    """The whole of junit.xml.

    A blocking gate that fails is a failure, one that is inconclusive or invalid an error of that
    type; what only warns, is only shown or is waived is skipped with its message.
    """
    root = ET.Element("testsuites", name="fourstep")
    cases = sorted(document["gates"], key=_area)
    for area, gates in groupby(cases, key=_area):
        _add_suite(root, area, list(gates))
    for key, what in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        root.set(key, str(len(root.findall(f".//{what}"))))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _area(gate: Mapping[str, Any]) -> str:
    return "validity" if is_validity(gate) else str(gate["metric"]).split(".")[0]


def _add_suite(root: ET.Element, area: str, gates: list[Mapping[str, Any]]) -> None:
    suite = ET.SubElement(root, "testsuite", name=area)
    for gate in gates:
        case = ET.SubElement(
            suite, "testcase", classname=f"gates.{area}", name=_clean(gate["id"]), time="0"
        )
        properties = ET.SubElement(case, "properties")
        for key in ("observed", "limit", "n", "needed_n"):
            if gate[key] is not None:
                ET.SubElement(properties, "property", name=key, value=f"{gate[key]:.15g}")
        _add_outcome(case, gate)
    counts = {
        "tests": "testcase",
        "failures": "testcase/failure",
        "errors": "testcase/error",
        "skipped": "testcase/skipped",
    }
    for key, path in counts.items():
        suite.set(key, str(len(suite.findall(path))))


def _add_outcome(case: ET.Element, gate: Mapping[str, Any]) -> None:
    verdict, reason = gate["verdict"], _clean(gate["reason"])
    if verdict == "pass":
        return
    if gate["waived"] is not None:
        ET.SubElement(case, "skipped", message=f"waived: {_clean(gate['waived'])}; {reason}")
    elif gate["severity"] != "block":
        ET.SubElement(case, "skipped", message=f"{verdict}, does not block: {reason}")
    elif verdict == "fail":
        ET.SubElement(case, "failure", type="fail", message=reason)
    else:
        ET.SubElement(case, "error", type=str(verdict), message=reason)


def _clean(text: str) -> str:
    """Without the characters XML cannot hold."""
    return _NOT_XML.sub("?", text)
