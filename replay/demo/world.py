"""The demo's two places as servers: 1.0 with its query log on, and 2.0."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from replay.demo.data import SEED, SIZES, make_world
from replay.demo.load import DATABASE, load_place, schema_text
from replay.errors import UsageError
from replay.target.embedded import EmbeddedServer, loaded_cluster

PLACES = ("1.0", "2.0")
DEFAULT_SIZE = "medium"
LOG_NAME = "reports.csv"

_DATA_VERSION = 1
"""Raised when the data or the way they are loaded change; the SQL files count by themselves."""

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
        "log_statement": "none",
        "log_duration": "off",
        "log_connections": "on",
        "log_disconnections": "on",
        "log_checkpoints": "off",
        "log_autovacuum_min_duration": "-1",
    }
)
"""What makes a server's log a full record of what it is asked."""


def demo_server(place: str, size: str = DEFAULT_SIZE) -> EmbeddedServer:
    """The server of 1.0 or 2.0, loaded but not started; `size` is small, medium or large.

    The first call for a place and size makes and loads it; later ones copy.

    Raises:
        UsageError: there is no such place or size.
    """
    if place not in PLACES or size not in SIZES:
        raise UsageError(
            f"the demo has no place `{place}` of size `{size}`",
            hint=f"places: {', '.join(PLACES)}; sizes: {', '.join(SIZES)}",
        )
    version = place.partition(".")[0]
    texts = b"".join(schema_text(f"{kind}_{version}.sql") for kind in ("schema", "indexes"))
    key = f"demo-{place}-{size} {SEED} {_DATA_VERSION} {np.__version__} {texts.decode()}"
    template = loaded_cluster(
        key, lambda server: load_place(server, place, make_world(SIZES[size], seed=SEED))
    )
    settings = {**_SETTINGS, **(LOG_SETTINGS if place == "1.0" else {})}
    return EmbeddedServer(place, template=template, settings=settings, database=DATABASE)
