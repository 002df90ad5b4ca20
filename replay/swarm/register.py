"""Ties conductor and player to Locust's events: the only thing a locustfile has to call."""

from __future__ import annotations

import logging
import sys
import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any, NoReturn

import gevent
from locust.rpc import zmqrpc
from locust.runners import MasterRunner, WorkerRunner

from replay.errors import ExitCode, FourstepError, describe
from replay.swarm import conductor, doorman, opening, options, page, player

if TYPE_CHECKING:
    from locust.env import Environment
    from locust.event import Events

_GREETING_S = 30.0
"""Within which worker processes of our own must have come."""

_conductors: dict[int, conductor.Conductor] = {}
_players: dict[int, player.Player] = {}


def conductor_of(environment: Environment | None) -> conductor.Conductor | None:
    """The conductor of a master or of a process without workers."""
    return _conductors.get(id(environment))


def player_of(environment: Environment | None) -> player.Player | None:
    """The player of a worker or of a process without workers."""
    return _players.get(id(environment))


def register(events: Events) -> None:
    """Make this Locust process replay."""
    zmqrpc.Server = doorman.Door  # type: ignore[misc]
    events.init_command_line_parser.add_listener(options.add_options)
    events.init.add_listener(_init)
    events.test_start.add_listener(_test_start)
    events.test_stopping.add_listener(_test_stopping)
    events.quit.add_listener(_quit)


def _init(environment: Environment, **_: Any) -> None:  # noqa: ANN401  Locust's extras
    if environment.parsed_options is not None and environment.parsed_options.no_tables:
        logging.getLogger("locust.stats_logger").setLevel(logging.WARNING)
    parsed = environment.parsed_options
    if parsed is not None and parsed.dry_run:
        if isinstance(environment.runner, WorkerRunner):
            sys.exit(ExitCode.DONE)
        _dry_run(environment, parsed)
    # So that the page shows it, and its Start button has something to offer.
    environment.host = environment.host or options.DEFAULT_HOST
    separate = isinstance(environment.runner, WorkerRunner)
    if not isinstance(environment.runner, MasterRunner):
        _players[id(environment)] = player.Player(environment, separate=separate)
    if not separate:
        conducting = _conductors[id(environment)] = conductor.Conductor(environment)
        if isinstance(environment.runner, MasterRunner):
            doorman.watch_door(environment.runner, knows=conducting.greeting.knows)
        if environment.web_ui is not None:
            page.add_tabs(environment.web_ui, conducting)


def _dry_run(environment: Environment, parsed: Namespace) -> NoReturn:
    # Its own worker processes look five minutes for a master that has gone before it greeted them.
    deadline_s = time.monotonic() + _GREETING_S
    runner = environment.runner
    while isinstance(runner, MasterRunner) and time.monotonic() < deadline_s:
        if len(runner.clients) >= (parsed.processes or 0):
            gevent.sleep(0.5)
            break
        gevent.sleep(0.05)
    try:
        print(opening.dry_run(parsed), flush=True)
    except (FourstepError, OSError) as error:
        print(describe(error), file=sys.stderr, flush=True)
        sys.exit(getattr(error, "exit_code", ExitCode.UNREADABLE))
    sys.exit(ExitCode.DONE)


def _test_start(environment: Environment, **_: Any) -> None:  # noqa: ANN401  Locust's extras
    conducting = conductor_of(environment)
    if conducting is not None:
        conducting.begin()


def _test_stopping(environment: Environment, **_: Any) -> None:  # noqa: ANN401  Locust's extras
    conducting, playing = conductor_of(environment), player_of(environment)
    if conducting is not None:
        conducting.stop("stopped")
    elif playing is not None:
        playing.stop(grace_s=float(environment.stop_timeout or 0))


def _quit(**_: Any) -> None:  # noqa: ANN401  Locust's extras
    for conducting in _conductors.values():
        if conducting.run is not None and conducting.run.path.exists():
            print(conducting.run.place, flush=True)
