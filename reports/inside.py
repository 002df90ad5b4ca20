"""Where a statement's time went, by what the server said of it: our part and six of its own.

From RUN/server/queries.parquet, beside which run.json says how it was read. Client is our service
time (done − sent) less the server's elapsed time: the network, reading rows, this tool.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replay.errors import Unreadable
from replay.run import Run
from reports.stats.estimate import Floats
from reports.stats.quantiles import printable, quantile

PARTS = ("client", "queue", "compile", "planning", "lock", "execution", "return")
CACHE_FLATTERS = 0.1
"""Share of answers from the result cache above which a run says little of 2.0's work."""
MOST_TEMPLATES = 12
_QUANTILES = {"p50_us": 0.5, "p95_us": 0.95, "p99_us": 0.99}


def inside_figures(run: Run) -> dict[str, Any] | None:
    """The `server` object of verdict.json: that of run.json and the split; None without either.

    `split` is of all statements with figures, `templates` of those that took most time; shares are
    of service time. `adds_up` counts statements whose row lies outside of our time for them, or
    whose parts are more than the whole, by more than the clocks may be apart.

    Raises:
        Unreadable: the file of figures is damaged.
    """
    told: dict[str, Any] | None = run.document.get("server")
    if told is None:
        return None
    figures: dict[str, Any] = {"split": None, "templates": [], "adds_up": None}
    figures |= dict.fromkeys(("result_cache_share", "scaling_share", "sqa_share"))
    path = run.path / "server" / "queries.parquet"
    if not path.is_file():
        return told | figures
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise Unreadable(f"`{path}` is damaged") from error
    table = table.filter(table["elapsed_us"].is_valid())
    if not table.num_rows:
        return told | figures

    def column(name: str) -> npt.NDArray[np.int64]:
        return pc.fill_null(table[name], 0).to_numpy()  # type: ignore[no-any-return]

    service, elapsed = column("done_us") - column("sent_us"), column("elapsed_us")
    parts = np.stack([service - elapsed, *(column(f"{part}_us") for part in PARTS[1:])], axis=1)
    error_us = (told["clock"] or {}).get("error_us") or 0
    outside = (
        (column("started_us") < column("sent_us") - error_us)
        | (column("ended_us") > column("done_us") + error_us)
        | (np.abs(parts.sum(axis=1) - service) > error_us)
    )
    codes = table["template_id"].combine_chunks().dictionary_encode()
    template = codes.indices.to_numpy()
    by_time = np.argsort(-np.bincount(template, service))[:MOST_TEMPLATES].tolist()
    names = codes.dictionary.to_pylist()
    return told | {
        "split": _split(parts, service),
        "templates": [
            {
                "template_id": names[code],
                **_split(parts[template == code], service[template == code]),
            }
            for code in by_time
        ],
        "adds_up": {"statements": len(parts), "outside": int(outside.sum()), "error_us": error_us},
        "result_cache_share": _share(table["result_cache_hit"]),
        "scaling_share": _share(pc.equal(table["compute_type"], "primary-scale")),
        "sqa_share": _share(table["short_query_accelerated"]),
    }


def _split(parts: npt.NDArray[np.int64], service: npt.NDArray[np.int64]) -> dict[str, Any]:
    """The parts (n, PARTS) in their order; a quantile is null without ten samples beyond it."""
    whole, n = max(1, int(service.sum())), len(service)
    shown = {name: p for name, p in _QUANTILES.items() if printable(n, p) is None}
    return {
        "n": n,
        "mean_us": float(service.mean()),
        "parts": [
            {
                "part": part,
                "share": float(values.sum() / whole),
                **dict.fromkeys(_QUANTILES),
                **{name: quantile(ordered, p) for name, p in shown.items()},
            }
            for part, values in zip(PARTS, parts.T, strict=True)
            for ordered in (np.sort(values),)
        ],
    }


def _share(flags: pa.ChunkedArray) -> float | None:
    """Of those for which it is known."""
    mean: float | None = pc.mean(flags.cast(pa.float64())).as_py()
    return mean


def metric_series(run: Run) -> dict[str, tuple[Floats, Floats, str]]:
    """CloudWatch's figures that were ever other than zero, by name: seconds, values, unit."""
    path = run.path / "server" / "metrics.parquet"
    if not path.is_file():
        return {}
    table = pq.read_table(path)
    series = {}
    for name in table["metric"].unique().to_pylist():
        rows = table.filter(pc.equal(table["metric"], name))
        values = rows["value"].to_numpy()
        if values.any():
            series[name] = (rows["at_us"].to_numpy() / 1e6, values, rows["unit"][0].as_py())
    return series
