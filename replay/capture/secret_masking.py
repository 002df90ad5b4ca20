"""Secrets masked, wherever in a statement they are; all else stays as it is."""

from __future__ import annotations

from replay.capture.literal_role import Role, Roles
from replay.capture.rewriter import Rewriter
from replay.capture.secret_places import secret_places
from replay.capture.secret_text import (
    MASK,
    is_algorithm,
    is_arn,
    is_code,
    is_ordinary_value,
    masked,
    masked_comment,
    suspect,
)
from replay.capture.string_literal import string_literal
from replay.template import Token

_DEEPEST = 4
"""Strings in strings are looked into so far; deeper ones are masked whole."""


class SecretMasking:
    """Masks what is secret by its place or by its look; `rewriter` does so to statements."""

    def __init__(self, *, dialect: str) -> None:
        self._dialect = dialect
        self._depth = 0
        self.rewriter = Rewriter(self, dialect=dialect, default=Role.KEPT)

    def judge(self, tokens: list[Token]) -> Roles:
        """The roles of what may be secret."""
        return secret_places(tokens)

    def between(self, text: str) -> str:
        """Comments without the secrets in them."""
        return masked_comment(text)

    def literal(self, text: str, role: Role) -> str:
        """A string without its secrets; numbers stay."""
        if text[-1] not in "'\"$" or (role == Role.KEPT and not suspect(text)):
            return text
        literal = string_literal(text, dialect=self._dialect)
        if role == Role.KEPT and text[0] == "$":
            value = masked(self._code(literal.value), code=True)
        else:
            value = self.param(literal.value, role)
        return text if value == literal.value else literal.with_value(value)

    def param(self, value: str, role: Role) -> str:
        """A value without its secrets."""
        if role == Role.KEPT:
            if not suspect(value):
                return value
            return masked(self._code(value) if is_code(value) else value)
        if not value or is_arn(value) or (role == Role.GUARDED and is_ordinary_value(value)):
            return value
        return value if role == Role.NESTED and is_algorithm(value) else MASK

    def _code(self, sql: str) -> str:
        if self._depth == _DEEPEST:
            return MASK
        self._depth += 1
        try:
            return self.rewriter.rewrite(sql)[0]
        finally:
            self._depth -= 1
