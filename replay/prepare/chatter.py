"""Driver chatter: commands about the session rather than questions."""

from __future__ import annotations

import re

from replay.prepare.unsupported import UnsupportedError

_TRANSACTION = frozenset("begin start commit end rollback abort".split())
_SESSION = frozenset(
    "set reset show fetch move close deallocate discard listen unlisten notify savepoint release "
    "execute use lock unlock kill flush".split()
)
_NOT_OF_REDSHIFT = frozenset("savepoint release listen unlisten notify discard deallocate".split())
_FIRST_WORD = re.compile(r"\s*([A-Za-z]+)")


def first_word(sql: str) -> str:
    """The statement's first word in lower case, empty where it begins with none."""
    found = _FIRST_WORD.match(sql)
    return found[1].lower() if found else ""


def passes_as_it_is(sql: str, *, read: str, write: str) -> bool:
    """True for transaction control and session commands that the target takes word for word.

    Raises:
        UnsupportedError: it is such a command and the target does not know it.
    """
    word = first_word(sql)
    if word in _SESSION and read == "mysql":
        raise UnsupportedError(f"`{word}` of {read} has no counterpart in {write}")
    if word in _NOT_OF_REDSHIFT and write == "redshift":
        raise UnsupportedError(f"`{word}` is not a command of redshift")
    return word in _TRANSACTION or word in _SESSION
