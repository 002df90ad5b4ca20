"""Statements from 1.0's dialect and places to 2.0's, once per shape, with their own literals.

A shape's first statement is translated twice: as it is, and with a marker for each literal. Where
putting the literals back into the marked translation gives the first one exactly, the translation
serves every statement of the shape. A slot that the generator interprets (the unit of date_trunc,
a format, an interval) breaks that equality; its value then becomes part of the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from replay.cut import Cut, bounds, cut, fill, members
from replay.pattern import pattern_of
from replay.prepare.catalog import Catalog
from replay.prepare.dialects import QuotingError, carry_over, literal_in
from replay.prepare.marker import LITERAL, MOST_SLOTS, literal_marker
from replay.prepare.override import Override
from replay.prepare.places import Places
from replay.prepare.relocate import relocate
from replay.prepare.stencil import Stencil
from replay.prepare.unsupported import UnsupportedError
from replay.template import normalise

_WORTH_A_STENCIL = 3
"""Uses of a translation: drawing its stencil costs as much as cutting some twenty statements."""
_MOST_REMEMBERED = 50_000
_STENCILS = 4
"""Of one template, which may have several shapes."""


@dataclass(frozen=True, slots=True)
class Translated:
    """One statement's outcome: its text on 2.0 and, where it has none, the reason."""

    sql: str
    changed: bool
    reason: str | None = None
    note: str | None = None


@dataclass(slots=True)
class _Translation:
    """A shape's body: text and literals in turn, `slots` tells whose; no parts where it stays.

    A slot may occur twice, or not at all, of which `note` speaks.
    """

    parts: tuple[str, ...] = ()
    slots: tuple[int, ...] = ()
    reason: str | None = None
    note: str | None = None
    uses: int = 0

    def render(self, literals: Sequence[str]) -> str:
        return fill(self.parts, [literals[slot] for slot in self.slots])


