"""Prices by kind and name: one's own first, then the Price List's, then the bundled table."""

from __future__ import annotations

import importlib.resources
import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from replay.artefact import write_json
from replay.errors import UsageError
from replay.problems import Table, read_toml, remedy, settle
from reports.cost.model import Price

UNITS = {
    "redshift_node_hour": "h",
    "redshift_reserved_hour": "h",
    "redshift_scaling_second": "s",
    "redshift_rpu_hour": "RPU-hour",
    "redshift_storage_gb_month": "GB-month",
    "redshift_snapshot_gb_month": "GB-month",
    "redshift_scanned_tb": "TB",
    "ec2_hour": "h",
    "cost_explorer_request": "request",
}
"""Kinds of prices, which are the tables of a prices file, and what one price is for."""

ANY = "*"
"""The entry of a table for whatever has none of its own."""

Ask = Callable[[str, str, str], float]
"""Fetches the USD of a kind, a name and a region; see reports.cost.price_list."""


def kept_path(name: str) -> Path:
    """Where fetched prices and bills are kept: beside the calibration."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "fourstep" / name


class Prices:
    """Prices of one region in layers, of which the first that has one counts.

    Raises:
        UsageError: the file of one's own prices has problems; lists all.
    """

    def __init__(self, *, region: str, own: Path | None = None, ask: Ask | None = None) -> None:
        self._region, self._ask = region, ask
        self._own = {} if own is None else _read(read_toml(own), own, "own prices")
        self._path = kept_path(f"prices-{region}.json")
        self._fetched: dict[str, Any] = {}
        with suppress(OSError, ValueError, TypeError):
            self._fetched = dict(json.loads(self._path.read_text(encoding="utf-8")))
        shipped = importlib.resources.files("reports") / "prices.toml"
        with importlib.resources.as_file(shipped) as path:
            document = read_toml(path)
            self._bundled = _read(document, path, "bundled table")
        if document["region"] != region:
            self._bundled = {}

    def find(self, kind: str, name: str) -> Price:
        """The price of `name`, such as the node type `ra3.4xlarge`.

        Raises:
            UsageError: nobody knows it, or the Price List's answer is missing or ambiguous.
            Unreachable: the Price List did not answer.
        """
        if self._ask is not None and not self._own.get(kind, {}).keys() & {name, ANY}:
            usd = self._ask(kind, name, self._region)
            row = {"usd": usd, "source": "Price List API", "date": str(datetime.now(UTC).date())}
            self._fetched.setdefault(kind, {})[name] = row
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # At once: what was fetched serves the next report, whatever this one comes to.
            write_json(self._path, self._fetched)
        layers = (self._own, _read(self._fetched, self._path), self._bundled)
        for entries in (layer.get(kind, {}) for layer in layers):
            if name in entries or ANY in entries:
                return entries[name if name in entries else ANY]
        known = sorted({key for layer in layers for key in layer.get(kind, {})})
        raise UsageError(
            f"no price of `{name}` ({kind}) in `{self._region}`: "
            f"{remedy(name, known) if known else 'there is none of its kind'}",
            hint="`fourstep cost RUN --refresh-prices` asks the Price List; or state it in a file "
            "of your own, see docs/cost.md",
        )


def _read(document: dict[str, Any], path: Path, origin: str = "") -> dict[str, dict[str, Price]]:
    """The tables of a prices file: `kind.name = { usd, source, date, unverified }`."""
    problems: list[str] = []
    table = Table(document, "", problems)
    entries: dict[str, dict[str, Price]] = {}
    for kind in [kind for kind in UNITS if table.has(kind)]:
        rows = table.table(kind)
        for name in rows.content:
            row = rows.table(name)
            if not row.has("usd"):
                row.add("needs `usd`")
            entries.setdefault(kind, {})[name] = Price(
                usd=row.number("usd"),
                unit=UNITS[kind],
                source=", ".join(filter(None, (str(row.value("source", "")), origin))),
                date=str(row.value("date", document.get("date", ""))),
                unverified=row.value("unverified", False) is True,
            )
            row.close()
    for key in ("schema", "date", "region"):
        table.value(key)
    if table.value("currency", "USD") != "USD":
        table.add("`currency` must be USD")
    table.close()
    settle(path, problems, hint="see the section on prices in docs/cost.md")
    return entries
