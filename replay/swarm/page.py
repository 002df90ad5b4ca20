"""Two tabs on Locust's page: how late statements are and through whom; 1.0 beside 2.0."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from replay.swarm.board import BESIDE, DELAYS
from replay.swarm.conductor import Conductor

_COUNTS = {"due": "Due", "sent": "Sent", "ended": "Ended", "open_sessions": "Open sessions"}
_TABS = {
    "replay": ("Replay", {"name": "Worker", **_COUNTS}, DELAYS),
    "beside": ("1.0 beside 2.0", {"name": "Statements", "statements": "Ended ok"}, BESIDE),
}
_LAST = {"replay": {"errors": "Errors", "causes": "by cause", "in_words": "In words"}, "beside": {}}


def add_tabs(web_ui: Any, conductor: Conductor) -> None:  # noqa: ANN401  Locust's page
    """Show what `conductor` knows of its run on the page of its process."""
    tabs, tables = [], []
    for key, (title, first, times) in _TABS.items():
        titles = first | {name: told for name, (told, _, _) in times.items()} | _LAST[key]
        tabs.append({"key": key, "title": title})
        structure = [{"key": name, "title": told} for name, told in titles.items()]
        tables.append({"key": key, "structure": structure})
    web_ui.template_args |= {"extended_tabs": tabs, "extended_tables": tables}

    @web_ui.app.after_request  # type: ignore[untyped-decorator]
    def _extend(response: Response) -> Response:
        if request.path.endswith("/stats/requests") and response.is_json:
            rows = _rows(conductor)
            told = [{"key": key, "data": data} for key, data in rows.items()]
            report = response.get_json() | {"extended_stats": told}
            response.data = web_ui.app.json.dumps(report)
        return response


def _rows(conductor: Conductor) -> dict[str, list[dict[str, Any]]]:
    board, run = conductor.board, conductor.run
    if board is None or run is None:
        return {key: [{"name": "no run"}] for key in _TABS}
    says = f"{conductor.state}, {conductor.share:.0%} of {run.timetable.length_us / 1e6:,.0f} s"
    says_where = {"name": "run", "in_words": f"{says}, {run.path.resolve()}"}
    return {"replay": [*board.delays(), says_where], "beside": board.beside()}
