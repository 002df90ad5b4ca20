"""The names under which statements are counted while a run goes on."""

from __future__ import annotations

from replay.workload import Workload

NAMES_AT_MOST = 200
"""Locust keeps histograms per name for ever and shows at most 500 of them."""
NAME_CHARACTERS = 48
OTHER = "other templates"

Label = tuple[str, str]
"""Locust's method and name: kind and beginning of a template."""


def labels_of(workload: Workload) -> dict[str, Label]:
    """Kind and name under which Locust counts each template, the rarer ones together."""
    templates = workload.templates(["template_id", "kind", "sql", "statements"]).sort_by(
        [("statements", "descending"), ("template_id", "ascending")]
    )
    labels: dict[str, Label] = {}
    for place, row in enumerate(templates.to_pylist()):
        # The kind stands in a column of its own.
        beginning = row["sql"].partition(" ")[2] or row["sql"]
        name = f"{beginning[:NAME_CHARACTERS]} #{row['template_id'][:6]}"
        labels[row["template_id"]] = (row["kind"], name if place < NAMES_AT_MOST else OTHER)
    return labels
