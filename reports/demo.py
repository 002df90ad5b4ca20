"""The demo: the whole way from a log to a verdict, each step the command a user would type.

Only the first step is the demo's own: an embedded 1.0 whose customers ask for reports while its
log is on. From there on nothing knows that it is a demo.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import replay.demo
from replay.demo.data import SEED
from replay.demo.drive import collect_log, drive_traffic
from replay.demo.world import LOG_NAME, demo_server
from replay.errors import ExitCode, FourstepError, UsageError
from replay.redshift_like import RedshiftLike

_MARK = ".fourstep-demo"
_ACCEPTED = {
    "run": (ExitCode.DONE, ExitCode.UNDECIDED),
    "report": (ExitCode.DONE, ExitCode.NO_GO, ExitCode.UNDECIDED),
}
"""What a step may exit with besides 0: the demo shows any verdict."""
_FILES = Path(replay.demo.__file__).parent


def run_demo(
    out: Path, *, size: str, seconds: int, redshift_like: bool = False, results: TextIO
) -> Path:
    """Capture to report in `out`; returns the page. Steps print what they found to `results`.

    `redshift_like` puts an imitation of Redshift before 2.0.

    Raises:
        UsageError: `out` holds something that no demo wrote.
        FourstepError: a step failed.
    """
    _make_room(out)
    began_s = time.monotonic()
    log = out / "log"
    _say(f"1.0 answers its customers for {seconds} s, with log_min_duration_statement = 0")
    log.mkdir()
    with demo_server("1.0", size) as server:
        drive_traffic(server, seconds=seconds, seed=SEED, size=size)
        collect_log(server, log / LOG_NAME)
    _step(results, ["capture", str(log), "-o", str(out / "captured")])
    with ExitStack() as running:
        host, dialect = f"embedded:2.0?size={size}", "postgres"
        if redshift_like:
            _say("2.0 is an imitation of Redshift on PostgreSQL: its times are not Redshift's")
            backend = running.enter_context(demo_server("2.0", size))
            imitation = running.enter_context(RedshiftLike(backend.url()))
            host, dialect = imitation.url(user="analyst"), "redshift"
        _ask_two(out, results, host=host, dialect=dialect)
    page = out / "report" / "report.html"
    if not page.is_file():
        raise FourstepError("the demo's report was not written")
    _say(f"done in {time.monotonic() - began_s:.0f} s")
    return page


def _ask_two(out: Path, results: TextIO, *, host: str, dialect: str) -> None:
    """Prepare, replay and report: what needs 2.0."""
    _step(
        results,
        [
            *["prepare", str(out / "captured"), "-o", str(out / "prepared"), "--write", dialect],
            *["--places", str(_FILES / "places.toml"), "--check", host],
        ],
    )
    _step(
        results,
        [
            *["run", "--workload", str(out / "prepared"), "--host", host],
            *["--run-dir", str(out / "run"), "--scale", "2"],
        ],
    )
    _step(
        results,
        [
            *["report", str(out / "run"), "-o", str(out / "report")],
            *["--gates", str(_FILES / "gates.toml"), "--config", str(_FILES / "fourstep.toml")],
        ],
    )


def _make_room(out: Path) -> None:
    if out.exists() and any(out.iterdir()) and not (out / _MARK).exists():
        raise UsageError(
            f"`{out}` is not empty and holds no earlier demo", hint="choose another with -o"
        )
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    (out / _MARK).touch()


def _step(results: TextIO, arguments: Sequence[str]) -> None:
    _say(f"$ fourstep {shlex.join(arguments)}")
    command = [sys.executable, "-m", "reports", *arguments]
    code = subprocess.run(command, stdout=results, check=False).returncode
    if code == ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if code not in _ACCEPTED.get(arguments[0], (ExitCode.DONE,)):
        failure = FourstepError(f"the demo's step `{arguments[0]}` failed with exit code {code}")
        failure.exit_code = ExitCode(code) if code in list(ExitCode) else ExitCode.USAGE
        raise failure


def _say(text: str) -> None:
    print(f"\n{text}", file=sys.stderr, flush=True)
