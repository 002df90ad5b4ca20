"""Every view of one verdict, against golden files and against hostile content.

Renew the golden files with FOURSTEP_GOLDEN=write in the environment, and read the difference.
"""

from __future__ import annotations

import io
import json
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from reports.charts.style import FORMS
from reports.render.html import render_html
from reports.render.junit import render_junit
from reports.render.markdown import render_markdown
from reports.render.terminal import MOST_LINES, print_summary, render_terminal
from reports.report import write_report
from reports.verdict import Verdict
from tests.reports.conftest import HOSTILE
from tests.reports.render.pages import without_our_script

GOLDEN = Path(__file__).parents[2] / "golden" / "report"


@pytest.fixture(scope="module")
def out(troubled: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written report."""
    config = tmp_path_factory.mktemp("config") / "fourstep.toml"
    config.write_text(
        '[cost.candidate]\nnode_type = "ra3.large"\nnodes = 2\n[cost.baseline]\nmonthly = 900\n'
        "[[cost.choice]]\nrpu = 8\n"
    )
    directory = tmp_path_factory.mktemp("out")
    write_report(troubled[0], baseline=troubled[1], config=config, out=directory)
    return directory


@pytest.fixture(scope="module")
def document(out: Path) -> dict[str, Any]:
    """Its verdict.json."""
    loaded: dict[str, Any] = json.loads((out / "verdict.json").read_text())
    return loaded


def _check(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("FOURSTEP_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def _rounded(value: Any) -> Any:
    """The document to six digits and without paths: processors differ in the last bits of exp."""
    if isinstance(value, dict):
        return {key: "WORKLOAD" if key == "uri" else _rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def test_terminal(document: dict[str, Any]) -> None:
    _check("terminal.txt", render_terminal(document, Path("out/report.html")))


def test_markdown(document: dict[str, Any]) -> None:
    _check("summary.md", render_markdown(document))


def test_junit(document: dict[str, Any]) -> None:
    text = render_junit(_rounded(document))
    _check("junit.xml", text)
    root = ET.fromstring(text)
    assert root.get("tests") == str(len(document["gates"]))


def test_json(document: dict[str, Any]) -> None:
    # The hash of a Parquet file depends on the version of the library that wrote it.
    text = re.sub(r"[0-9a-f]{64}", "SHA256", json.dumps(_rounded(document), indent=1))
    text = re.sub(r'"/[^"]*/(?=[^"/]+")', '"DIR/', text)
    _check("verdict.json", text + "\n")


@pytest.mark.parametrize("width", [72, 80, 100, 200])
def test_the_terminal_holds_it_on_one_screen(document: dict[str, Any], width: int) -> None:
    lines = render_terminal(document, Path("out/report.html"), width=width).splitlines()
    assert len(lines) <= MOST_LINES
    assert max(len(line) for line in lines) <= width
    assert lines[-1] == "✗ NO-GO  report: out/report.html"


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (_Screen, {}, True),
        (_Screen, {"NO_COLOR": "1"}, False),
        (io.StringIO, {}, False),
        (io.StringIO, {"FORCE_COLOR": "1"}, True),
    ],
    ids=["terminal", "NO_COLOR", "pipe", "FORCE_COLOR"],
)
def test_colour_only_where_it_is_wanted(
    document: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    stream: type[io.StringIO],
    environment: dict[str, str],
    coloured: bool,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = stream()
    verdict = Verdict(verdict=document["verdict"], reason="", gates=(), document=document)
    print_summary(verdict, page=Path("report.html"), stream=out)
    assert ("\x1b[" in out.getvalue()) is coloured


def test_the_page_fetches_nothing_and_runs_nothing(out: Path) -> None:
    page = (out / "report.html").read_text()
    assert len(page.encode()) < 2_000_000
    page = without_our_script(page)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", page)
    assert not re.search(r"<(script|link|iframe|object|embed|img|base|form)\b", page)
    assert not re.search(r"\son[a-z]+=", page)
    assert "default-src 'none'" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'(?:href="#|url\(#|aria-labelledby=")([^")]+)', page))
    assert references <= set(ids)


def test_hostile_sql_is_text_in_every_view(out: Path, document: dict[str, Any]) -> None:
    assert any(template["sql"] == HOSTILE for template in document["templates"])
    page = without_our_script((out / "report.html").read_text())
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_hostile_message_breaks_no_view(document: dict[str, Any]) -> None:
    nasty = 'x\x00 </svg><script>"&|`\n# head'
    gates = [{**gate, "reason": nasty} for gate in document["gates"]]
    changed = {**document, "reason": nasty, "gates": gates}
    assert "<script" not in without_our_script(render_html(changed, {}))
    assert "<script" not in render_markdown(changed)
    assert "\n# head" not in render_markdown(changed)
    assert ET.fromstring(render_junit(changed)).find(".//failure") is not None
    render_terminal(changed, Path("report.html"))


def test_every_chart_is_there_and_says_what_it_shows(out: Path) -> None:
    page = (out / "report.html").read_text()
    titles = re.findall(r'<title id="(\w+)-title">([^<]+)</title>', page)
    assert [name for name, _ in titles] == ["curve", "templates", "time", "cost"]
    assert all(len(text) > 15 for _, text in titles)


@pytest.mark.parametrize("form", FORMS)
def test_charts_are_written_as_files_where_asked(
    form: str, troubled: tuple[Path, Path], tmp_path: Path
) -> None:
    begins = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[form]
    for out in (tmp_path / "one", tmp_path / "two"):
        write_report(troubled[0], baseline=troubled[1], out=out, forms=[form])
    files = sorted((tmp_path / "one" / "charts").iterdir())
    assert [file.stem for file in files] == ["curve", "templates", "time"]
    for file in files:
        content = file.read_bytes()
        assert content.startswith(begins)
        assert content == (tmp_path / "two" / "charts" / file.name).read_bytes()


def test_charts_take_their_colours_from_the_page(out: Path) -> None:
    page = (out / "report.html").read_text()
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        assert not re.search(r"#(?!fff\b|000\b)[0-9a-f]{6}\b", svg)
        assert "var(--" in svg
