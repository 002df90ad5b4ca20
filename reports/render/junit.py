"""junit.xml: one test case per gate, for any CI that reads JUnit."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from reports.render.rows import is_check

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COUNTS = {"tests": ".//testcase", "failures": ".//failure", "errors": ".//error"}


def render_junit(document: Mapping[str, Any]) -> str:
    """The whole of junit.xml.

    A blocking gate that fails is a failure, one that is inconclusive or invalid an error of that
    type; what only warns, is only shown or is waived is skipped with its message.
    """
    root = ET.Element("testsuites", name="fourstep")
    for area, gates in groupby(sorted(document["gates"], key=_area), key=_area):
        suite = ET.SubElement(root, "testsuite", name=area)
        for gate in gates:
            _add_case(suite, area, gate)
        _add_counts(suite, {**_COUNTS, "skipped": ".//skipped"})
    _add_counts(root, _COUNTS)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _area(gate: Mapping[str, Any]) -> str:
    return "validity" if is_check(gate) else str(gate["metric"]).split(".")[0]


def _add_counts(element: ET.Element, paths: Mapping[str, str]) -> None:
    for key, path in paths.items():
        element.set(key, str(len(element.findall(path))))


def _add_case(suite: ET.Element, area: str, gate: Mapping[str, Any]) -> None:
    name = _clean(gate["id"])
    case = ET.SubElement(suite, "testcase", classname=f"gates.{area}", name=name, time="0")
    properties = ET.SubElement(case, "properties")
    for key in ("observed", "limit", "n", "needed_n"):
        if gate[key] is not None:
            ET.SubElement(properties, "property", name=key, value=f"{gate[key]:.15g}")
    verdict, reason = gate["verdict"], _clean(gate["reason"])
    if verdict == "pass":
        return
    if gate["waived"] is not None:
        ET.SubElement(case, "skipped", message=f"waived: {_clean(gate['waived'])}; {reason}")
    elif gate["severity"] != "block":
        ET.SubElement(case, "skipped", message=f"{verdict}, does not block: {reason}")
    else:
        kind = "failure" if verdict == "fail" else "error"
        ET.SubElement(case, kind, type=verdict, message=reason)


def _clean(text: str) -> str:
    """Without the characters XML cannot hold."""
    return _NOT_XML.sub("?", text)
