"""What each literal of a statement is: a value, a part of its structure, or a secret by its place.

Structure are row limits, ordinals, lengths of types, formats, units, names in strings, and what a
statement holds that defines or sets something: another value there is another query or none. A
secret is what is compared with, assigned to or listed under a name as `password` is, or follows it.

Syntax: PostgreSQL manual, CREATE ROLE, pgcrypto, set_config; MySQL manual, 15.7.1; Amazon Redshift
Database Developer Guide, authorization parameters of COPY and UNLOAD.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import IntEnum

from replay.capture.redact.secret_text import NAME
from replay.kind import kind_by_first_word
from replay.template import Token

LITERALS = ("string", "number")
_KEPT_KINDS = ("ddl", "utility", "set", "copy", "unload")
_HOLD_VALUES = ("declare", "explain", "prepare", "execute")
_BEGIN_QUERY = ("select", "insert", "update", "delete", "merge", "values")
_BEFORE_EVENTS = ("on", "grant", "revoke", "or", "before", "after", "for", ",")
_COMPARING = frozenset("= != <> < > <= >= ~ like ilike rlike regexp in between default".split())
_CLAUSES = frozenset(
    "where having set select from using values value with returning limit order group union "
    "intersect except offset fetch into join on window rows range groups for lock qualify".split()
)
_ENDS_PART = _CLAUSES | frozenset(", and or as when then else over filter add column".split())
_BEFORE_KEPT = frozenset(
    "limit offset top fetch first next prior last absolute relative forward backward interval zone "
    "escape collate charset".split()
)
_SIZED = frozenset(
    "[ numeric decimal char character varchar nvarchar bpchar varying bit varbyte time timestamp "
    "timestamptz datetime interval float".split()
)
_KEPT_TYPES = ("interval", "regclass", "regtype", "regproc")
_NAMES_BY_TURNS = frozenset(
    "json_object json_build_object jsonb_build_object to_tsvector to_tsquery".split()
)
"""Functions whose first of several arguments is a name, and every second one after it."""
_KEPT_ARGUMENTS = {
    name: places
    for places, names in (
        ((0,), "nextval currval setval current_setting to_regclass timezone gen_salt set_config"),
        ((1,), "to_char to_date to_timestamp to_number date_format str_to_date encode decode digest"
               " convert_to convert_from json_value jsonb_set round trunc left right lag lead"),
        ((1, 2), "substr substring"),
        ((2,), "split_part hmac encrypt decrypt pgp_sym_encrypt pgp_sym_decrypt"),
        ((0, 1), "convert_timezone"),
        (range(1, 64), "json_extract json_extract_path_text jsonb_extract_path_text"),
        (range(1, 64, 2), "json_set json_insert json_replace"),
    )
    for name in names.split()
}  # fmt: skip
"""Arguments that are formats, names, places or algorithms; from 0."""
_SECRET_FUNCTION = re.compile(
    r"(?:old_)?password|crypt|hmac|(?:aes_|des_|pgp_(?:sym|pub)_)?(?:en|de)crypt(?:_iv|_bytea)?"
)


class Role(IntEnum):
    """What is done to a literal or marker."""

    KEEP = 0
    MASK = 1
    VALUE = 2
    CODE = 3
    """SQL in a string."""


def roles_of(tokens: list[Token], *, values: bool) -> dict[int, Role]:
    """The roles of literals and markers by place; `values` are told from the rest only if asked."""
    roles: dict[int, Role] = {}
    ends = [place for place, token in enumerate(tokens) if token.text == ";"]
    for start, stop in zip([0, *(end + 1 for end in ends)], [*ends, len(tokens)], strict=True):
        walk = _Walk(tokens[start:stop])
        for place, role in walk.roles.items():
            secret = Role.MASK if place in walk.secret else Role.KEEP
            roles[start + place] = role if values and role else secret
    return roles


@dataclass(slots=True)
class _Part:
    """Tokens that a name among them makes secret: from one AND or comma to the next."""

    position: int = 0
    compares: bool = False
    names: list[str] = field(default_factory=list)
    literals: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Frame:
    """An open bracket or CASE: whose it is, and where in it we are."""

    opening: int = -1
    owner: str = ""
    kept: bool = False
    clause: str = ""
    argument: int = 0
    query: bool = False
    between: bool = False
    names_only: bool = True
    parts: list[_Part] = field(default_factory=lambda: [_Part()])


class _Walk:
    """Goes over one statement once; `roles` are those of its values, KEEP else."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.texts = [
            token.text.lower() if token.kind in ("word", "operator") else "" for token in tokens
        ]
        self.first = next((text for text in self.texts if text.isalpha()), "")
        self.roles: dict[int, Role] = {}
        self.secret: set[int] = set()
        self.columns: list[_Part] = []
        self.rows: list[list[_Part]] = []
        kept = kind_by_first_word(self.first) in _KEPT_KINDS and self.first not in _HOLD_VALUES
        variable = self._text(1) == "@" != self._text(2)  # of a MySQL user
        self.frames = [_Frame(kept=kept and not variable)]
        for index in range(len(tokens)):
            self._visit(index)
        while self.frames:
            self._leave(len(tokens))
        for column in self.columns:
            for part in (part for row in self.rows for part in row):
                if part.position == column.position:
                    self.secret.update(part.literals)

    def _text(self, index: int) -> str:
        return self.texts[index] if 0 <= index < len(self.texts) else ""

    def _is_secret_name(self, index: int) -> bool:
        named = 0 <= index < len(self.tokens) and self.tokens[index].kind in ("word", "quoted")
        return named and NAME.match(self.tokens[index].text.strip('"`')) is not None

    def _visit(self, index: int) -> None:
        kind, text, frame = self.tokens[index].kind, self.texts[index], self.frames[-1]
        after = (self._text(index + 1), self._text(index + 2))
        frame.names_only &= kind in ("word", "quoted") or text in (",", ".", ")")
        aside = after == ("@", "@") or (after[0] == "." and self.first not in ("set", "alter"))
        if self._is_secret_name(index) and after[0] != "(" and not aside:
            frame.parts[-1].names.append(self.tokens[index].text.strip('"`'))
        if kind in (*LITERALS, "marker"):
            self._literal(index, frame)
        elif text in ("(", "[", "case"):
            self._enter(index, frame)
        elif text in (")", "]") or (text == "end" and self._text(frame.opening) == "case"):
            if len(self.frames) > 1:
                self._leave(index)
        elif text:
            self._go_on(index, frame)

    def _go_on(self, index: int, frame: _Frame) -> None:
        text, before = self.texts[index], self._text(index - 1)
        frame.argument += text == ","
        # Not the privilege or the event of that name, nor VALUES LESS THAN.
        begins = text in _BEGIN_QUERY and before not in _BEFORE_EVENTS
        frame.kept &= not begins or (text == "values" and self._text(index + 1) != "(")
        if self._compares(index, frame):
            frame.parts[-1].compares = True
            frame.between |= text == "between"
        elif text == "and" and frame.between:
            frame.between = False
        elif text in _ENDS_PART:
            if text in _CLAUSES:
                self._judge(frame, self.frames[-2:-1])
                frame.clause = {"value": "values", "offset": "limit"}.get(text, text)
            if text == "select":
                frame.query, frame.argument = True, 0
                self.rows.append(frame.parts)
            frame.parts.append(_Part(frame.argument))
        elif text == "by" and before in ("order", "group"):
            frame.clause = "by"

    def _compares(self, index: int, frame: _Frame) -> bool:
        text, before = self.texts[index], self._text(index - 1)
        match text:
            case "to":
                return frame.clause == "set" or before == "similar"
            case "as":  # 'x' AS password
                return self._is_secret_name(index + 1)
            case ",":
                return frame.owner == "set_config"
            case "from":
                return before == "distinct"
        return text in _COMPARING and not self._ends_arrow(index)

    def _ends_arrow(self, index: int) -> bool:
        """Whether a token ends an arrow into JSON: `->`, `->>`, `#>`, `#>>`."""
        signs = ""
        while self._text(index) in (">", "-", "#"):
            if signs and self.tokens[index].end != self.tokens[index + 1].start:
                break
            signs = self.texts[index] + signs
            index -= 1
        return signs in ("->", "->>", "#>", "#>>")

    def _literal(self, index: int, frame: _Frame) -> None:
        token, part, before = self.tokens[index], frame.parts[-1], self._text(index - 1)
        kept = self._is_structure(index, frame)
        # PASSWORD 'x', OPTIONS (password 'x'), CREDENTIALS AS 'x', IDENTIFIED BY 'x'
        named = self._is_secret_name(index - 1) or (
            before == "as" and self.frames[0].kept and self._is_secret_name(index - 2)
        )
        identified = before in ("by", "as", "replace") and "identified" in self.texts
        if token.kind == "string" and (named or identified):
            self.secret.add(index)
        elif kept and token.kind == "string" and NAME.match(token.text):
            part.names.append(token.text.strip("'"))
        elif not kept and token.kind != "number" and "@" not in (before, self._text(index + 1)):
            part.literals.append(index)  # but for 'user'@'host'
        code = frame.owner == "unload" or (self.first == "do" and token.text[0] == "$")
        if code and token.kind == "string":
            self.roles[index] = Role.CODE
        else:
            self.roles[index] = Role.KEEP if kept or frame.kept else Role.VALUE

    def _is_structure(self, index: int, frame: _Frame) -> bool:
        before, after = self._text(index - 1), self._text(index + 1)
        if self.tokens[index].kind == "string":
            kept = before == "as"
        else:
            ordinal = frame.clause == "by" and before in ("by", ",", "(")
            kept = frame.owner in _SIZED or (
                ordinal and (after in ("", ",", ")") or after.isalpha())
            )
        return (
            kept
            or before in _BEFORE_KEPT
            or frame.clause == "limit"
            or after in ("preceding", "following")
            or (after in ("::", "as") and self._text(index + 2) in _KEPT_TYPES)
            or self._ends_arrow(index - 1)
            or frame.argument in _KEPT_ARGUMENTS.get(frame.owner, ())
            or (after == "," and frame.argument % 2 == 0 and frame.owner in _NAMES_BY_TURNS)
        )

    def _enter(self, index: int, frame: _Frame) -> None:
        bracket, before = self.texts[index], self._text(index - 1)
        new = _Frame(index, before, frame.kept or before == "set_config")
        if bracket == "[":
            subscript = before in (")", "]") or (before != "array" and before[:1].isalpha())
            new.owner = "[" if subscript else ""
        if bracket == "case":
            new.owner, new.argument = frame.owner, frame.argument
        listed = before in ("by", ",", "(", "rollup", "cube", "sets")
        if bracket == "case" or frame.clause == "limit" or (frame.clause == "by" and listed):
            new.clause = frame.clause
        self.frames.append(new)

    def _leave(self, index: int) -> None:
        frame = self.frames.pop()
        if _SECRET_FUNCTION.fullmatch(frame.owner):
            for part in frame.parts:
                self.secret.update(part.literals)
        clause = self.frames[-1].clause if self.frames else "none"
        if clause == "values":
            self.rows.append(frame.parts)
        elif frame.names_only and (
            # INSERT INTO t (…), WITH n (…), (VALUES …) AS n (…)
            clause in ("", "into", "with") or self._text(frame.opening - 2) == "as"
        ):
            self.columns += [part for part in frame.parts if part.names]
        self._judge(frame, self.frames[-1:])

    def _judge(self, frame: _Frame, parent: list[_Frame]) -> None:
        """Mark parts that compare; the others belong to what is around, unless it is a query."""
        for part in frame.parts:
            if part.compares and part.names:
                self.secret.update(part.literals)
            elif parent and not part.compares and not frame.query:
                parent[0].parts[-1].names += part.names
                parent[0].parts[-1].literals += part.literals
        frame.parts = []
