"""A statement's text cut at its literals, so that one translation serves many statements.

Apart from `replay.template`, whose scan is exact but too slow for every statement: most texts are
cut here by one regular expression, and only those with comments inside, backslashes or dollar
quotes take the exact scan.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from replay.template import normalise, shape

# Each match begins with one of a few characters, which the regex engine finds fastest if they stand
# alone at the front; what may follow is told by looking back at them.
_QUICK = re.compile(
    r"""["`'0-9](?:
      (?<=")[^"]*(?:""[^"]*)*"
    | (?<=`)[^`]*`
    | (?<=')(?<!\w')[^']*(?:''[^']*)*'
    | (?<=[0-9])(?<![\w$.][0-9])[0-9]*(?:\.[0-9]+)?(?![\w.])
    )""",
    re.VERBOSE,
)
# What can shift a quote or hide one, where it stands outside the literals found: comments, dollar
# quotes, and quotes that belong to no literal found (E'', N'', U&'').
_SLOW = re.compile(r"--|/\*|\$[^\d]|'")
_SLOW_MYSQL = re.compile(_SLOW.pattern + "|#")
_HEAD = re.compile(r"(?:\s*(?:--[^\n]*\n|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/))*\s*")
_TRAILING = "; \t\r\n"
_WRAPPING = re.compile(
    r"(?:declare\s+\w+\s+(?:(?:binary|asensitive|insensitive|no|scroll)\s+)*cursor\s+"
    r"(?:with(?:out)?\s+hold\s+)?for\s+"
    r"|explain\s+(?:\([\w\s,]*\)\s*(?=select|with)|(?:analyze\s+|verbose\s+)*(?=select|with))"
    r"|prepare\s+\w+\s*(?:\([\w\s,()]*\))?\s+as\s+)",
    re.IGNORECASE,
)
_PLAIN_STRING = re.compile(r"'[^\\'\x00-\x1f\x7f]*'\Z")
_DECIMAL = re.compile(r"\d+\.\d+\Z", re.ASCII)
_INTEGER_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Cut:
    """A statement as `head + between[0] + literals[0] + between[1] + ... + tail`.

    `head` holds leading comments and what wraps a query (`DECLARE c CURSOR FOR`), `tail` semicolons
    and a trailing comment. Statements of one `key` differ only in head, tail, literals and white
    space. `classes` has one letter a literal: `s` string, `p` string with %, `e` string with a
    quote, an escape or a control character in it, `i` integer, `d` decimal, `f` any other form,
    which no marker can stand for.
    """

    head: str
    between: tuple[str, ...]
    literals: tuple[str, ...]
    classes: str
    tail: str
    key: str

    @property
    def body(self) -> str:
        """The statement without head and tail."""
        return self.filled(self.literals)

    def filled(self, literals: tuple[str, ...] | list[str]) -> str:
        """The body with other literals in place of its own."""
        parts = [self.between[0]]
        for literal, text in zip(literals, self.between[1:], strict=True):
            parts += (literal, text)
        return "".join(parts)


def cut(sql: str, *, dialect: str) -> Cut:
    """Cut one statement's text; never fails, whatever the text."""
    head, body, tail = _trim(sql)
    between, literals = _taken(body, _matched(body))
    slow = _is_slow(body, between, dialect)
    if slow:
        between, literals = _taken(body, _scanned(body, dialect))
    classes = "".join(map(_class_of, literals))
    # Signs stay outside the literals, so a shape that hides them needs them beside it.
    key = (
        "\n".join((shape(body, dialect=dialect), *(text[-1:] for text in between)))
        if slow
        else "?".join(between)
    )
    return Cut(head, tuple(between), tuple(literals), classes, tail, f"{classes}\n{key}")


def _is_slow(body: str, between: list[str], dialect: str) -> bool:
    if dialect == "mysql":
        return "\\" in body or '"' in body or _SLOW_MYSQL.search("?".join(between)) is not None
    return "\\" in body or "`" in body or _SLOW.search("?".join(between)) is not None


def _taken(body: str, spans: list[tuple[int, int]]) -> tuple[list[str], list[str]]:
    between: list[str] = []
    literals: list[str] = []
    at = 0
    for start, stop in spans:
        between.append(body[at:start])
        literals.append(body[start:stop])
        at = stop
    between.append(body[at:])
    return between, literals


def _trim(sql: str) -> tuple[str, str, str]:
    found = _HEAD.match(sql)
    assert found is not None, "the pattern matches nothing at all too"
    start = found.end()
    wrapping = _WRAPPING.match(sql, start)
    if wrapping:
        start = wrapping.end()
    stop = len(sql)
    stop = len(sql.rstrip(_TRAILING))
    if sql[:stop].endswith("*/"):
        begin = sql.rfind("/*", start, stop)
        # An inner end means nested comments, which are left to the exact scan.
        if begin >= 0 and "*/" not in sql[begin : stop - 2]:
            stop = len(sql[:begin].rstrip(_TRAILING))
    stop = max(start, stop)
    return sql[:start], sql[start:stop], sql[stop:]


def _matched(body: str) -> list[tuple[int, int]]:
    return [found.span() for found in _QUICK.finditer(body) if body[found.start()] not in '"`']


def _scanned(body: str, dialect: str) -> list[tuple[int, int]]:
    spans = []
    for literal in normalise(body, dialect=dialect).literals:
        unsigned = literal.text.lstrip("+- \t\r\n") if literal.kind == "number" else literal.text
        spans.append((literal.end - len(unsigned), literal.end))
    return spans


def _class_of(literal: str) -> str:
    if literal.isdecimal() and literal.isascii() and len(literal) <= _INTEGER_DIGITS:
        return "i"
    if literal[0] == "'":
        if not _PLAIN_STRING.match(literal):
            return "e"
        # Where a dialect interprets formats, a text without % hides that it does.
        return "p" if "%" in literal else "s"
    if _DECIMAL.match(literal):
        return "d"
    return "e" if literal[0] in 'eE"$' else "f"
