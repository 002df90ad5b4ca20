"""Two tabs on Locust's page: how late statements are and through whom; 1.0 beside 2.0."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from replay.swarm.board import BESIDE, DELAYS
from replay.swarm.conductor import Conductor, State

_TABS = {
    "replay": ("Replay", "name in_words due sent ended open_sessions errors", DELAYS),
    "beside": ("1.0 beside 2.0", "name statements", BESIDE),
}


def add_tabs(web_ui: Any, conductor: Conductor) -> None:  # noqa: ANN401  Locust's page
    """Show what `conductor` knows of its run on the page of its process."""
    tabs, tables = [], []
    for key, (title, first, times) in _TABS.items():
        titles = {name: name.replace("_", " ").capitalize() for name in first.split()}
        titles |= {name: told for name, (told, _, _) in times.items()}
        columns = [{"key": name, "title": told} for name, told in titles.items()]
        tables.append({"key": key, "structure": columns})
        tabs.append({"key": key, "title": title})
    web_ui.template_args |= {"extended_tabs": tabs, "extended_tables": tables}

    @web_ui.app.after_request  # type: ignore[untyped-decorator]
    def _extend(response: Response) -> Response:
        if request.path.endswith("/stats/requests") and response.is_json:
            run, empty = conductor.run, {"name": "no run yet"}
            rows = {"replay": [empty], "beside": [empty]}
            if run is not None:
                passed = f"{run.board.passed} " if conductor.state is State.PLAYING else ""
                says = f"{passed}{conductor.state}, {run.path.resolve()}"
                rows = {"replay": [{"name": "  run", "in_words": says}, *run.board.delays()]}
                rows["beside"] = run.board.beside()
            told = [{"key": key, "data": data} for key, data in rows.items()]
            response.data = web_ui.app.json.dumps(response.get_json() | {"extended_stats": told})
        return response
