"""A stand-in for Amazon Redshift: a proxy in front of an embedded PostgreSQL.

It shows a client what differs from PostgreSQL: how a session begins, what is refused and in which
words, WLM slots that queue, compilation, the result cache, COPY from S3, and system views filled
from what it ran. What it is not: fast or slow as Redshift is. Answers, their types and their times
are PostgreSQL's, `pg_sleep` works (a trial needs slow statements), statements of one message are
not one transaction, Flush is not obeyed, and text marked "from memory" in the tables here was
never seen on a cluster.

Source: Amazon Redshift database developer guide and management guide, 2026; PostgreSQL manual,
chapter 54.
"""

from __future__ import annotations

from replay.redshift_like.behaviour import Behaviour
from replay.redshift_like.process import RedshiftLike

__all__ = ["Behaviour", "RedshiftLike"]
