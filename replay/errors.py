"""The exceptions a user can meet and the codes a process exits with.

    FourstepError
     ├── UsageError     2    options, configuration, gates, places
     ├── UndecidedRun   3    a run that cannot decide anything
     ├── Unreachable    4    database or AWS
     └── Unreadable     5    logs, workloads, runs

Apart from click and Locust so that the engine, the verbs and the reports share one vocabulary.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What every verb exits with; scripts rely on these numbers."""

    DONE = 0
    """Done, or the verdict is GO."""
    NO_GO = 1
    """The verdict is NO-GO."""
    USAGE = 2
    """A wrong option or configuration."""
    UNDECIDED = 3
    """The verdict is INCONCLUSIVE or INVALID."""
    UNREACHABLE = 4
    """The database or AWS cannot be reached."""
    UNREADABLE = 5
    """The input cannot be read."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; what was done is kept."""


class FourstepError(Exception):
    """A failure a user can act on: one sentence, perhaps a cause, and a hint."""

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(FourstepError):
    """An option, a configuration file, a gate or a place that makes no sense."""

    exit_code = ExitCode.USAGE


class UndecidedRun(FourstepError):
    """A run that ended without evidence for or against."""

    exit_code = ExitCode.UNDECIDED


class Unreachable(FourstepError):
    """A database or an AWS service that did not let us in."""

    exit_code = ExitCode.UNREACHABLE


class Unreadable(FourstepError):
    """A log, a workload or a run that cannot be used at all."""

    exit_code = ExitCode.UNREADABLE


def describe(error: BaseException) -> str:
    """The text of `error:` with its causes and hint, as every verb prints it."""
    lines = [f"error: {error}"]
    cause = error.__cause__
    while cause is not None:
        first_line = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        lines.append(f"  caused by: {first_line}")
        cause = cause.__cause__
    hint = getattr(error, "hint", None)
    if hint:
        lines += ["", f"hint: {hint}"]
    return "\n".join(lines)
