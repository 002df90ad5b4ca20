"""What `locust` and `fourstep run` accept beside Locust's own options."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from replay.timetable import Dials

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser

DEFAULT_HOST = "embedded:"
LOST_WORKER_POLICIES = ("fail", "continue")


def add_options(parser: LocustArgumentParser) -> None:
    """Add fourstep's group. Types are plain, because Locust sends options to workers."""
    group = parser.add_argument_group(
        "fourstep", "replay of a captured workload; --host takes a target URL, default embedded:"
    )
    plain = Dials()
    group.add_argument(
        "--workload",
        type=str,
        default="",
        env_var="FOURSTEP_WORKLOAD",
        help="directory written by capture or prepare; default: the bundled demo's",
    )
    group.add_argument(
        "--run-dir",
        type=str,
        default="",
        env_var="FOURSTEP_RUN_DIR",
        help="where the run is written; default: runs/ and the time",
    )
    group.add_argument(
        "--scale",
        type=float,
        default=plain.scale,
        env_var="FOURSTEP_SCALE",
        help="copies of every session; fractions sample whole sessions",
    )
    group.add_argument(
        "--speed",
        type=float,
        default=plain.speed,
        env_var="FOURSTEP_SPEED",
        help="divide captured times by this (stress: distorts bursts, prefer --scale)",
    )
    group.add_argument(
        "--seed",
        type=int,
        default=plain.seed,
        env_var="FOURSTEP_SEED",
        help="decides samples and shifts of sessions",
    )
    group.add_argument(
        "--statement-timeout",
        type=float,
        default=plain.statement_timeout_s,
        env_var="FOURSTEP_STATEMENT_TIMEOUT",
        help="seconds after which a statement is cancelled and counted as timeout",
    )
    group.add_argument(
        "--lag-budget-ms",
        type=float,
        default=plain.lag_budget_ms,
        env_var="FOURSTEP_LAG_BUDGET_MS",
        help="p99 of the tool's own lag above which the run is INVALID",
    )
    group.add_argument(
        "--on-worker-loss",
        type=str,
        choices=LOST_WORKER_POLICIES,
        default="fail",
        env_var="FOURSTEP_ON_WORKER_LOSS",
        help="fail: end the run; continue: finish what is left",
    )
    group.add_argument(
        "--writes",
        action="store_true",
        default=False,
        env_var="FOURSTEP_WRITES",
        help="also replay statements that may write; without it they are skipped and counted",
    )
    group.add_argument(
        "--no-tables",
        action="store_true",
        default=False,
        env_var="FOURSTEP_NO_TABLES",
        help="a line of progress instead of Locust's tables, as `fourstep run` has it",
    )


def dials_of(options: Namespace) -> Dials:
    """The dials that these options set.

    Raises:
        UsageError: one of them is no positive number.
    """
    return Dials(
        scale=options.scale,
        speed=options.speed,
        seed=options.seed,
        statement_timeout_s=options.statement_timeout,
        lag_budget_ms=options.lag_budget_ms,
        writes=options.writes,
    )
