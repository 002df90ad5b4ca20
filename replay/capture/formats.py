"""The log formats, and which one a log is in."""

from __future__ import annotations

from dataclasses import replace

from replay.capture.mysql.general import MysqlGeneral
from replay.capture.mysql.slow import MysqlSlow
from replay.capture.postgres.csvlog import PostgresCsv
from replay.capture.postgres.jsonlog import PostgresJson
from replay.capture.postgres.stderr import PostgresStderr
from replay.capture.postgres.wrapped import PostgresWrapped
from replay.capture.record import Reader, ReaderOptions, Recognised
from replay.capture.redshift.audit import RedshiftAudit
from replay.capture.redshift.system import RedshiftSys
from replay.capture.tabular.readers import TabularCsv, TabularJsonl, TabularParquet
from replay.errors import UsageError

READERS: tuple[type[Reader], ...] = (
    PostgresCsv,
    PostgresJson,
    PostgresStderr,
    PostgresWrapped,
    RedshiftSys,
    RedshiftAudit,
    MysqlSlow,
    MysqlGeneral,
    TabularCsv,
    TabularJsonl,
    TabularParquet,
)
"""Those whose evidence cannot be mistaken first. Where one server writes several, the first here
is the one that tells most."""

FORMATS = ("auto", *dict.fromkeys(reader.name for reader in READERS))


def recognise(head: bytes, options: ReaderOptions, *, log_format: str) -> Recognised | None:
    """A reader for the log that begins with `head`; None where no format fits.

    Raises:
        UsageError: `log_format` is none, or options do not fit it.
    """
    if log_format not in FORMATS:
        raise UsageError(
            f"`{log_format}` is not a format", hint=f"choose one of {', '.join(FORMATS)}"
        )
    for reader in READERS:
        if log_format in ("auto", reader.name):
            chosen = replace(options, chosen=log_format != "auto")
            if found := reader.recognise(head, chosen):
                return found
    return None
