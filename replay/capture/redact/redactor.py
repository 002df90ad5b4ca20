"""What must not reach a workload, taken out of statements and their bind values.

Redaction changes no template: literals become literals, and comments that may hold something go.
Only a statement whose quotes are not paired is cut short, because its literals cannot be told.
"""

from __future__ import annotations

import os
import re
import secrets

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.record import Bools
from replay.capture.redact import secret_text
from replay.capture.redact.pseudonym import HEX, Pseudonyms
from replay.capture.redact.roles import LITERALS, Role, roles_of
from replay.capture.redact.secret_text import MASK, SUSPECT
from replay.errors import UsageError
from replay.template import BACKSLASHED, Token, scan

MODES = ("none", "secrets", "literals")
KEY_VARIABLE = "FOURSTEP_REDACTION_KEY"
_LEAST_KEY_CHARACTERS = 16
_MOST_KNOWN = 50_000
_OPEN = f"'{MASK}"
"""Ends a statement whose quotes are not paired: neither server nor scanner can tell in it what is
a literal. The server refuses it as it did the original."""
_CONTINUES = frozenset(
    "and or as then when else end from where union order group limit is in not like between on "
    "having asc desc returning escape for using into values".split()
)
"""Words that may follow a string's quote without a space."""
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "%": "\\%", "_": "\\_"}
_Params = list[str | None] | None


class Redactor:
    """Redacts statements; the same literal always gets the same replacement in one capture.

    Two captures agree where both have the same key in the environment's FOURSTEP_REDACTION_KEY;
    else each makes its own, which is never written.

    Raises:
        UsageError: there is no such mode, or the key is too short.
    """

    def __init__(self, mode: str, *, dialect: str) -> None:
        if mode not in MODES:
            raise UsageError(f"`--redact {mode}`: choose one of {', '.join(MODES)}")
        self.mode = mode
        self._dialect = dialect
        self._pseudonyms = Pseudonyms(_key()) if mode == "literals" else None
        self._known: dict[str, dict[int, Role]] = {}

    def redact(self, statements: pa.Table) -> pa.Table:
        """The statements without what the mode takes out of `sql` and `params`."""
        sql, params = (statements[name].combine_chunks() for name in ("sql", "params"))
        hit = np.full(len(sql), self.mode == "literals")
        if self.mode == "secrets":
            hit = _suspects(sql, params)
        if not hit.any():
            return statements
        texts, values = (column.filter(pa.array(hit)).to_pylist() for column in (sql, params))
        new = zip(*map(self._rewritten, texts, values), strict=True)
        places = np.arange(len(hit))
        places[hit] = len(hit) + np.arange(len(texts))
        for name, column, some in zip(("sql", "params"), (sql, params), new, strict=True):
            both = pa.concat_arrays([column, pa.array(some, type=column.type)])
            at = statements.schema.get_field_index(name)
            statements = statements.set_column(at, statements.field(at), both.take(places))
        return statements

    def _rewritten(self, sql: str | None, params: _Params) -> tuple[str | None, _Params]:
        tokens = scan(sql or "", self._dialect)
        roles = self._roles(tokens)
        of: dict[int, Role] = {}
        for count, place in enumerate(
            n for n, token in enumerate(tokens) if token.kind == "marker"
        ):
            text = tokens[place].text
            number = count if text == "?" else int(text[1:]) - 1
            of[number] = max(roles[place], of.get(number, Role.KEEP))
        default = Role.VALUE if self._pseudonyms else Role.KEEP
        values = [
            None if value is None else self._value(value, of.get(number, default))
            for number, value in enumerate(params or ())
        ]
        return sql and self._text(sql, tokens, roles), params and values

    def _text(self, sql: str, tokens: list[Token], roles: dict[int, Role]) -> str:
        pieces, at = [], 0
        broken = _misquoted(tokens)
        for place, token in enumerate(tokens[:broken]):
            literal = token.kind in LITERALS
            pieces.append(self._between(sql[at : token.start]))
            pieces.append(self._literal(token.text, roles[place]) if literal else token.text)
            at = token.end
        if broken is not None:
            return "".join([*pieces, self._between(sql[at : tokens[broken].start]), _OPEN])
        return "".join([*pieces, self._between(sql[at:])])

    def _roles(self, tokens: list[Token]) -> dict[int, Role]:
        """Roles hang on all but literals, and on those literals that may name a secret."""
        key = "\0".join(
            token.text
            if token.kind not in LITERALS or secret_text.NAME.match(token.text)
            else token.kind
            for token in tokens
        )
        if key not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = roles_of(tokens, values=self._pseudonyms is not None)
        return self._known[key]

    def _between(self, text: str) -> str:
        """What stands between tokens, without comments that may hold something.

        A line's end stays one: it may make two strings one (PostgreSQL manual, 4.1.2.1).
        """
        if not text.strip() or not (self._pseudonyms or SUSPECT.search(text)):
            return text
        return "\n" if "\n" in text else " "

    def _literal(self, text: str, role: Role) -> str:
        quote, values = text[-1], self._pseudonyms if role == Role.VALUE else None
        if quote not in "'\"$":
            return values.of_string(text) if values else text
        if role == Role.KEEP and not SUSPECT.search(text):
            return text
        opens = text[: text.index(quote, quote == "$") + 1]
        closes = opens if quote == "$" else quote
        body, prefix = text[len(opens) : -len(closes)], opens[:-1].lower()
        if values:
            # As it is written: quotes and escapes stay where they are.
            digits = {"b": "01", "x": HEX}.get(prefix)
            new = values.of_digits(body, digits) if digits else values.of_string(body)
            return opens + new + closes
        if quote == "$":
            return opens + self._value(body, role, code=True) + closes
        escapes = prefix == "e" or (not prefix and self._dialect in BACKSLASHED)
        value = body.replace(quote * 2, quote)
        if escapes and "\\" in body:
            value = re.sub(
                rf"\\(.)|{quote * 2}",
                lambda found: _CONTROLS.get(found[1], found[1]) if found[1] else quote,
                body,
                flags=re.DOTALL,
            )
        new = self._value(value, role)
        if new == value:
            return text
        new = new.replace("\\", "\\\\") if escapes else new
        return opens + new.replace(quote, quote * 2) + closes

    def _value(self, value: str, role: Role, *, code: bool = False) -> str:
        if role == Role.CODE:
            try:
                return self._rewritten(value, None)[0] or ""
            except RecursionError:
                return MASK
        if self._pseudonyms and role == Role.VALUE:
            return self._pseudonyms.of_string(value)
        if role != Role.KEEP:
            return secret_text.mask_secret(value)
        return secret_text.masked(value, code=code) if SUSPECT.search(value) else value


