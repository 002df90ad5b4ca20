"""The demo's two places as servers: 1.0 with its query log on, and 2.0."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from replay.demo.data import SEED, SIZES
from replay.demo.load import DATABASE, load_place, sources
from replay.errors import UsageError
from replay.target.embedded import EmbeddedServer, loaded_cluster

DEFAULT_SIZE = "medium"
LOG_NAME = "reports.csv"

_SETTINGS = {
    # Two cores are shared by server, customers and replay: more processes for one statement
    # would only make its duration a matter of luck.
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
    "work_mem": "16MB",
}

LOG_SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "logging_collector": "on",
        "log_destination": "csvlog",
        "log_filename": LOG_NAME.replace(".csv", ".log"),
        "log_rotation_age": "0",
        "log_rotation_size": "0",
        "log_min_duration_statement": "0",
        "log_connections": "on",
        "log_disconnections": "on",
        "log_checkpoints": "off",
        "log_autovacuum_min_duration": "-1",
    }
)
"""What makes a server's log a full record of what it is asked, above PostgreSQL's defaults."""

_PLACES = {"1.0": {**_SETTINGS, **LOG_SETTINGS}, "2.0": _SETTINGS}


def demo_server(place: str, size: str = DEFAULT_SIZE) -> EmbeddedServer:
    """The server of 1.0 or 2.0, loaded but not started; `size` is small, medium or large.

    The first call for a place and size makes and loads it; later ones copy.

    Raises:
        UsageError: there is no such place or size.
    """
    if place not in _PLACES or size not in SIZES:
        raise UsageError(
            f"there is no embedded server `{place}` of size `{size}`",
            hint="use `embedded:empty`, or `embedded:1.0` or `embedded:2.0` with "
            + ", ".join(f"`?size={known}`" for known in SIZES),
        )
    template = loaded_cluster(
        f"{place}-{size} {SEED} {SIZES[size]} {sources(place)}",
        lambda server: load_place(server, place, SIZES[size], seed=SEED),
    )
    return EmbeddedServer(place, template=template, settings=_PLACES[place], database=DATABASE)
