"""What Locust's page and a line on the terminal tell while workers replay."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from replay.target.embedded import EmbeddedServer
from tests.locusts import LOCUSTFILE, free_port, locust, ports, post, wait_for
from tests.replay.planned import write_workload

SUMMED = ("due", "sent", "ended", "open_sessions", "errors")


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as response:
        return str(response.read().decode())


def stats(page: str) -> dict[str, Any]:
    """What the page asks for every two seconds; nothing while it is not there yet."""
    try:
        told: dict[str, Any] = json.loads(fetch(f"{page}/stats/requests"))
    except OSError:
        return {}
    return told


def tables(page: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Rows by table and name."""
    told = stats(page)["extended_stats"]
    return {table["key"]: {row["name"]: row for row in table["data"]} for table in told}


def test_the_page_tells_who_is_late_by_worker_and_in_sum(
    embedded_empty: EmbeddedServer, tmp_path: Path
) -> None:
    said = [
        (n / 50, f"s{n % 20}", "SELECT * FROM missing" if n % 10 == 9 else f"SELECT {n}, 'x'")
        for n in range(3_000)
    ]
    workload = write_workload(tmp_path / "w", said)
    port = free_port()
    page = f"http://127.0.0.1:{port}/some/where"
    options = ["--workload", str(workload.path), "--host", embedded_empty.url()]
    options += [*ports(), "--processes", "2", "--web-port", str(port)]
    with locust(tmp_path, *options, "--web-base-path", "/some/where", headless=False):
        # A run goes to the workers that are there when it begins.
        wait_for(lambda: stats(page).get("worker_count") == 2)
        post(page + "/swarm", host=embedded_empty.url())
        assert set(tables(page)) == {"replay", "beside"}
        assert all(title in fetch(page + "/") for title in ('"Replay"', '"1.0 beside 2.0"'))

        def seen() -> bool:
            rows = tables(page)["replay"]
            return {"w0", "w1"} <= set(rows) and rows[" all workers"]["errors"] > 4

        wait_for(seen)
        told = tables(page)
        rows, beside = told["replay"], told["beside"]
        whole, workers = rows[" all workers"], [rows["w0"], rows["w1"]]
        for name in SUMMED:
            assert whole[name] == sum(worker[name] for worker in workers), name
        assert 0 < whole["ended"] <= whole["sent"] <= whole["due"] < 3_000
        assert all(worker["ended"] and worker["open_sessions"] for worker in workers)
        assert whole["in_words"].endswith(f", {whole['errors']} name or syntax errors")
        assert whole["lag_max_ms"] == max(worker["lag_max_ms"] for worker in workers)
        where = re.escape(str(tmp_path / "run"))
        assert re.fullmatch(rf"\d+% playing, {where}", rows["  run"]["in_words"])
        everything = beside.pop(" all statements")
        assert everything["statements"] == sum(row["statements"] for row in beside.values())
        assert everything["statements"] == whole["ended"] - whole["errors"]
        # Each took a millisecond on 1.0.
        assert everything["captured_p95_ms"] == whole["captured_p95_ms"] == 0.997
        post(page + "/stop")
        wait_for(lambda: tables(page)["replay"]["  run"]["in_words"].startswith("ended, "))
        # Whatever was not sent is told too: nothing that workers counted is missing.
        assert tables(page)["replay"][" all workers"]["ended"] == 3_000


def test_before_a_run_the_tables_say_so(tmp_path: Path) -> None:
    port = free_port()
    page = f"http://127.0.0.1:{port}"
    with locust(tmp_path, "--web-port", str(port), headless=False):
        wait_for(lambda: stats(page))
        assert tables(page) == {
            key: {"no run yet": {"name": "no run yet"}} for key in ("replay", "beside")
        }


@pytest.mark.parametrize(
    "options",
    [
        ["--headless", "--no-tables"],
        ["--autostart", "--autoquit", "0", "--web-host", "127.0.0.1"],
    ],
    ids=["without tables", "with the page"],
)
def test_a_terminal_has_a_line_where_there_are_no_tables(
    options: list[str], tmp_path: Path
) -> None:
    said = [(n / 20, f"s{n % 4}", "SELECT 1") for n in range(60)]
    workload = write_workload(tmp_path / "w", said)
    options += ["--workload", str(workload.path), "--host", "null:"]
    text = on_a_terminal(tmp_path, *options, "--web-port", str(free_port()))
    lines = re.findall(r"\r\x1b\[K(\d+% [^\r]+)", text)
    pattern = (
        r"\d+% \d+/\d+ sent, \d open, 0 errors, p99 lag [\d.]+ backlog [\d.]+ ms,"
        r" p95 2.0/1.0 [\d.]+/0.997 ms"
    )
    assert any(re.fullmatch(pattern, line) for line in lines), text


def on_a_terminal(tmp_path: Path, *options: str) -> str:
    """What Locust writes to a terminal until it ends by itself."""
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), *options]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    text, deadline_s = b"", time.monotonic() + 60
    try:
        # A terminal whose last writer has gone fails to be read.
        while select.select([ours], [], [], max(0, deadline_s - time.monotonic()))[0]:
            text += os.read(ours, 65536)
    except OSError:
        pass
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return text.decode()
