"""What AWS and the server say a Redshift is: endpoint, state, size, version.

Amazon Redshift API: DescribeClusters; Amazon Redshift Serverless API: GetWorkgroup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from replay.errors import Unreachable
from replay.target.address import Address

_STEADY = "available"
_HINTS = {
    "paused": "resume it, which is billed: aws redshift resume-cluster --cluster-identifier {name}",
    "resizing": "wait for the resize to end: what it measures would be of neither size",
}
"""Remedies by ClusterStatus; nothing is ever resumed silently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A cluster or a workgroup by AWS's word."""

    host: str | None
    port: int | None
    facts: dict[str, Any]
    """For run.json: cluster or workgroup, region, status, node_type and nodes or base_rpu."""
    told: dict[str, Any] = field(repr=False)
    """All of AWS's answer."""


def refuse_unsteady(facts: Mapping[str, Any]) -> None:
    """Go on only where Described.facts are those of a server that is up, or unknown.

    Raises:
        Unreachable: it is paused, being resized, or otherwise not itself.
    """
    status = facts.get("status", _STEADY)
    if status != _STEADY:
        name = facts.get("cluster") or facts.get("workgroup")
        hint = _HINTS.get(status, "wait until it is available again").format(name=name)
        raise Unreachable(f"`{name}` is {status}", hint=hint)


def describe(address: Address) -> Described:
    """Ask AWS about the cluster or workgroup of an address that names one.

    Raises:
        Unreachable: AWS does not tell.
    """
    # Half a second to import, and no other kind of target needs it.
    from replay.aws import ask, default_region

    region, facts = address.region, dict[str, Any]()
    if address.workgroup is not None:
        told = ask(
            "redshift-serverless",
            "get_workgroup",
            subject=f"workgroup `{address.workgroup}`",
            region=region,
            workgroupName=address.workgroup,
        )["workgroup"]
        facts |= {"workgroup": address.workgroup, "status": told["status"].lower()}
        facts["base_rpu"] = told.get("baseCapacity")
        endpoint = told.get("endpoint") or {}
    else:
        told = ask(
            "redshift",
            "describe_clusters",
            subject=f"cluster `{address.cluster}`",
            region=region,
            ClusterIdentifier=address.cluster,
        )["Clusters"][0]
        status = "resizing" if told.get("ResizeInfo") else told["ClusterStatus"]
        facts |= {"cluster": address.cluster, "status": status}
        facts |= {"node_type": told.get("NodeType"), "nodes": told.get("NumberOfNodes")}
        endpoint = {name.lower(): value for name, value in (told.get("Endpoint") or {}).items()}
    return Described(
        host=endpoint.get("address"),
        port=endpoint.get("port"),
        facts=facts | {"region": region or default_region()},
        told=told,
    )


def version_of(connection: psycopg.Connection) -> str | None:
    """Redshift's own version, such as 1.0.123456: the server_version is 8.0.2 on all of them."""
    row = connection.execute(b"SELECT version()").fetchone()
    return version_in(row[0]) if row else None


def version_in(told: str) -> str | None:
    """The same in what `SELECT version()` answers."""
    found = re.search(r"Redshift ([\w.]+)", told)
    return found[1] if found else None
