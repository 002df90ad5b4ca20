"""A server whose capacity is known by construction: so many slots, each held for so long."""

from __future__ import annotations

import psycopg

from replay.target.embedded import EmbeddedServer

_WORK = """
CREATE FUNCTION work(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
  FOR slot IN 0 .. {slots} - 1 LOOP
    IF pg_try_advisory_xact_lock(slot) THEN
      PERFORM pg_sleep({held_s});
      RETURN n;
    END IF;
  END LOOP;
  PERFORM pg_advisory_xact_lock(n % {slots});
  PERFORM pg_sleep({held_s});
  RETURN n;
END $$
"""


def serve_slots(server: EmbeddedServer, *, slots: int, held_s: float) -> str:
    """A database whose `work(n)` takes one of `slots` for `held_s`, or waits for one; its URL."""
    name = f"slots_{slots}"
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
    url = server.url(name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_WORK.format(slots=slots, held_s=held_s))
    return url
