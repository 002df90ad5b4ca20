"""Every value replaced by its pseudonym; comments go, structure and names stay.

Where a literal belongs to the structure, or to a statement that defines or sets something, it stays
but for secrets.
"""

from __future__ import annotations

from replay.capture.literal_role import Role, Roles
from replay.capture.pseudonym import UNIT, Pseudonyms
from replay.capture.rewriter import Rewriter
from replay.capture.secret_masking import SecretMasking
from replay.capture.secret_text import MASK
from replay.capture.statement_literals import value_places
from replay.capture.string_literal import StringLiteral, string_literal
from replay.template import Token

_DEEPEST = 4
"""Strings in strings are looked into so far; deeper ones are masked whole."""


class LiteralMasking:
    """Gives values their pseudonyms; `rewriter` does so to statements."""

    def __init__(self, pseudonyms: Pseudonyms, *, dialect: str) -> None:
        self._pseudonyms = pseudonyms
        self._secrets = SecretMasking(dialect=dialect)
        self._dialect = dialect
        self._depth = 0
        self.rewriter = Rewriter(self, dialect=dialect, default=Role.VALUE)

    def judge(self, tokens: list[Token]) -> Roles:
        """Which literals are values."""
        return value_places(tokens)

    def between(self, text: str) -> str:
        """White space without the comments in it; a line's end stays one.

        A line's end between two strings makes one of them (PostgreSQL manual, 4.1.2.1).
        """
        if not text.strip():
            return text
        return "\n" if "\n" in text else " "

    def literal(self, text: str, role: Role) -> str:
        """A literal's pseudonym, in the same form."""
        if role < Role.VALUE:
            return self._secrets.literal(text, role)
        if text[-1] not in "'\"$":
            return self._pseudonyms.of_number(text)
        literal = string_literal(text, dialect=self._dialect)
        value = self._value(literal, role)
        return text if value == literal.value else literal.with_value(value)

    def param(self, value: str, role: Role) -> str:
        """A bind value's pseudonym."""
        if role < Role.VALUE:
            return self._secrets.param(value, role)
        if role == Role.UNIT and UNIT.fullmatch(value):
            return value
        of = self._pseudonyms.of_pattern if role == Role.PATTERN else self._pseudonyms.of_string
        return of(value)

    def _value(self, literal: StringLiteral, role: Role) -> str:
        prefix = literal.opens[:-1].lower()
        if prefix == "b":
            return self._pseudonyms.of_bits(literal.value)
        if prefix == "x":
            return self._pseudonyms.of_hex(literal.value)
        return self._code(literal.value) if role == Role.CODE else self.param(literal.value, role)

    def _code(self, sql: str) -> str:
        if self._depth == _DEEPEST:
            return MASK
        self._depth += 1
        try:
            return self.rewriter.rewrite(sql)[0]
        finally:
            self._depth -= 1
