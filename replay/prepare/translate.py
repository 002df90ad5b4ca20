"""Statements from 1.0's dialect and places to 2.0's, once per shape, with their own literals.

A shape's first statement is translated twice: as it is, and with a marker for each literal. Where
putting the literals back into the marked translation gives the first one exactly, the translation
serves every statement of the shape. A slot that the generator interprets (the unit of date_trunc,
a format, an interval) breaks that equality; its value then becomes part of the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.errors import UnsupportedError as GeneratorError
from sqlglot.tokenizer_core import TokenType

from replay.prepare.cut import Cut, cut
from replay.prepare.limits import first_word, passes_as_it_is, refuse_unsupported
from replay.prepare.unsupported import UnsupportedError
from replay.template import normalise

Relocate = Callable[[exp.Expr], bool]
"""Moves a parsed statement to its new places; True when it changed anything."""

_MARKER = re.compile(r"'fsq(\d{5})q'|(?<![\w.])77(\d{5})077(?:\.5)?(?![\w.])")
_BIND = re.compile(r"(?<![\w.])78(\d{5})078(?![\w.])")
_MAX_SLOTS = 100_000
_REMEMBERED = 20_000
_CLASS = re.compile(r"<class '(?:\w+\.)*(\w+)'>")
_UNNUMBERED_BINDS = frozenset({"mysql"})
_KEYWORD = re.compile(r"[A-Za-z_]{1,30}\Z")


@dataclass(frozen=True, slots=True)
class Translation:
    """The translated text of a shape: `pieces` around `slots`, or why there is none.

    A slot may occur twice, or not at all: then its number is in `dropped`.
    """

    pieces: tuple[str, ...] = ()
    slots: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    changed: bool = False
    reason: str | None = None

    def render(self, literals: Sequence[str]) -> str:
        """The translated body with these literals of the target's dialect."""
        parts = [self.pieces[0]]
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            parts += (literals[slot], piece)
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class Translated:
    """One statement's outcome: its text on 2.0 and, where it has none, the reason."""

    sql: str
    changed: bool
    reason: str | None = None
    note: str | None = None


@dataclass(slots=True)
class _Shape:
    fixed: tuple[int, ...]
    translations: dict[tuple[str, ...], Translation] = field(default_factory=dict)


