"""One text from dialect to dialect: parsed and written by sqlglot, by way of the rules between."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.errors import UnsupportedError as GeneratorError
from sqlglot.tokenizer_core import TokenType

from replay.prepare.chatter import first_word
from replay.prepare.marker import BIND, bind_marker
from replay.prepare.rules import adapt
from replay.prepare.unsupported import UnsupportedError

_BY_WAY_OF = {("mysql", "redshift"): ("mysql", "postgres", "redshift")}
"""Rules know PostgreSQL on one side: what MySQL means is said in its words first."""
_CLASS = re.compile(r"<class '(?:\w+\.)*(\w+)'>")
_KEYWORD = re.compile(r"[A-Za-z_]{1,30}\Z")


class QuotingError(UnsupportedError):
    """A generator's words, which may quote a literal of the user."""


def carry_over(
    sql: str, *, read: str, write: str, move: Callable[[exp.Expr], bool]
) -> tuple[str, bool]:
    """`(text, changed)` of a text without comments around it, literals and all.

    `move` takes each tree to 2.0's places and tells whether it changed.

    Raises:
        UnsupportedError: it has no faithful form.
    """
    way = _BY_WAY_OF.get((read, write), (read, write))
    text = _numbered_binds(sql) if read == "mysql" else sql
    numbered = text != sql
    changed = read != write
    for old, new in pairwise(way):
        trees = _parsed(text, old)
        if old != new:
            trees = [adapt(tree, read=old, write=new) for tree in trees]
        if new == write:
            # After the dialect: what places.toml says is in 2.0's already.
            moved = [move(tree) for tree in trees]
            changed = changed or any(moved)
        if not changed:
            return sql, False
        text = "; ".join(_written(tree, new) for tree in trees)
    if numbered:
        text = BIND.sub(lambda found: f"${int(found[1]) + 1}", text)
    return text, True


@lru_cache(maxsize=10_000)
def literal_in(literal: str, *, read: str, write: str) -> str:
    """A literal of one dialect as another writes it."""
    try:
        return str(sqlglot.parse_one(literal, read=read).sql(dialect=write, copy=False))
    except SqlglotError:
        return literal


def _parsed(sql: str, dialect: str) -> list[exp.Expr]:
    try:
        trees = [tree for tree in sqlglot.parse(sql, read=dialect) if tree is not None]
    except ParseError as error:
        raise UnsupportedError(_parse_reason(error)) from None
    except (SqlglotError, RecursionError):
        raise UnsupportedError("cannot be split into tokens") from None
    except (AttributeError, LookupError, TypeError, ValueError):
        # A defect of the parser's, which some texts meet: DATE_ADD without its interval.
        raise UnsupportedError("cannot be parsed: the parser gives up") from None
    for tree in trees:
        # What is no statement to it, sqlglot reads as an expression: `savepoint a` as an alias.
        if isinstance(tree, exp.Command | exp.Condition | exp.Alias | exp.Tuple):
            raise UnsupportedError(f"`{first_word(sql)}` is not understood")
    return trees


def _written(tree: exp.Expr, dialect: str) -> str:
    try:
        return tree.sql(
            dialect=dialect, comments=False, unsupported_level=ErrorLevel.RAISE, copy=False
        )
    except GeneratorError as error:
        raise QuotingError(str(error).strip().splitlines()[0][:160]) from None
    except (SqlglotError, ValueError) as error:
        raise UnsupportedError(f"cannot be written: {type(error).__name__}") from None


def _numbered_binds(sql: str) -> str:
    """Numbers in place of MySQL's `?`, so that each value keeps its place as `$1`, `$2`, ..."""
    if "?" not in sql or BIND.search(sql):
        return sql
    try:
        tokens = sqlglot.tokenize(sql, read="mysql")
    except SqlglotError:
        return sql
    binds = [token for token in tokens if token.token_type is TokenType.PLACEHOLDER]
    for number, token in reversed(list(enumerate(binds))):
        sql = f"{sql[: token.start]}{bind_marker(number)}{sql[token.end + 1 :]}"
    return sql


def _parse_reason(error: ParseError) -> str:
    first = error.errors[0] if error.errors else {}
    description = _CLASS.sub(r"\1", str(first.get("description", ""))).strip(". ")
    word = str(first.get("highlight", ""))
    near = f" near `{word}`" if _KEYWORD.match(word) else ""
    return f"cannot be parsed{near}: {description.lower() or 'unexpected text'}"
