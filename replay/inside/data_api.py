"""System views through the Redshift Data API, where only HTTPS is open.

A question costs several requests and waits its turn: enough to read, too slow to measure by
(Amazon Redshift management guide, "Using the Amazon Redshift Data API").
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from replay import aws
from replay.errors import UsageError
from replay.inside.views import refusal, table_of

_POLL_S = 0.2


class DataApiViews:
    """Views of the cluster or workgroup in `facts`, the `target` object of run.json.

    Raises:
        UsageError: there is neither in it.
        Unreachable: from every method, where AWS does not let us in.
    """

    def __init__(self, facts: Mapping[str, Any], *, user: str | None = None) -> None:
        names = {
            "WorkgroupName": "workgroup",
            "ClusterIdentifier": "cluster",
            "Database": "database",
        }
        self._where = {name: facts[fact] for name, fact in names.items() if facts.get(fact)}
        if len(self._where) < 2:
            hint = "name it in the URL: redshift://CLUSTER/database?region=…"
            raise UsageError(f"`{facts.get('host')}` is no cluster the Data API knows", hint=hint)
        if user and "ClusterIdentifier" in self._where:
            self._where["DbUser"] = user
        self._asked = ""
        with aws.reaching("redshift-data"):
            self._api = aws.client("redshift-data", region=facts.get("region"))

    def rows(self, sql: str) -> pa.Table:
        """See `replay.inside.views.Views`."""
        names: list[str] = []
        rows: list[list[Any]] = []
        with aws.reaching("redshift-data"):
            self._asked = self._api.execute_statement(Sql=sql, **self._where)["Id"]
            while (told := self._api.describe_statement(Id=self._asked))["Status"] != "FINISHED":
                if told["Status"] in ("ABORTED", "FAILED"):
                    raise refusal(sql, told.get("Error", told["Status"]))
                time.sleep(_POLL_S)
            for page in self._api.get_paginator("get_statement_result").paginate(Id=self._asked):
                names = [column["name"] for column in page["ColumnMetadata"]]
                rows += [[_value(field) for field in record] for record in page["Records"]]
        return table_of(names, rows)

    def cancel(self) -> None:
        """See `replay.inside.views.Views`."""
        with aws.reaching("redshift-data"):
            self._api.cancel_statement(Id=self._asked)

    def close(self) -> None:
        """Nothing is held."""


def _value(field: Mapping[str, Any]) -> Any:  # noqa: ANN401  whatever the column holds
    return None if field.get("isNull") else next(iter(field.values()))
