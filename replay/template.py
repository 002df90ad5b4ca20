"""From a statement's text to its template: the statement with its literals taken out.

Texts that differ only in literals, white space, comments, letter case of words or length of IN
lists have one template. Template ids outlive the program that made them: golden tests hold them.

The scanner knows PostgreSQL, Redshift and, when told, MySQL quoting. It never fails: text that no
grammar accepts still has a template.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(
    r"""
      (?P<space>\s+|--[^\n]*)
    | (?P<comment>/\*)
    | (?P<string>(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*')
    | (?P<escaped>[eE]'(?:[^'\\]|''|\\.)*')
    | (?P<dollar>\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)
    | (?P<marker>\$\d+|\?)
    | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`)
    | (?P<number>0[xX][0-9a-fA-F]+|(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<operator>::|<=|>=|<>|!=|\|\||.)
    """,
    re.VERBOSE | re.DOTALL,
)
# Strings in which a backslash escapes: MySQL's, in either quote, and Redshift's.
BACKSLASHED = {
    "mysql": re.compile(r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"", re.DOTALL),
    "redshift": re.compile(r"'(?:[^'\\]|''|\\.)*'", re.DOTALL),
}
_COMMENT_EDGE = re.compile(r"/\*|\*/")

_TIGHT_AFTER = frozenset("( . [ ::".split())
_TIGHT_BEFORE = frozenset(", ) . [ ] ; ::".split())
_SPACED_BEFORE_PARENTHESIS = frozenset(
    "all and any as between by case distinct else except exists filter from having in intersect is "
    "join like ilike limit not offset on or over partition select set then union using values when "
    "where with".split()
)
_UNARY_AFTER = _SPACED_BEFORE_PARENTHESIS | frozenset("( , = < > <= >= <> != + - * / % ||".split())

FOLDED_LIST = "..."


@dataclass(frozen=True, slots=True)
class Literal:
    """One literal of a statement: `text` is `sql[start:end]`, quotes and sign included."""

    start: int
    end: int
    text: str
    kind: str
    """`string`, `number` or `marker`."""


@dataclass(frozen=True, slots=True)
class Normalised:
    """A statement taken apart: its template, the literals that were in its place, and markers."""

    template_id: str
    text: str
    literals: tuple[Literal, ...]
    markers: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a statement; comments and white space are none."""

    kind: str
    """`string`, `number`, `marker`, `quoted`, `word` or `operator`."""
    text: str
    start: int
    end: int


def normalise(sql: str, *, dialect: str = "postgres") -> Normalised:
    """Template and literals of one statement (or of several in one string)."""
    tokens = scan(sql, dialect)
    text = _join(_fold_lists(_spell(tokens)))
    spans = [Literal(token.start, token.end, token.text, token.kind) for token in tokens]
    return Normalised(
        template_id=template_id_of(text),
        text=text,
        literals=tuple(span for span in spans if span.kind in ("string", "number")),
        markers=tuple(span for span in spans if span.kind == "marker"),
    )


def has_markers(sql: str) -> bool:
    """Whether a statement has `$1` or its like outside literals and comments."""
    return any(marker.text != "?" for marker in normalise(sql).markers)


def shape(sql: str, *, dialect: str = "postgres") -> str:
    """The template's text with IN lists at their length: equal shapes have equal slots."""
    return _join(_spell(scan(sql, dialect)))


def template_id_of(text: str) -> str:
    """16 hex digits for a normalised text."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


# Each match begins with one of a few characters, which the regex engine finds fastest if they stand
# alone at the front; what may follow is told by looking back at them.
_QUICK = re.compile(
    r"""(["`'0-9](?:
      (?<=")[^"]*(?:""[^"]*)*"
    | (?<=`)[^`]*`
    | (?<=')(?<!\w')[^']*(?:''[^']*)*'
    | (?<=[0-9])(?<![\w$.][0-9])[0-9]*(?:\.[0-9]+)?(?![\w.])
    ))""",
    re.VERBOSE,
)
# What can shift a quote or hide one: comments, dollar quotes, and quotes that belong to nothing
# found (E'', N'', an open string).
_SLOW = re.compile(r"""--|/\*|\$[^\d]|['"`]""")
_LONG = 4_000
_is_slow = lru_cache(4_096)(_SLOW.search)
_HEAD = re.compile(r"(?:\s*(?:--[^\n]*\n|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/))*\s*")
_TRAILING = "; \t\r\n"


def split_quickly(sql: str, *, dialect: str) -> list[str] | None:
    """Text and literals in turn, text first and last; signs and rare forms of number stay text.

    None where one regular expression cannot tell and only `split_exactly` can.
    """
    parts = _QUICK.split(sql)
    between = "?".join(parts[::2])
    mysql = dialect == "mysql"
    escapes = dialect in BACKSLASHED and "\\" in sql
    # What stands between the literals is the same again and again, but long texts are data.
    slow = _is_slow(between) if len(between) < _LONG else _SLOW.search(between)
    if escapes or slow or (mysql and "#" in between):
        return None
    if "`" in sql or ('"' in sql and not mysql):
        kept = parts[:1]
        for found, text in zip(parts[1::2], parts[2::2], strict=True):
            if found[0] == "`" or (found[0] == '"' and not mysql):
                kept[-1] += found + text
            else:
                kept += (found, text)
        return kept
    return parts


def split_exactly(sql: str, *, dialect: str) -> list[str]:
    """Text and literals in turn, whatever the text; signs stay outside as in `split_quickly`."""
    parts, at = [], 0
    for literal in normalise(sql, dialect=dialect).literals:
        unsigned = literal.text.lstrip("+- \t\r\n") if literal.kind == "number" else literal.text
        start = literal.end - len(unsigned)
        parts += [sql[at:start], unsigned]
        at = literal.end
    return [*parts, sql[at:]]


def join_lists(parts: list[str]) -> tuple[list[str], tuple[tuple[int, int], ...]]:
    """Text and literals in turn with lists of literals as one; index and length of each list."""
    joined, lists, done, at = list[str](), list[tuple[int, int]](), 0, 2
    while at < len(parts) - 1:
        if parts[at] in (", ", ","):
            start = at - 1
            while at < len(parts) - 1 and parts[at] in (", ", ","):
                at += 2
            joined += parts[done:start]
            lists.append((len(joined), (at - start + 1) // 2))
            joined.append("".join(parts[start:at]))
            done = at
        at += 2
    return joined + parts[done:], tuple(lists)


def trim(sql: str) -> tuple[int, int]:
    """`(start, stop)` of a statement within its comments before and after, and semicolons."""
    found = _HEAD.match(sql)
    assert found is not None, "the pattern matches nothing at all too"
    start, stop = found.end(), len(sql.rstrip(_TRAILING))
    if sql.endswith("*/", start, stop):
        begin = sql.rfind("/*", start, stop)
        # An inner end means nested comments, which are left to the exact scan.
        if begin >= 0 and "*/" not in sql[begin : stop - 2]:
            stop = len(sql[:begin].rstrip(_TRAILING))
    return start, max(start, stop)


def scan(sql: str, dialect: str) -> list[Token]:
    """The tokens of a text; semicolons at its end are left out."""
    tokens: list[Token] = []
    position, end = 0, len(sql)
    mysql, backslashed = dialect == "mysql", BACKSLASHED.get(dialect)
    while position < end:
        string = backslashed.match(sql, position) if backslashed else None
        found = string or _TOKEN.match(sql, position)
        assert found is not None, "the operator alternative takes any character"
        kind = "string" if string else str(found.lastgroup)
        stop = found.end()
        if kind == "comment":
            stop = _comment_end(sql, position)
        elif mysql and sql[position] == "#":
            newline = sql.find("\n", position)
            stop = end if newline < 0 else newline
        elif kind != "space":
            tokens.append(_token(sql, kind, position, stop))
            _take_sign(tokens, sql)
        position = stop
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    return tokens


def _token(sql: str, kind: str, start: int, stop: int) -> Token:
    if kind in ("escaped", "dollar", "tag"):
        kind = "string"
    return Token(kind, sql[start:stop], start, stop)


def _take_sign(tokens: list[Token], sql: str) -> None:
    """Make `-` part of the number behind it where it cannot be a subtraction."""
    if tokens[-1].kind != "number" or len(tokens) < 2 or tokens[-2].text not in ("-", "+"):
        return
    before = tokens[-3].text.lower() if len(tokens) > 2 else "("
    if before in _UNARY_AFTER:
        number = tokens.pop()
        sign = tokens.pop()
        tokens.append(Token("number", sql[sign.start : number.end], sign.start, number.end))


def _comment_end(sql: str, start: int) -> int:
    """Where a block comment ends; PostgreSQL nests them. An open one runs to the end."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)


def _spell(tokens: list[Token]) -> list[str]:
    return [
        "?"
        if token.kind in ("string", "number")
        else token.text.lower()
        if token.kind == "word"
        else token.text
        for token in tokens
    ]


def _fold_lists(words: list[str]) -> list[str]:
    folded: list[str] = []
    index = 0
    while index < len(words):
        folded.append(words[index])
        if words[index] == "in" and index + 2 < len(words) and words[index + 1] == "(":
            close = index + 2
            while close < len(words) and (words[close] in "?," or words[close].startswith("$")):
                close += 1
            if close > index + 2 and close < len(words) and words[close] == ")":
                folded += ["(", FOLDED_LIST, ")"]
                index = close
        index += 1
    return folded


def _join(words: list[str]) -> str:
    parts: list[str] = []
    before = ""
    for word in words:
        tight = (
            not before
            or before in _TIGHT_AFTER
            or word in _TIGHT_BEFORE
            or (
                word == "("
                and before not in _SPACED_BEFORE_PARENTHESIS
                and (before[-1].isalnum() or before[-1] in '_"`')
            )
        )
        parts.append(word if tight else " " + word)
        before = word
    return "".join(parts)
