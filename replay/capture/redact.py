"""What must not reach a workload: secrets by default, every literal on request.

Redaction changes no template: literals become literals, comments stay comments or go. Only a
statement whose quotes are not paired is cut short, because its literals cannot be told.
"""

from __future__ import annotations

import os
import secrets
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.capture.blocks import mask
from replay.capture.literal_masking import LiteralMasking
from replay.capture.pseudonym import Pseudonyms
from replay.capture.record import Bools, Ints
from replay.capture.rewriter import Rewriter
from replay.capture.secret_masking import SecretMasking
from replay.capture.secret_text import SUSPECT
from replay.errors import UsageError

MODES = ("none", "secrets", "literals")
KEY_VARIABLE = "FOURSTEP_REDACTION_KEY"
_LEAST_KEY_CHARACTERS = 16


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
        self._rewriter: Rewriter | None = None
        if mode == "secrets":
            self._rewriter = SecretMasking(dialect=dialect).rewriter
        elif mode == "literals":
            self._rewriter = LiteralMasking(Pseudonyms(_key()), dialect=dialect).rewriter

    def redact(self, statements: pa.Table) -> pa.Table:
        """The statements without what the mode takes out of `sql` and `params`."""
        if self._rewriter is None or not len(statements):
            return statements
        sql = statements["sql"].combine_chunks()
        params = statements["params"].combine_chunks()
        rows = np.arange(len(statements))
        if self.mode == "secrets":
            rows = np.flatnonzero(_suspects(sql, params))
            if not len(rows):
                return statements
        chosen = pa.array(rows)
        new_sql, new_params = [], []
        for text, values in zip(
            sql.take(chosen).to_pylist(), params.take(chosen).to_pylist(), strict=True
        ):
            text, values = self._rewritten(text, values)
            new_sql.append(text)
            new_params.append(values)
        for name, column, new in (("sql", sql, new_sql), ("params", params, new_params)):
            replaced = _put(column, rows, pa.array(new, type=column.type))
            at = statements.schema.get_field_index(name)
            statements = statements.set_column(at, statements.schema.field(at), replaced)
        return statements

    def _rewritten(
        self, sql: str | None, params: list[str | None] | None
    ) -> tuple[str | None, list[str | None] | None]:
        assert self._rewriter is not None
        new_sql, new_params = self._rewriter.rewrite(sql or "", params or ())
        return (None if sql is None else new_sql), (None if params is None else new_params)


def _suspects(sql: pa.StringArray, params: pa.ListArray) -> Bools:
    """Which statements may hold a secret, in their text or in their bind values."""
    found = mask(pc.match_substring_regex(sql, SUSPECT, ignore_case=True))
    if params.null_count < len(params):
        values = mask(pc.match_substring_regex(params.flatten(), SUSPECT, ignore_case=True))
        owners = pc.list_parent_indices(params).to_numpy()
        found[owners[values]] = True
    return found


def _put(column: pa.Array, rows: Ints, new: pa.Array) -> pa.Array:
    """The column with other values in some rows."""
    if len(rows) == len(column):
        return new
    places = np.arange(len(column))
    places[rows] = len(column) + np.arange(len(rows))
    return pa.concat_arrays([column, new]).take(pa.array(places))


def _key() -> bytes:
    given = os.environ.get(KEY_VARIABLE, "")
    if not given:
        return secrets.token_bytes(32)
    if len(given) < _LEAST_KEY_CHARACTERS:
        raise UsageError(
            f"{KEY_VARIABLE} is shorter than {_LEAST_KEY_CHARACTERS} characters",
            hint="whoever guesses it can tell values from their pseudonyms; "
            "make one with `openssl rand -hex 32`",
        )
    return blake2b(given.encode("utf-8", "surrogateescape"), digest_size=32).digest()