class Translator:
    """Translates statement after statement, remembering each shape.

    `relocate` moves tables and columns; `concerns` tells from the text whether it can matter, so
    that text of the target's own dialect is not even parsed without need.
    """

    def __init__(
        self,
        *,
        read: str,
        write: str,
        relocate: Relocate | None = None,
        concerns: Callable[[str], bool] | None = None,
    ) -> None:
        self._read = read
        self._write = write
        self._relocate = relocate
        self._concerns = concerns or (lambda _sql: relocate is not None)
        self._shapes: dict[str, _Shape] = {}
        self._remembered: dict[str, Translated] = {}
        self.parses = 0
        """How often a text was parsed: a measure of how well shapes are shared."""

    def translate(self, sql: str) -> Translated:
        """One statement for the target; text that cannot be carried over is returned as it was."""
        if self._read == self._write and not self._concerns(sql):
            return Translated(sql, changed=False)
        known = self._remembered.get(sql)
        if known is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            known = self._remembered[sql] = self._translate(sql)
        return known

    def literals(self, statement: Cut) -> list[str]:
        """The statement's literals as the target writes them."""
        if self._read == self._write:
            return list(statement.literals)
        return [
            literal_in(literal, self._read, self._write) if kind == "e" else literal
            for literal, kind in zip(statement.literals, statement.classes, strict=True)
        ]

    def _translate(self, sql: str) -> Translated:
        statement = cut(sql, dialect=self._read)
        found = self._shapes.get(statement.key)
        if found is None:
            fixed = tuple(i for i, kind in enumerate(statement.classes) if kind == "f")
            found = self._shapes[statement.key] = _Shape(fixed)
        values = tuple(statement.literals[slot] for slot in found.fixed)
        translation = found.translations.get(values)
        if translation is None:
            fixed, translation = self._learn(statement, found.fixed)
            if fixed != found.fixed:
                found.fixed = fixed
                found.translations = {}
                values = tuple(statement.literals[slot] for slot in fixed)
            found.translations[values] = translation
        return self._outcome(sql, statement, translation)

    def _outcome(self, sql: str, statement: Cut, translation: Translation) -> Translated:
        if translation.reason is not None:
            return Translated(sql, changed=False, reason=translation.reason)
        if not translation.changed:
            return Translated(sql, changed=False)
        text = translation.render(self.literals(statement))
        note = None
        if translation.dropped:
            slots = ", ".join(str(slot + 1) for slot in translation.dropped)
            note = f"literal {slots} has no place in the translation"
        return Translated(f"{statement.head}{text}{statement.tail}", changed=True, note=note)

    def _learn(self, statement: Cut, fixed: tuple[int, ...]) -> tuple[tuple[int, ...], Translation]:
        try:
            exact, changed = self._rewrite(statement.body)
        except UnsupportedError as error:
            reason = self._reason(statement, str(error))
            if reason is None:
                every = tuple(range(len(statement.literals)))
                return every, Translation(reason="a literal's value has no translation")
            return fixed, Translation(reason=reason)
        if not changed or self._same(statement.body, exact):
            return fixed, Translation(pieces=(exact,))
        slots = [slot for slot in range(len(statement.literals)) if slot not in set(fixed)]
        if len(statement.literals) >= _MAX_SLOTS or _MARKER.search(statement.body):
            slots = []
        translation = self._marked(statement, exact, slots)
        if translation is None:
            fixed = (*fixed, *self._fixed(statement, exact, slots))
            free = [slot for slot in slots if slot not in set(fixed)]
            translation = self._marked(statement, exact, free)
        if translation is None or not slots:
            return tuple(range(len(statement.literals))), Translation((exact,), changed=True)
        return tuple(sorted(fixed)), translation

    def _fixed(self, statement: Cut, exact: str, slots: list[int]) -> list[int]:
        """Those of `slots` whose value decides about more than its own place, by halving.

        `slots` are known to hold at least one.
        """
        if len(slots) < 2:
            return slots
        middle = len(slots) // 2
        return [
            slot
            for half in (slots[:middle], slots[middle:])
            if self._marked(statement, exact, half) is None
            for slot in self._fixed(statement, exact, half)
        ]

    def _marked(self, statement: Cut, exact: str, slots: list[int]) -> Translation | None:
        """The translation with `slots` open, or None where it would not reproduce `exact`."""
        if not slots:
            return Translation((exact,), changed=True)
        literals = list(statement.literals)
        for slot in slots:
            literals[slot] = _marker(slot, statement.classes[slot])
        try:
            text, _ = self._rewrite(statement.filled(literals))
        except UnsupportedError:
            return None
        found = list(_MARKER.finditer(text))
        edges = [0, *(edge for marker in found for edge in marker.span()), len(text)]
        pieces = tuple(
            text[start:stop] for start, stop in zip(edges[::2], edges[1::2], strict=True)
        )
        order = tuple(int(marker[1] or marker[2]) for marker in found)
        dropped = tuple(slot for slot in slots if slot not in set(order))
        translation = Translation(pieces, order, dropped, changed=True)
        return translation if translation.render(self.literals(statement)) == exact else None

    def _rewrite(self, sql: str) -> tuple[str, bool]:
        if passes_as_it_is(sql, read=self._read, write=self._write):
            return sql, False
        self.parses += 1
        sql, binds = _numbered_binds(sql, self._read) if self._read != self._write else (sql, 0)
        try:
            trees = [tree for tree in sqlglot.parse(sql, read=self._read) if tree is not None]
        except ParseError as error:
            raise UnsupportedError(_parse_reason(error)) from None
        except (SqlglotError, RecursionError):
            raise UnsupportedError("cannot be split into tokens") from None
        changed = self._read != self._write
        for tree in trees:
            if isinstance(tree, exp.Command):
                raise UnsupportedError(f"`{first_word(sql)}` is not understood")
            if self._relocate is not None:
                changed = self._relocate(tree) or changed
            if self._read != self._write:
                refuse_unsupported(tree, read=self._read, write=self._write)
        if not changed:
            return sql, False
        text = "; ".join(map(self._generate, trees))
        if binds:
            text = _BIND.sub(lambda found: f"${int(found[1]) + 1}", text)
        return text, True

    def _generate(self, tree: exp.Expr) -> str:
        try:
            return tree.sql(
                dialect=self._write,
                comments=False,
                unsupported_level=ErrorLevel.RAISE,
                max_unsupported=3,
            )
        except GeneratorError as error:
            raise UnsupportedError(_first_line(error)) from None
        except (SqlglotError, ValueError) as error:
            raise UnsupportedError(f"cannot be written: {type(error).__name__}") from None

    def _same(self, source: str, target: str) -> bool:
        """True when the translation differs in white space and letter case of words alone."""
        before = normalise(source, dialect=self._read)
        after = normalise(target, dialect=self._write)
        return before.text == after.text and [literal.text for literal in before.literals] == [
            literal.text for literal in after.literals
        ]

    def _reason(self, statement: Cut, reason: str) -> str | None:
        """The reason as the marked text gives it: a generator may quote a user's literal.

        None where the marked text does translate, so that only these values are to blame.
        """
        if not statement.literals:
            return reason
        literals = [_marker(slot, kind) for slot, kind in enumerate(statement.classes)]
        try:
            self._rewrite(statement.filled(literals))
        except UnsupportedError as error:
            return str(error)
        return None


@lru_cache(maxsize=10_000)
def literal_in(literal: str, read: str, write: str) -> str:
    """One literal in the target's quoting and escapes."""
    try:
        return str(sqlglot.parse_one(literal, read=read).sql(dialect=write))
    except SqlglotError:
        return literal


def _numbered_binds(sql: str, dialect: str) -> tuple[str, int]:
    """Numbers in place of `?`, so that each value keeps its place as `$1`, `$2`, ... on 2.0."""
    if dialect not in _UNNUMBERED_BINDS or "?" not in sql or _BIND.search(sql):
        return sql, 0
    try:
        tokens = sqlglot.tokenize(sql, read=dialect)
    except SqlglotError:
        return sql, 0
    binds = [token for token in tokens if token.token_type is TokenType.PLACEHOLDER]
    for number, token in reversed(list(enumerate(binds))):
        sql = f"{sql[: token.start]}78{number:05d}078{sql[token.end + 1 :]}"
    return sql, len(binds)


def _marker(slot: int, kind: str) -> str:
    if kind in "spe":
        return f"'fsq{slot:05d}q'"
    return f"77{slot:05d}077" + (".5" if kind == "d" else "")


def _parse_reason(error: ParseError) -> str:
    first = error.errors[0] if error.errors else {}
    description = _CLASS.sub(r"\1", str(first.get("description", ""))).strip(". ")
    word = str(first.get("highlight", ""))
    near = f" near `{word}`" if _KEYWORD.match(word) else ""
    return f"cannot be parsed{near}: {description.lower() or 'unexpected text'}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160]
