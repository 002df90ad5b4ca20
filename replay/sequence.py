"""One run after the other: a replay as a child process, and notes by which a sequence goes on.

What `run`, `soak`, `interleave` and `ramp` have in common.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from replay.artefact import read_json
from replay.errors import ExitCode, UsageError

ASIDE = "set-aside"
"""Where runs go that were not played to their end, once they are played again."""


class Played(NamedTuple):
    """How one run ended, and what it printed where that was caught."""

    exit_code: int
    printed: str = ""
    stopped: bool = False
    """Whether somebody wished an end meanwhile: nothing more should be begun."""

    @property
    def place(self) -> str | None:
        """The run's directory or prefix, which it prints last."""
        return self.printed.splitlines()[-1] if self.printed else None


def play(options: Sequence[str], *, captured: bool = False) -> Played:
    """Replay headless in a child process, with Locust's options and ours, and wait for its end.

    Ctrl-C reaches the child by itself, for a terminal sends it to both: it ends cleanly, and we
    wait for that. `captured` keeps its standard output.
    """
    command = [sys.executable, "-m", "locust", "-f", str(locustfile()), "--headless", "--no-tables"]
    asked: list[int] = []
    # A handler of Python's: a child does not inherit it, and begins with the system's.
    before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        child = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE if captured else None, text=True
        )
        printed, _ = child.communicate()
    finally:
        signal.signal(signal.SIGINT, before)
    stopped = bool(asked) or child.returncode == ExitCode.INTERRUPTED
    return Played(child.returncode, printed or "", stopped)


def locustfile() -> Path:
    """Where the replay locustfile lies: beside the package in a checkout, inside it when installed.

    Raises:
        UsageError: neither is there.
    """
    package = Path(__file__).parent
    for path in (
        package.parent / "locustfiles" / "replay.py",
        package / "locustfiles" / "replay.py",
    ):
        if path.is_file():
            return path
    raise UsageError("the replay locustfile is missing", hint="install fourstep again")


def notes_of(path: Path, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a sequence noted in the file `path`, to go on with; None where none was begun.

    Raises:
        UsageError: it was `asked` for something else, or its directory holds something else.
        Unreadable: the notes are damaged.
    """
    out = path.parent
    if not path.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"`{out}` holds something else", hint="name another -o")
        return None
    notes = read_json(path, what="sequence of runs")
    for name, value in asked.items():
        if notes.get("asked", {}).get(name) != value:
            was = notes.get("asked", {}).get(name)
            raise UsageError(
                f"`{out}` was begun with other options: {name} was `{was}`, not `{value}`",
                hint="go on with the same ones, or name another -o",
            )
    return notes


def set_aside(run: Path, out: Path) -> None:
    """Make room for a run at `run`, below `out`: what lies there is kept in `out`/set-aside."""
    if run.exists():
        kept = out / ASIDE
        kept.mkdir(parents=True, exist_ok=True)
        name = "-".join(run.relative_to(out).parts)
        number = next(n for n in range(1, 1_000_000) if not (kept / f"{name}.{n}").exists())
        run.rename(kept / f"{name}.{number}")


def rest(seconds: float, *, tell: str) -> None:
    """Let a target cool down; says so on standard error."""
    if seconds > 0:
        print(f"{tell}: {seconds:g} s of rest", file=sys.stderr, flush=True)
        time.sleep(seconds)
