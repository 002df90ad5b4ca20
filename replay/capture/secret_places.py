"""Where in a statement secrets stand: passwords and keys told by the names around them.

Syntax: PostgreSQL manual, CREATE ROLE, pgcrypto, set_config; MySQL manual, 15.7.1; Amazon Redshift
Database Developer Guide, authorization parameters of COPY and UNLOAD.
"""

from __future__ import annotations

from collections.abc import Iterator

from replay.capture.literal_role import Role, Roles, brackets
from replay.capture.secret_text import is_ordinary_name, is_secret_name
from replay.template import Token

_COMPARING = frozenset(
    "= <> != < > <= >= ~ like ilike rlike regexp in between to from default".split()
)
# What an operand of a comparison or an assignment cannot reach beyond.
_ENDS = frozenset(
    ", ; and or where on when then else having set select from using values with returning limit "
    "order group union intersect except offset fetch into join over filter as is add column "
    "session local global persist".split()
)
_DISTINCT = ("is", "not", "distinct")
_NO_CALLS = _ENDS | _COMPARING | frozenset("any all some row not by exists array".split())
_BEFORE_ROWS = ("as", "not", "materialized", "(")
_QUERIES = frozenset("select with values table".split())
_AFTER_AS = frozenset(
    "credentials access_key_id secret_access_key session_token master_symmetric_key".split()
)
_SECRET_ARGUMENTS = {
    **dict.fromkeys("password old_password pgp_pub_encrypt pgp_pub_encrypt_bytea".split(), 1),
    **dict.fromkeys(
        "crypt encrypt decrypt hmac pgp_sym_encrypt pgp_sym_encrypt_bytea pgp_sym_decrypt "
        "pgp_sym_decrypt_bytea aes_encrypt aes_decrypt des_encrypt des_decrypt".split(),
        2,
    ),
    **dict.fromkeys("encrypt_iv decrypt_iv pgp_pub_decrypt pgp_pub_decrypt_bytea".split(), 3),
}
"""How many arguments of a function, the first ones, are secrets or what they protect."""
_KEYS_OF = frozenset(
    "json_extract json_unquote json_value json_extract_path_text jsonb_extract_path_text "
    "json_extract_path jsonb_extract_path json_extract_path_text".split()
)


def secret_places(tokens: list[Token]) -> Roles:
    """The roles of strings and markers that are secrets."""
    places = _Places(tokens)
    places.find()
    return Roles(places.roles, places.varies)


