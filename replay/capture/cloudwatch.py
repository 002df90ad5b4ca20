"""Logs in CloudWatch: the streams of a log group, one event a record."""

from __future__ import annotations

from functools import partial
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl

from replay import aws
from replay.capture.source import Source
from replay.errors import Unreadable, UsageError

_OPTIONS = ("prefix", "region")


def find_streams(name: str) -> list[Source]:
    """The streams of `cloudwatch://GROUP`, in order of name, as sources.

    `?prefix=` chooses streams, `&region=` another region than the configured one. A group's name
    may begin with `/`: cloudwatch:///aws/rds/instance/x/postgresql.

    Raises:
        UsageError: no group is named, or an option is unknown.
        Unreachable: AWS does not answer, does not let us in, or has no such group.
        Unreadable: the group has no stream.
    """
    group, _, query = name.removeprefix("cloudwatch://").partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(options.keys() - set(_OPTIONS))
    if not group or unknown:
        raise UsageError(
            f"`{name}` has no option `{unknown[0]}`" if group else f"`{name}` names no log group",
            hint="write cloudwatch://GROUP or cloudwatch://GROUP?prefix=STREAM&region=REGION",
        )
    wanted = {"logGroupName": group}
    if prefix := options.get("prefix"):
        wanted["logStreamNamePrefix"] = prefix
    with aws.reaching(name):
        logs = aws.client("logs", region=options.get("region"))
        pages = logs.get_paginator("describe_log_streams").paginate(**wanted)
        streams = sorted(entry["logStreamName"] for page in pages for entry in page["logStreams"])
    if not streams:
        raise Unreadable(
            f"`{name}` is no log: the group has no stream"
            + (f" that begins with `{prefix}`" if prefix else ""),
            hint=f"`aws logs describe-log-streams --log-group-name {group}` shows what is there",
        )
    return [
        Source(
            uri=f"cloudwatch://{group}/{stream}",
            name=stream,
            open_raw=partial(_open, logs, group, stream),
        )
        for stream in streams
    ]


def _open(logs: Any, group: str, stream: str) -> BinaryIO:  # noqa: ANN401  a client made at run time
    return cast(BinaryIO, _Events(logs, group, stream))


class _Events:
    """The messages of one stream, oldest first, each ended by a newline.

    One page is in memory; it has at most 1 MB or 10,000 events (CloudWatch Logs API reference,
    GetLogEvents). Pages may be empty before the end, which is where the token repeats.
    """

    def __init__(self, logs: Any, group: str, stream: str) -> None:  # noqa: ANN401
        self._logs = logs
        self._stream = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
        self._uri = f"cloudwatch://{group}/{stream}"
        self._token: str | None = None
        self._ended = False
        self._ready = memoryview(b"")
        self._turn_page()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
            Unreadable: the rest of the stream cannot be had.
        """
        while not self._ready and not self._ended:
            self._turn_page()
        data, self._ready = bytes(self._ready[:size]), self._ready[size:]
        return data

    def close(self) -> None:
        """Nothing is open between pages."""

    def _turn_page(self) -> None:
        more = {} if self._token is None else {"nextToken": self._token}
        try:
            page = self._logs.get_log_events(**self._stream, **more)
        except aws.ERRORS as error:
            raise aws.failure(self._uri, error, opens=self._token is None) from error
        self._ended = page["nextForwardToken"] == self._token
        self._token = page["nextForwardToken"]
        # Lone surrogates become bytes that are set aside as no text; they must not stop the rest.
        self._ready = memoryview(b"".join(_line(event["message"]) for event in page["events"]))


def _line(message: str) -> bytes:
    return message.removesuffix("\n").encode("utf-8", "surrogatepass") + b"\n"
