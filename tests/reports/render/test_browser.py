"""Pages in a real browser: nothing in them runs, nothing leaves the machine, nothing overflows."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reports.render.coverage import coverage_page
from reports.report import write_report
from tests.reports.render.test_coverage import hostile
from tests.reports.synthetic import QUESTIONS, Plan, write_both

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    " --disable-background-networking --disable-component-update --hide-scrollbars"
).split()


class Listener(BaseHTTPRequestHandler):
    """Counts who calls."""

    calls = 0

    def do_GET(self) -> None:
        type(self).calls += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """A web server that nobody should ask."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module", params=["report", "coverage"])
def page(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, elsewhere: str
) -> Path:
    """The page on a run or a workload whose questions try to break out of it."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: the page was not opened in a browser")
    directory = tmp_path_factory.mktemp("browser")
    hostile_questions = (
        f"SELECT '</title></svg><img src={elsewhere}/a onerror=\"document.title=`owned`\">' FROM t",
        f"SELECT '<script>document.title=`owned`;fetch(`{elsewhere}/b`)</script>' AS x FROM t",
        f"SELECT '</style><link rel=stylesheet href={elsewhere}/c>' AS \"<iframe>\" FROM u",
    )
    if request.param == "coverage":
        path = directory / "coverage.html"
        path.write_text(coverage_page(hostile(" ".join(hostile_questions))), encoding="utf-8")
        return path
    plan = Plan(questions=(*hostile_questions, *QUESTIONS), templates=10, new_errors=4)
    write_report(write_both(directory, plan), out=directory / "report")
    return directory / "report" / "report.html"


def browse(profile: Path, *options: str) -> str:
    ended = subprocess.run(
        [str(CHROMIUM), *OPTIONS, f"--user-data-dir={profile}", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return ended.stdout


def test_hostile_questions_are_shown_and_do_nothing(page: Path, tmp_path: Path) -> None:
    dom = browse(tmp_path, "--virtual-time-budget=2000", "--dump-dom", page.as_uri())
    assert "owned</title>" not in dom
    assert "document.title=`owned`" in dom
    assert "<img" not in dom
    assert Listener.calls == 0


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_its_window(width: int, page: Path, tmp_path: Path) -> None:
    # Scripts of the page are forbidden; a frame around it measures it from outside.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<iframe id=f src='{page.as_uri()}' style='width:{width}px;height:900px;border:0'>"
        "</iframe><script>f.onload=()=>document.title="
        "f.contentDocument.documentElement.scrollWidth</script>"
    )
    dom = browse(
        *(tmp_path / "profile", "--allow-file-access-from-files", "--virtual-time-budget=3000"),
        *("--dump-dom", frame.as_uri()),
    )
    scroll_width = int(dom.partition("<title>")[2].partition("</title>")[0])
    assert scroll_width <= width


def test_a_column_sorts_by_a_click_and_by_the_same_click_back(page: Path, tmp_path: Path) -> None:
    frame = tmp_path / "frame.html"
    frame.write_text(
        f"<iframe id=f src='{page.as_uri()}'></iframe><script>f.onload=()=>{{"
        "const table=f.contentDocument.querySelector('tr[id^=t-]').closest('table');"
        "const head=table.querySelector('th.n'),at=head.cellIndex;"
        "const seen=()=>head.ariaSort+' '+[...table.tBodies[0].rows]"
        ".map(r=>r.cells[at].textContent.trim()).join(';');"
        "head.querySelector('button').click();const down=seen();"
        "head.querySelector('button').click();document.title=down+'|'+seen()}</script>"
    )
    dom = browse(
        *(tmp_path / "profile", "--allow-file-access-from-files", "--virtual-time-budget=3000"),
        *("--dump-dom", frame.as_uri()),
    )
    title = dom.partition("<title>")[2].partition("</title>")[0]
    down, up = (each.partition(" ")[::2] for each in title.split("|"))
    assert (down[0], up[0]) == ("descending", "ascending")
    numbers = [float(each.replace(",", "")) for each in down[1].split(";")]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) > 1 or page.stem == "coverage"
    assert [float(each.replace(",", "")) for each in up[1].split(";")] == sorted(numbers)
