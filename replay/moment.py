"""A moment as users write it."""

from __future__ import annotations

from datetime import UTC, datetime

from replay.errors import UsageError


def moment_of(text: str, *, option: str = "") -> datetime:
    """A moment of ISO 8601; without a zone it is UTC.

    Raises:
        UsageError: it is none; names the option.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"`{option} {text}` is not a moment", hint="write it as 2026-11-23T14:00:00Z"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