def _suspects(sql: pa.StringArray, params: pa.ListArray) -> Bools:
    """Which statements may hold a secret, in their text or in their bind values."""
    found = mask(pc.match_substring_regex(sql, SUSPECT.pattern, ignore_case=True))
    if params.null_count < len(params):
        values = mask(pc.match_substring_regex(params.flatten(), SUSPECT.pattern, ignore_case=True))
        found[pc.list_parent_indices(params).to_numpy()[values]] = True
    return found


def _key() -> bytes:
    key = os.environ.get(KEY_VARIABLE, "").encode("utf-8", "surrogateescape")
    if key and len(key) < _LEAST_KEY_CHARACTERS:
        raise UsageError(
            f"{KEY_VARIABLE} is shorter than {_LEAST_KEY_CHARACTERS} characters",
            hint="whoever guesses it can tell values from their pseudonyms; "
            "make one with `openssl rand -hex 32`",
        )
    return key or secrets.token_bytes(32)


def _misquoted(tokens: list[Token]) -> int | None:
    """The first string of a statement whose quotes are not paired, as in `'O'Brien'`.

    One knows by a stray sign, or by what follows a closing quote without a space.
    """
    first, ended = None, -1
    for place, token in enumerate(tokens):
        stray = token.kind == "operator" and token.text in ("'", '"', "$", "\\")
        glued = ended == token.start and (
            token.text.lower() not in _CONTINUES
            if token.kind == "word"
            else token.kind in LITERALS and token.text[0] != "'"
        )
        if stray or glued:
            return place if first is None else first
        if token.kind == "string" and token.text[0] != "$":
            first, ended = place if first is None else first, token.end
    return None
