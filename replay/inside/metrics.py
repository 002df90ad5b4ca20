"""What CloudWatch measured while a run went on, a figure a minute.

Names and dimensions: Amazon Redshift management guide, "Performance data in Amazon Redshift" and
"Monitoring … serverless with Amazon CloudWatch"; GetMetricData of the CloudWatch API.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from replay import aws
from replay.inside.views import table_of

_PERIOD_S = 60
_PROVISIONED = {
    "CPUUtilization": ("Average", "%"),
    "DatabaseConnections": ("Maximum", ""),
    "WLMQueueLength": ("Maximum", ""),
    "ConcurrencyScalingActiveClusters": ("Maximum", ""),
    "PercentageDiskSpaceUsed": ("Average", "%"),
}
_SERVERLESS = {
    "ComputeCapacity": ("Maximum", "RPU"),
    "DatabaseConnections": ("Maximum", ""),
    "QueriesQueued": ("Maximum", ""),
    "QueriesRunning": ("Maximum", ""),
}
METRICS = pa.schema({"metric": "string", "at_us": "int64", "value": "double", "unit": "string"})
"""Columns of server/metrics.parquet; `at_us` is the minute's beginning since the run's zero."""


def read_metrics(
    facts: Mapping[str, Any], *, window: tuple[datetime, datetime], zero: datetime
) -> pa.Table:
    """Of schema METRICS, by metric and time; `facts` is the `target` object of run.json.

    Raises:
        Unreachable: AWS does not answer, or does not let us read metrics.
    """
    wanted, where, dimension = (
        _PROVISIONED,
        "AWS/Redshift",
        ("ClusterIdentifier", facts.get("cluster")),
    )
    if facts.get("workgroup"):
        wanted, where = _SERVERLESS, "AWS/Redshift-Serverless"
        dimension = ("Workgroup", facts["workgroup"])
    named = [{"Name": dimension[0], "Value": dimension[1]}]
    asked = [
        {
            "Id": name.lower(),
            "MetricStat": {
                "Metric": {"Namespace": where, "MetricName": name, "Dimensions": named},
                "Period": _PERIOD_S,
                "Stat": stat,
            },
        }
        for name, (stat, _) in wanted.items()
    ]
    names, rows = {name.lower(): name for name in wanted}, []
    with aws.reaching("cloudwatch"):
        client = aws.client("cloudwatch", region=facts.get("region"))
        for page in client.get_paginator("get_metric_data").paginate(
            MetricDataQueries=asked,
            StartTime=window[0].replace(second=0, microsecond=0),
            EndTime=window[1] + timedelta(seconds=_PERIOD_S),
        ):
            for series in page["MetricDataResults"]:
                name = names[series["Id"]]
                for moment, value in zip(series["Timestamps"], series["Values"], strict=True):
                    at_us = round((moment - zero).total_seconds() * 1e6)
                    rows.append((name, at_us, float(value), wanted[name][1]))
    return table_of(METRICS.names, sorted(rows)).cast(METRICS)