class Translator:
    """Translates statement after statement, remembering each shape."""

    def __init__(
        self,
        *,
        read: str,
        write: str,
        places: Places | None = None,
        catalog: Catalog | None = None,
    ) -> None:
        self._read = read
        self._write = write
        self._places = places
        self._catalog = catalog
        self._named = places.pattern() if places else None
        self._fixed: dict[str, tuple[int, ...]] = {}
        """The slots of a shape whose values decide about more than their own places."""
        self._translations: dict[tuple[str, tuple[str, ...]], _Translation] = {}
        """By shape and the values of its fixed slots."""
        self._stencils: dict[str, list[tuple[Stencil, _Translation]]] = {}
        """By template, the last drawn first."""
        self.parses = 0
        """How often a text was parsed: a measure of how well shapes are shared."""

    def translate(
        self, sql: str, override: Override | None = None, *, template_id: str = ""
    ) -> Translated:
        """One statement for the target; text that cannot be carried over is returned as it was.

        Statements of one `template_id` are looked up faster.
        """
        stays = self._read == self._write and not (self._named and self._named.search(sql))
        if stays and override is None:
            return Translated(sql, changed=False)
        start, stop = bounds(sql)
        stencils = self._stencils.setdefault(template_id, [])
        for stencil, known in stencils:
            body = stencil.apply(sql, start, stop)
            if body is not None:
                return _outcome(known, sql, sql[:start], body, sql[stop:])
        statement = cut(sql, dialect=self._read)
        known = self._overridden(statement, override) if override else self._known(statement)
        self._draw_stencil(stencils, statement, known)
        body = known.render(self._literals(statement)) if known.parts else ""
        return _outcome(known, sql, statement.head, body, statement.tail)

    def _draw_stencil(
        self, stencils: list[tuple[Stencil, _Translation]], statement: Cut, known: _Translation
    ) -> None:
        """Make the next statement of this shape cheap, if there has been a second one."""
        known.uses += 1
        if known.uses != _WORTH_A_STENCIL:
            return
        fixed = self._fixed.get(statement.key, ())
        if any(statement.classes[slot] == "e" for slot in known.slots):
            # `_literals` may have to write it otherwise.
            return
        pattern = pattern_of(statement, fixed=fixed, dialect=self._read)
        if pattern is not None:
            drawn = Stencil(pattern, fixed=fixed, parts=known.parts, slots=known.slots)
            del stencils[_STENCILS - 1 :]
            stencils.insert(0, (drawn, known))

    def _literals(self, statement: Cut) -> Sequence[str]:
        """The statement's literals as the target writes them."""
        translating = self._read != self._write
        if statement.classes.islower() and not (translating and "e" in statement.classes):
            return statement.literals
        written = []
        for literal, kind in zip(statement.literals, statement.classes, strict=True):
            # Lists as a generator spaces them.
            each = members(literal, dialect=self._read) if kind.isupper() else [literal]
            if translating and kind in "eE":
                each = [literal_in(one, read=self._read, write=self._write) for one in each]
            written.append(", ".join(each))
        return written

    def _overridden(self, statement: Cut, override: Override) -> _Translation:
        key = (f"{override.template_id}\0{statement.key}", ())
        if key not in self._translations:
            if max(override.slots, default=-1) < len(statement.classes):
                known = _Translation(override.parts, override.slots, note=override.note)
            else:
                reason = "the override's slots do not fit this statement's literals"
                known = _Translation(reason=reason)
            self._translations[key] = known
        return self._translations[key]

    def _known(self, statement: Cut) -> _Translation:
        key, literals = statement.key, statement.literals
        fixed = self._fixed.get(key)
        if fixed is None:
            fixed = tuple(slot for slot, kind in enumerate(statement.classes) if kind in "fF")
        known = self._translations.get((key, tuple(literals[slot] for slot in fixed)))
        if known is None:
            # Slots are only ever added, so that values of fewer slots are never taken for these.
            fixed, known = self._learn(statement, fixed)
            for memory in (self._fixed, self._translations):
                if len(memory) >= _MOST_REMEMBERED:
                    # Texts that no parser takes may each be a shape of their own.
                    memory.clear()
            self._fixed[key] = fixed
            self._translations[key, tuple(literals[slot] for slot in fixed)] = known
        return known

    def _learn(
        self, statement: Cut, fixed: tuple[int, ...]
    ) -> tuple[tuple[int, ...], _Translation]:
        every = tuple(range(len(statement.classes)))
        try:
            exact, changed = self._rewrite(statement.body)
        except UnsupportedError as error:
            try:
                self._rewrite(_marked(statement, every))
            except UnsupportedError as marked:
                return fixed, _Translation(reason=str(marked))
            quotes = isinstance(error, QuotingError)
            reason = "a literal's value has no translation" if quotes else str(error)
            return every, _Translation(reason=reason)
        if not changed:
            return fixed, _Translation()
        fixed, translation = self._opened(statement, exact, fixed, every)
        # What stays as it is with these values may not with others, so the slots are told first.
        return fixed, _Translation() if self._same(statement.body, exact) else translation

    def _opened(
        self, statement: Cut, exact: str, fixed: tuple[int, ...], every: tuple[int, ...]
    ) -> tuple[tuple[int, ...], _Translation]:
        """The slots whose values decide, and a translation with the others open."""
        if 0 < len(every) < MOST_SLOTS and not LITERAL.search(statement.body):
            slots = [slot for slot in every if slot not in fixed]
            translation, lost = self._open(statement, exact, slots)
            if translation is None and lost:
                # A marker that does not come out again as it was is what a generator interprets.
                slots = [slot for slot in slots if slot not in lost]
                translation, _ = self._open(statement, exact, slots)
            if translation is None:
                interpreted = self._interpreted(statement, exact, slots)
                slots = [slot for slot in slots if slot not in interpreted]
                translation, _ = self._open(statement, exact, slots)
            if translation is not None:
                return tuple(slot for slot in every if slot not in slots), translation
        return every, _Translation((exact,))

    def _interpreted(self, statement: Cut, exact: str, slots: list[int]) -> list[int]:
        """Those of `slots` whose value decides about more than its own place, by halving.

        `slots` are known to hold at least one.
        """
        if len(slots) < 2:
            return slots
        middle = len(slots) // 2
        return [
            slot
            for half in (slots[:middle], slots[middle:])
            if self._open(statement, exact, half)[0] is None
            for slot in self._interpreted(statement, exact, half)
        ]

    def _open(
        self, statement: Cut, exact: str, slots: Sequence[int]
    ) -> tuple[_Translation | None, Sequence[int]]:
        """The translation with `slots` open, or None where it would not reproduce `exact`.

        And those of `slots` whose markers are not in the text.
        """
        try:
            text, _ = self._rewrite(_marked(statement, slots))
        except UnsupportedError:
            return None, ()
        # The pattern has a group for strings and one for numbers: text, one, other, text, ...
        pieces = LITERAL.split(text)
        order = [int(a or b) for a, b in zip(pieces[1::3], pieces[2::3], strict=True)]
        parts = [part for piece in pieces[::3] for part in (piece, "")][:-1]
        lost = sorted(set(slots) - set(order))
        listed = ", ".join(str(slot + 1) for slot in lost)
        note = f"literal {listed} has no place in the translation" if lost else None
        translation = _Translation(tuple(parts), tuple(order), note=note)
        serves = translation.render(self._literals(statement)) == exact
        return translation if serves else None, lost

    def _rewrite(self, sql: str) -> tuple[str, bool]:
        """`(text, changed)` of one body, literals and all."""
        self.parses += 1
        return carry_over(sql, read=self._read, write=self._write, move=self._move)

    def _move(self, tree: exp.Expr) -> bool:
        return self._places is not None and relocate(tree, self._places, self._catalog)

    def _same(self, source: str, target: str) -> bool:
        """True when the translation differs in white space and letter case of words alone."""
        before = normalise(source, dialect=self._read)
        after = normalise(target, dialect=self._write)
        return before.text == after.text and [literal.text for literal in before.literals] == [
            literal.text for literal in after.literals
        ]


def _outcome(known: _Translation, sql: str, head: str, body: str, tail: str) -> Translated:
    if known.parts:
        return Translated(f"{head}{body}{tail}", True, note=known.note)
    return Translated(sql, changed=False, reason=known.reason)


def _marked(statement: Cut, slots: Sequence[int]) -> str:
    literals = list(statement.literals)
    for slot in slots:
        literals[slot] = literal_marker(slot, kind=statement.classes[slot].lower())
    return fill(statement.parts, literals)
