"""What `locust` and `fourstep run` accept beside Locust's own options."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from replay.dials import CACHES, DRAWS, MODES, PACES, USERS, VARIATIONS, Dials
from replay.errors import UsageError
from replay.sequence import duration_s

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser

DEFAULT_HOST = "embedded:"

_PLAIN = Dials()
_VALUES: tuple[tuple[str, type, object, str], ...] = (
    (
        "--workload",
        str,
        "",
        "directory written by capture or prepare; default: the bundled demo's",
    ),
    ("--run-dir", str, "", "where the run is written; default: runs/ and the time"),
    ("--resume", str, "", "directory of a stopped or killed run to go on with, by its options"),
    (
        "--scale",
        float,
        _PLAIN.scale,
        "copies of every session; fractions sample whole sessions",
    ),
    (
        "--speed",
        float,
        _PLAIN.speed,
        "divide captured times by this (stress: distorts bursts, prefer --scale)",
    ),
    ("--from", str, "", "replay what 1.0 began from this moment (ISO 8601) on"),
    ("--to", str, "", "replay what 1.0 began before this moment"),
    (
        "--think",
        str,
        "captured",
        "time between an answer of 1.0 and the next statement: captured, none, or times a number",
    ),
    (
        "--max-idle",
        float,
        None,
        "seconds to which stretches without any work on 1.0 are cut; default: they stay",
    ),
    (
        "--ingest",
        str,
        "",
        "file with a table [ingest]: rows that are written into 2.0 meanwhile; default: none",
    ),
    ("--roll", str, "", "begin another file of samples each time this long, say 10min"),
    ("--abort-errors", str, "", "end the run when more than this share failed lately, say 5%"),
    ("--abort-p95", str, "", "end it when p95 of response times was above this lately, say 30s"),
    ("--abort-lag", str, "", "end it when p99 of the tool's own lag was above this lately"),
    ("--abort-after", str, "", "end it when it has lasted this long, and say so, unlike -t"),
    ("--search-path", str, "", "schemas that every session searches; default: the target's"),
    ("--seed", int, _PLAIN.seed, "decides samples and shifts of sessions"),
    (
        "--statement-timeout",
        float,
        _PLAIN.statement_timeout_s,
        "seconds after which a statement is cancelled and counted as timeout",
    ),
    (
        "--lag-budget-ms",
        float,
        _PLAIN.lag_budget_ms,
        "p99 of the tool's own lag above which the run is INVALID",
    ),
)
_SWITCHES = (
    ("--writes", "also replay statements that may write; without it they are skipped and counted"),
    ("--loop", "begin the workload again and again until -t is over"),
    ("--digest", "record a digest of each answer's rows; costs microseconds a row on this side"),
    ("--warm-up", "send each template once before the run, as on Redshift is always done"),
    ("--cold", "send nothing before the run: measures compilation, too"),
    ("--dry-run", "say what would be replayed, and end"),
    ("--no-tables", "a line of progress instead of Locust's tables, as `fourstep run` has it"),
)
_CHOICES = (
    (
        "--on-worker-loss",
        ("fail", "continue"),
        "fail",
        "fail: end the run; continue: finish what is left",
    ),
    (
        "--mode",
        MODES,
        _PLAIN.mode,
        "open: statements are sent when they are due; pool: by -u connections without a pause",
    ),
    (
        "--draw",
        DRAWS,
        _PLAIN.draw,
        "what connections of a pool take in turn: whole sessions, or statements by themselves",
    ),
    (
        "--pace",
        PACES,
        _PLAIN.pace,
        "captured: due at 1.0's offsets; think: after the answer before and the user's think time",
    ),
    (
        "--vary",
        VARIATIONS,
        _PLAIN.vary,
        "literals: copies of sessions ask with values from other statements; none: they repeat",
    ),
    (
        "--system-views",
        ("connection", "data-api", "none"),
        "connection",
        "how Redshift's own figures are read after the run; data-api: where only HTTPS is open",
    ),
    ("--result-cache", CACHES, _PLAIN.result_cache, "whether Redshift may use its result cache"),
    ("--act-as", USERS, _PLAIN.act_as, "whose rights sessions have; captured needs a superuser"),
)


def add_options(parser: LocustArgumentParser) -> None:
    """Add fourstep's group. Types are plain, because Locust sends options to workers."""
    group = parser.add_argument_group(
        "fourstep", "replay of a captured workload; --host takes a target URL, default embedded:"
    )
    # The master's port has no login, and the page none by default.
    parser.set_defaults(master_bind_host="127.0.0.1", web_host="127.0.0.1")
    for name, kind, default, text in _VALUES:
        group.add_argument(name, type=kind, default=default, env_var=_variable(name), help=text)
    for name, text in _SWITCHES:
        group.add_argument(
            name, action="store_true", default=False, env_var=_variable(name), help=text
        )
    for name, choices, default, text in _CHOICES:
        group.add_argument(
            name, type=str, choices=choices, default=default, env_var=_variable(name), help=text
        )


def _variable(option: str) -> str:
    return "FOURSTEP_" + option.strip("-").replace("-", "_").upper()


def dials_of(options: Namespace) -> Dials:
    """The dials that these options set.

    Raises:
        UsageError: one of them makes no sense.
    """
    if options.warm_up and options.cold:
        raise UsageError("`--warm-up` and `--cold` contradict each other", hint="leave one out")
    if options.loop and not options.run_time:
        raise UsageError("`--loop` needs an end", hint="say how long: -t 8h")
    return Dials(
        mode=options.mode,
        draw=options.draw,
        pace=options.pace,
        users=1 if options.num_users is None else options.num_users,
        ramp_per_s=options.spawn_rate,
        endless=options.mode == "pool" and bool(options.run_time),
        since=getattr(options, "from") or None,
        until=options.to or None,
        think=_factor(options.think),
        max_idle_s=options.max_idle,
        loop_s=float(options.run_time) if options.loop else 0.0,
        roll_s=seconds_of(options.roll, option="--roll"),
        scale=options.scale,
        speed=options.speed,
        seed=options.seed,
        statement_timeout_s=options.statement_timeout,
        lag_budget_ms=options.lag_budget_ms,
        writes=options.writes,
        digest=options.digest,
        vary=options.vary,
        result_cache=options.result_cache,
        search_path=options.search_path or None,
        act_as=options.act_as,
        warm_up=options.warm_up or (False if options.cold else None),
    )


def seconds_of(text: str, *, option: str) -> float:
    """A time such as 10min in seconds, zero where none is given; raises UsageError for no time."""
    return duration_s(option, text, zero=True) if text else 0.0


def _factor(think: str) -> float:
    named = {"captured": 1.0, "none": 0.0}
    try:
        return named[think] if think in named else float(think.lstrip("x×"))
    except ValueError:
        raise UsageError(
            f"`--think {think}` is neither captured, none nor a number", hint="try --think 0.5"
        ) from None
