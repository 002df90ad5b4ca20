"""`make bench`: figures of this machine beside a peer's or a bar. Nothing is asserted.

    python -m tests.bench [SECTION…] [--statements N] [--seconds S] [--planned N]

Sections run alone or together, by default all. Whole processes are measured, their start included;
a peer that is not installed is said to be missing.
"""

from __future__ import annotations

import argparse

from tests.bench import aa, judged, knee, logs, plans, replays
from tests.bench.ground import Ground

SECTIONS = {
    "capture": logs.capture,
    "prepare": logs.prepare,
    "flat": replays.flat,
    "workers": replays.workers,
    "punctual": replays.punctual,
    "sessions": replays.sessions,
    "answer": replays.answer,
    "plan": plans.plan,
    "timetable": plans.timetable,
    "report": judged.report,
    "same": aa.same,
    "knee": knee.knee,
}


def main() -> None:
    """Run the sections that are named."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="; ".join(f"{name}: {run.__doc__}" for name, run in SECTIONS.items()),
    )
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], metavar="SECTION")
    parser.add_argument(
        "--statements", type=int, default=100_000, help="of pgbench's trace, or to report on"
    )
    parser.add_argument("--seconds", type=int, default=60, help="of a steady load")
    parser.add_argument("--planned", type=int, default=10_000_000, help="in a timetable")
    wanted = parser.parse_args()
    with Ground(
        statements=wanted.statements, seconds=wanted.seconds, planned=wanted.planned
    ) as ground:
        for name, run in SECTIONS.items():
            if not wanted.sections or name in wanted.sections:
                print(f"{name}: {run.__doc__}", flush=True)
                run(ground)


main()
