"""One run after the other: a replay as a child process, and notes by which a sequence goes on.

What `run`, `soak`, `interleave` and `ramp` have in common.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from replay.artefact import read_json
from replay.errors import ExitCode, UsageError
from replay.problems import microseconds

ASIDE = "set-aside"
"""Where runs go that were not played to their end, once they are played again."""


class Played(NamedTuple):
    """How one run ended: 130 also where it ended well and somebody wished an end meanwhile.

    What it printed, where that was caught, ends with the place of the run.
    """

    exit_code: int
    printed: str = ""


def ended_by(exit_code: int) -> str:
    """The word for a sequence that ended after a run with this exit code."""
    return {0: "done", int(ExitCode.INTERRUPTED): "interrupted"}.get(exit_code, "failed")


def play(options: Sequence[str], *, captured: bool = False) -> Played:
    """Replay headless in a child process, with Locust's options and ours, and wait for its end.

    Ctrl-C reaches the child by itself, for a terminal sends it to both; SIGTERM is passed on. It
    ends cleanly, and we wait for that. `captured` keeps its standard output.
    """
    command = [sys.executable, "-m", "locust", "-f", str(locustfile()), "--headless", "--no-tables"]
    asked: list[int] = []
    # Handlers of Python's: a child does not inherit them, and begins with the system's.
    before = {
        number: signal.signal(number, lambda number, _: asked.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        child = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE if captured else None, text=True
        )

        def pass_on(number: int, _: object) -> None:
            asked.append(number)
            child.send_signal(number)

        signal.signal(signal.SIGTERM, pass_on)
        if signal.SIGTERM in asked:
            child.terminate()
        printed, _ = child.communicate()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return Played(child.returncode or (ExitCode.INTERRUPTED if asked else 0), printed or "")


def locustfile() -> Path:
    """Where the replay locustfile lies: beside the package in a checkout, inside it when installed.

    Raises:
        UsageError: neither is there.
    """
    package = Path(__file__).parent
    for parent in (package.parent, package):
        path = parent / "locustfiles" / "replay.py"
        if path.is_file():
            return path
    raise UsageError("the replay locustfile is missing", hint="install fourstep again")


def played_before(notes: Path, asked: Mapping[str, Any], *, key: str) -> list[dict[str, Any]]:
    """What a sequence has noted under `key` of its file, to go on with; empty for a new one.

    Raises:
        UsageError: it was `asked` for something else, or its directory holds something else.
        Unreadable: the notes are damaged.
    """
    out = notes.parent
    if not notes.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"`{out}` holds something else", hint="name another -o")
        return []
    known = read_json(notes, what="sequence of runs")
    done: list[dict[str, Any]] = known[key]
    for name, value in asked.items():
        was = known["asked"].get(name)
        if done and was != value:
            why = f"`{out}` was begun with other options: {name} was `{was}`, not `{value}`"
            raise UsageError(why, hint="go on with the same ones, or name another -o")
    return done


def set_aside(run: Path, out: Path) -> None:
    """Make room at `run`, below `out`: what lies there is kept in `out`/set-aside."""
    if run.exists():
        kept = out / ASIDE
        kept.mkdir(parents=True, exist_ok=True)
        name = "-".join(run.relative_to(out).parts)
        run.rename(kept / f"{name}.{len(list(kept.glob(f'{name}.*'))) + 1}")


def rest(seconds: float, *, before: str) -> None:
    """Let a target cool down before what comes next; says so on standard error."""
    print(f"{seconds:g} s of rest before {before}", file=sys.stderr, flush=True)
    time.sleep(seconds)


def check_options(options: Sequence[str], hosts: Iterable[str], *, ours: Sequence[str]) -> None:
    """Before a sequence notes what it was asked for.

    Raises:
        UsageError: an option is one that the verb sets itself, or a URL holds a password.
        Unreachable: a host's name cannot be resolved.
    """
    from replay.target.target import parse_target

    for said in options:
        name = said.partition("=")[0] if said.startswith("--") else said[:2]
        if name in ours:
            raise UsageError(f"`{name}` is set for each run", hint=f"leave out `{said}`")
    for url in hosts:
        if not url.startswith("embedded:"):
            parse_target(url, statement_timeout_s=1)


def duration_s(option: str, text: str, *, zero: bool = False) -> float:
    """The seconds of a duration such as `10s`; raises UsageError where it is none, or wrongly 0."""
    length_us = microseconds(text)
    if length_us is None or not (length_us or zero):
        raise UsageError(f"`{option} {text}` is not a time", hint="write it as 10s or 15min")
    return length_us / 1e6
