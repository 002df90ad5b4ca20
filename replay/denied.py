"""What is never sent, whoever logged it, to whatever target and with whatever options.

A server's own statements, and those that act on other sessions or on names of a session that is
not ours. Words in literals and comments do not count, but for the comment by which Redshift marks
what it rewrote for itself.
"""

from __future__ import annotations

import re

from replay.template import normalise

OWN_USERS = ("rdsdb",)
"""Users that AWS runs its own statements as."""

_INTERNAL = re.compile(r"\s*/\*\s*INTERNAL")
_NAMES = "padb_fetch_sample|volt_tt_|pg_terminate_backend|pg_cancel_backend"
_FIRST_WORDS = (
    r"undoing|cancel|prepare|execute|deallocate"
    r"|(?:re)?set\s+(?:session\s+|local\s+)?session\s+authorization"
)
# Most texts have none of the words, which is quickly told.
_SUSPECT = re.compile(rf"{_NAMES}|{_FIRST_WORDS}", re.IGNORECASE)
_DENIED = re.compile(rf"^(?:{_FIRST_WORDS})\b|{_NAMES}", re.IGNORECASE)


def denial(sql: str) -> str | None:
    """Why a statement is denied, or None: `denied: ` and what denies it."""
    if _INTERNAL.match(sql):
        return "denied: /* internal"
    if not _SUSPECT.search(sql):
        return None
    found = _DENIED.search(normalise(sql).text)
    return f"denied: {' '.join(found[0].lower().split())}" if found else None
