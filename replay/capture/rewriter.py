"""A statement with its literals replaced: found, judged once for all statements alike, spliced.

Most statements of a log differ in their literals only. Their text without them is the key under
which the roles of its places are remembered; what is left to do for each is a split, a look-up and
a replacement. Statements that a single expression cannot split are scanned one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from replay.capture.literal_role import Role, Roles
from replay.template import Token, scan, split_quickly, trim

_MOST_KEYS = 50_000
_OPEN = "'***"
"""Ends a statement whose quotes are not paired: neither server nor scanner can tell in it what is
a literal. The server refuses it as it did the original."""
# Words that may follow a string's quote without a space.
_CONTINUES = frozenset(
    "and or as then when else end from where union order group limit is in not like ilike between "
    "on having collate at asc desc returning escape for using into values".split()
)


class Treatment(Protocol):
    """What is done to the literals of a statement."""

    def judge(self, tokens: list[Token]) -> Roles:
        """The roles of a statement's literals and markers."""

    def literal(self, text: str, role: Role) -> str:
        """A literal, quotes included, as it may be written down."""

    def between(self, text: str) -> str:
        """What stands between two tokens, white space and comments, as it may be written down."""

    def param(self, value: str, role: Role) -> str:
        """A bind value as it may be written down."""


class _Plan(NamedTuple):
    """What to do to statements alike: literals by their number, and bind values by theirs."""

    literals: tuple[tuple[int, Role], ...]
    params: dict[int, Role]


class Rewriter:
    """Rewrites statements of one dialect."""

    def __init__(self, treatment: Treatment, *, dialect: str, default: Role) -> None:
        self._treatment = treatment
        self._dialect = dialect
        self._default = default
        self._plans: dict[str, _Plan | None] = {}

    def rewrite(self, sql: str, params: Sequence[str | None] = ()) -> tuple[str, list[str | None]]:
        """A statement and its bind values, redacted."""
        start, stop = trim(sql)
        body = sql[start:stop]
        parts = split_quickly(body, dialect=self._dialect)
        plan = None if parts is None else self._plan_of(body, parts)
        if parts is None or plan is None:
            return self._rewrite_exactly(sql, params)
        treatment = self._treatment
        for number, role in plan.literals:
            parts[2 * number + 1] = treatment.literal(parts[2 * number + 1], role)
        head, tail = treatment.between(sql[:start]), treatment.between(sql[stop:])
        return head + "".join(parts) + tail, self._params(params, plan.params)

    def _plan_of(self, body: str, parts: list[str]) -> _Plan | None:
        """None where literals cannot be told by their number, or roles hang on their values."""
        key = "\0".join(parts[::2])
        if key in self._plans:
            return self._plans[key]
        if len(self._plans) >= _MOST_KEYS:
            self._plans.clear()
        plan = self._plans[key] = self._planned(body, parts)
        return plan

    def _planned(self, body: str, parts: list[str]) -> _Plan | None:
        tokens = scan(body, self._dialect)
        roles = self._treatment.judge(tokens)
        literals = [n for n, token in enumerate(tokens) if token.kind in ("string", "number")]
        if roles.varies or _misquoted(tokens) is not None or len(literals) != len(parts) // 2:
            return None
        end = 0
        for place, number in zip(literals, range(1, len(parts), 2), strict=True):
            end += len(parts[number - 1]) + len(parts[number])
            if tokens[place].end != end or not tokens[place].text.endswith(parts[number]):
                return None
        return _Plan(
            tuple(
                (number, roles.of.get(place, self._default))
                for number, place in enumerate(literals)
            ),
            _params_of(tokens, roles),
        )

    def _rewrite_exactly(
        self, sql: str, params: Sequence[str | None]
    ) -> tuple[str, list[str | None]]:
        treatment = self._treatment
        tokens = scan(sql, self._dialect)
        roles = treatment.judge(tokens)
        broken = _misquoted(tokens)
        pieces, at = [], 0
        for place, token in enumerate(tokens[:broken]):
            pieces.append(treatment.between(sql[at : token.start]))
            literal = token.kind in ("string", "number")
            role = roles.of.get(place, self._default)
            pieces.append(treatment.literal(token.text, role) if literal else token.text)
            at = token.end
        if broken is None:
            pieces.append(treatment.between(sql[at:]))
        else:
            pieces += [treatment.between(sql[at : tokens[broken].start]), _OPEN]
        return "".join(pieces), self._params(params, _params_of(tokens, roles))

    def _params(self, params: Sequence[str | None], roles: dict[int, Role]) -> list[str | None]:
        return [
            None if value is None else self._treatment.param(value, roles.get(n, self._default))
            for n, value in enumerate(params)
        ]


def _params_of(tokens: list[Token], roles: Roles) -> dict[int, Role]:
    """Roles of bind values by their place; the strictest where one is used several times."""
    found: dict[int, Role] = {}
    for count, place in enumerate(n for n, token in enumerate(tokens) if token.kind == "marker"):
        text = tokens[place].text
        number = count if text == "?" else int(text[1:]) - 1
        role = roles.of.get(place)
        if role is not None and found.get(number) != Role.SECRET:
            kept = role if role == Role.SECRET else min(role, found.get(number, role))
            found[number] = kept
    return found


def _misquoted(tokens: list[Token]) -> int | None:
    """The first string of a statement whose quotes are not paired, as in `'O'Brien'`."""
    first = None
    for place, token in enumerate(tokens):
        if token.kind == "operator" and token.text == "'":
            return place if first is None else first
        if token.kind != "string" or token.text[0] == "$":
            continue
        first = place if first is None else first
        after = tokens[place + 1] if place + 1 < len(tokens) else None
        if after is None or after.start != token.end:
            continue
        if after.kind in ("number", "string") and after.text[0] != "'":
            return first
        if after.kind == "word" and after.text.lower() not in _CONTINUES:
            return first
    return None