class _Places:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.texts = [
            token.text.lower() if token.kind in ("word", "operator") else "" for token in tokens
        ]
        self.partner = brackets(tokens)
        self.roles: dict[int, Role] = {}
        self.keys = {index for index in range(len(tokens)) if self._is_key(index)}
        self.varies = bool(self.keys)

    def find(self) -> None:
        identified = False
        for index, text in enumerate(self.texts):
            token = self.tokens[index]
            if text in _COMPARING and self._compares(index):
                self._compare(index)
            elif text == "(":
                self._look_into(index)
            elif text == "as":
                self._alias(index)
            elif text in ("identified", ";"):
                identified = text == "identified"
            elif token.kind == "string" and identified and self._before(index) != "with":
                if self._before(index) in ("by", "as", "password", "replace"):
                    self.roles[index] = Role.SECRET
            elif token.kind in ("word", "quoted") and is_secret_name(token.text):
                self._named(index)

    def _before(self, index: int) -> str:
        return self.texts[index - 1] if index else ""

    def _is_key(self, index: int) -> bool:
        """Whether a string names a part of a JSON value or a setting."""
        if self.tokens[index].kind != "string":
            return False
        if self._is_arrow(index - 1):
            return True
        if self._before(index) == "(" and index > 1:
            return self.texts[index - 2] == "set_config"
        # Not only the last of several keys: `json_extract(a, '$.b', '$.c')`.
        opening = index - 1
        while opening > 0 and self.texts[opening] not in ("(", ")", ";"):
            opening -= 1
        return opening > 0 and self.texts[opening - 1] in _KEYS_OF

    def _is_arrow(self, index: int) -> bool:
        """Whether `>` ends an arrow into JSON: `->`, `->>`, `#>`, `#>>`."""
        while index > 0 and self.texts[index] == ">":
            before = self.tokens[index - 1]
            if before.end != self.tokens[index].start:
                return False
            if before.text in ("-", "#"):
                return True
            index -= 1
        return False

    def _named(self, index: int) -> None:
        """`PASSWORD 'x'`, `OPTIONS (password 'x')`, `CREDENTIALS AS 'x'`."""
        after = index + 1
        if self.texts[after : after + 1] == ["as"] and self.texts[index] in _AFTER_AS:
            after += 1
        if after < len(self.tokens) and self.tokens[after].kind == "string":
            self.roles[after] = Role.SECRET

    def _compares(self, index: int) -> bool:
        text = self.texts[index]
        if text == "from":
            return self._before(index) == "distinct"
        if text == "to":
            return not {"set", "similar"}.isdisjoint(self.texts[max(0, index - 8) : index])
        if text == ">" and self._is_arrow(index):
            return False
        # Of `=>`, `<=>` and `~~` the first sign is enough.
        return not self._continues(index)

    def _continues(self, index: int) -> bool:
        """Whether an operator's sign follows another one without a space."""
        before, token = self.tokens[max(0, index - 1)], self.tokens[index]
        return before.kind == token.kind == "operator" and before.end == token.start and (
            before.text in _COMPARING
        )  # fmt: skip

    def _compare(self, index: int) -> None:
        start = index - 1
        while self.texts[index] == "from" and start >= 0 and self.texts[start] in _DISTINCT:
            start -= 1
        left = list(self._operand(start, -1))
        right = list(self._operand(index + 1, 1, between=self.texts[index] == "between"))
        for one, other in ((left, right), (right, left)):
            names = list(self._names_in(one))
            if not names:
                continue
            guarded = all(map(is_ordinary_name, names))
            self._take(other, Role.GUARDED if guarded else Role.SECRET)
            if not guarded:
                self._take(one, Role.SECRET, own=True)

    def _take(self, operand: list[int], role: Role, *, own: bool = False) -> None:
        """Give strings and markers of an operand a role; those in calls may name algorithms."""
        calls = 0
        for index in sorted(operand):
            if self._opens_call(index):
                calls += 1
            elif self.texts[index] == ")" and self._opens_call(self.partner.get(index, index)):
                calls -= 1
            elif self.tokens[index].kind in ("string", "marker") and index not in self.keys:
                account = "@" in (self._before(index), *self.texts[index + 1 : index + 2])
                if own and account:
                    continue
                self._give(index, Role.NESTED if calls and role == Role.SECRET else role)

    def _opens_call(self, index: int) -> bool:
        return (
            self.texts[index] == "("
            and index > 0
            and self.tokens[index - 1].kind == "word"
            and self.texts[index - 1] not in _NO_CALLS
        )

    def _give(self, index: int, role: Role) -> None:
        if role == Role.SECRET or self.roles.get(index, Role.GUARDED) == Role.GUARDED:
            self.roles[index] = role

    def _operand(self, index: int, step: int, *, between: bool = False) -> Iterator[int]:
        """The tokens of an operand, away from its operator; sub-queries are left out."""
        opens, closes = ("([", ")]") if step > 0 else (")]", "([")
        opens_case, closes_case = ("case", "end") if step > 0 else ("end", "case")
        first = index
        while 0 <= index < len(self.tokens):
            text = self.texts[index]
            if text and (text in opens or text == opens_case) and index in self.partner:
                stop = self.partner[index]
                low, high = min(index, stop), max(index, stop)
                if self.texts[low + 1] not in _QUERIES:
                    inside = range(low, high + 1)
                    yield from inside if step > 0 else reversed(inside)
                index = stop + step
                continue
            if text == "and" and between:
                between = False
            elif text and (text in closes or text == closes_case or text in _ENDS):
                return
            if text in _COMPARING and index != first and self._ends_at(index):
                return
            yield index
            index += step

    def _ends_at(self, index: int) -> bool:
        """Whether an operator belongs to another comparison, and not to the one looked at."""
        if self._is_arrow(index):
            return False
        return not self._continues(index)

    def _names_in(self, operand: list[int]) -> Iterator[str]:
        chosen = set(operand)
        for index in operand:
            token = self.tokens[index]
            after = self.texts[index + 1] if index + 1 < len(self.tokens) else ""
            if index in self.keys:
                name = token.text.strip("'")
            elif token.kind in ("word", "quoted") and after != "(":
                if after == "." and index + 1 in chosen and not self._is_setting(index):
                    continue
                name = token.text.strip('"`')
            else:
                continue
            if is_secret_name(name):
                yield name

    def _is_setting(self, index: int) -> bool:
        while self._before(index) == ".":
            index -= 2
        return self._before(index) in ("set", "session", "local", "global", "persist")

    def _alias(self, index: int) -> None:
        """`'x' AS password`."""
        if index + 1 == len(self.tokens) or self.tokens[index + 1].kind not in ("word", "quoted"):
            return
        name = self.tokens[index + 1].text.strip('"`')
        if is_secret_name(name):
            role = Role.GUARDED if is_ordinary_name(name) else Role.SECRET
            self._take(list(self._operand(index - 1, -1)), role)

    def _look_into(self, opening: int) -> None:
        """What stands in a bracket: arguments of a function, or names of columns."""
        closing = self.partner.get(opening)
        if closing is None:
            return
        function = self._before(opening)
        secret = _SECRET_ARGUMENTS.get(function, 0)
        if secret:
            for item in self._items(opening + 1, closing)[:secret]:
                self._take(item, Role.SECRET)
        elif function == "set_config":
            name, *values = self._items(opening + 1, closing)
            if any(is_secret_name(self.tokens[index].text) for index in name):
                self._take([index for value in values[:1] for index in value], Role.SECRET)
        else:
            self._columns(opening, closing)

    def _columns(self, opening: int, closing: int) -> None:
        """Values by position: `(a, password) VALUES (…)`, `… AS v (a, password)`."""
        roles: dict[int, Role] = {}
        position = 0
        for index in range(opening + 1, closing):
            token = self.tokens[index]
            if token.text == ",":
                position += 1
            elif token.kind not in ("word", "quoted") and token.text != ".":
                return
            elif is_secret_name(token.text) and token.text != ".":
                ordinary = is_ordinary_name(token.text.strip('"`'))
                roles[position] = Role.GUARDED if ordinary else Role.SECRET
        if not roles:
            return
        for row in (*self._rows_after(closing + 1), *self._rows_before(opening - 1)):
            for position, role in roles.items():
                if position < len(row):
                    self._take(row[position], role)

    def _rows_after(self, index: int) -> Iterator[list[list[int]]]:
        if self.texts[index : index + 1] == ["overriding"]:
            index += 3
        while index < len(self.tokens) and self.texts[index] in _BEFORE_ROWS:
            index += 1
        if index == len(self.tokens):
            return
        if self.texts[index] in ("values", "value"):
            yield from self._rows(index + 1)
        elif self.texts[index] == "select":
            yield self._items(index + 1, self._end_of_list(index + 1))

    def _rows_before(self, index: int) -> Iterator[list[list[int]]]:
        """Rows that a list of column names behind them names."""
        if index > 0 and self.tokens[index].kind in ("word", "quoted"):
            if self.texts[index] in _NO_CALLS:
                return
            index -= 1
            if self.texts[index] == "as":
                index -= 1
        opening = self.partner.get(index)
        if opening is None or self.texts[index] != ")":
            return
        if self.texts[opening + 1] == "values":
            yield from self._rows(opening + 2)
        else:
            yield self._items(opening + 1, index)

    def _rows(self, index: int) -> Iterator[list[list[int]]]:
        while index < len(self.tokens):
            if self.texts[index] == "row":
                index += 1
                continue
            if self.texts[index] != "(" or index not in self.partner:
                return
            yield self._items(index + 1, self.partner[index])
            index = self.partner[index] + 1
            if self.texts[index : index + 1] != [","]:
                return
            index += 1

    def _end_of_list(self, index: int) -> int:
        while index < len(self.tokens):
            text = self.texts[index]
            if text in ("from", "where", "union", "order", "limit", "returning", "on", ";", ")"):
                return index
            index = self.partner.get(index, index) + 1 if text in ("(", "case") else index + 1
        return index

    def _items(self, start: int, stop: int) -> list[list[int]]:
        """The tokens between commas."""
        items: list[list[int]] = [[]]
        index = start
        while index < stop:
            if self.texts[index] == ",":
                items.append([])
                index += 1
                continue
            after = self.partner.get(index, index) + 1
            items[-1] += range(index, max(after, index + 1))
            index = max(after, index + 1)
        return items
