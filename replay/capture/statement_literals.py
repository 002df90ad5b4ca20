"""Which literals of a statement are values, and which belong to its structure.

What the structure needs stays, because another value there is another query or none: row limits,
ordinals, lengths of types, units and formats, names in strings, options.
"""

from __future__ import annotations

from dataclasses import dataclass

from replay.capture.literal_role import Role, Roles, brackets
from replay.capture.secret_places import secret_places
from replay.kind import kind_by_first_word
from replay.template import Token

_KEPT_KINDS = frozenset({"ddl", "utility", "set", "copy", "unload"})
_HOLD_VALUES = frozenset({"execute"})
"""Utility statements whose literals are a query's."""
_INNER = frozenset({"select", "insert", "update", "delete", "merge"})
_BEFORE_EVENTS = frozenset("on grant revoke or before after ,".split())
_COUNTS = frozenset(
    "limit offset top fetch first next prior last absolute relative forward backward".split()
)
_CLAUSES = frozenset(
    "where having select from union intersect except for returning window rows range groups into "
    "on set values lock qualify".split()
)
_TYPES = frozenset(
    "numeric decimal dec number char character varchar nchar nvarchar bpchar varying bit binary "
    "varbinary varbyte time timestamp timestamptz timetz datetime interval float double int "
    "integer bigint smallint tinyint mediumint".split()
)
_BEFORE_KEPT = frozenset("interval zone escape collate charset".split())
_FIRST, _SECOND = frozenset({0}), frozenset({1})
_LATER, _EVEN, _ODD = (
    frozenset(range(1, 64)),
    frozenset(range(0, 64, 2)),
    frozenset(range(1, 64, 2)),
)
_FUNCTIONS = {
    **dict.fromkeys(
        "nextval currval setval current_setting to_regclass to_regtype to_regproc timezone "
        "pg_relation_size pg_total_relation_size pg_table_size pg_get_serial_sequence bernoulli "
        "system percentile_cont percentile_disc ntile chr top to_tsvector to_tsquery "
        "plainto_tsquery phraseto_tsquery websearch_to_tsquery".split(),
        _FIRST,
    ),
    **dict.fromkeys(
        "to_char to_date to_timestamp to_number date_format str_to_date time_format encode decode "
        "digest convert_to convert_from from_unixtime json_value jsonb_set jsonb_insert "
        "jsonb_path_query jsonb_path_exists trunc".split(),
        _SECOND,
    ),
    **dict.fromkeys(
        "json_extract json_extract_path_text jsonb_extract_path_text json_extract_path "
        "jsonb_extract_path".split(),
        _LATER,
    ),
    **dict.fromkeys("jsonb_build_object json_build_object json_object".split(), _EVEN),
    **dict.fromkeys("json_set json_insert json_replace".split(), _ODD),
    "convert_timezone": _FIRST | _SECOND,
    "set_config": _FIRST | _SECOND,
    "hmac": frozenset({2}),
}
"""Arguments that are formats, names, keys or settings; from 0."""
_ONLY_OF_SEVERAL = frozenset(
    "json_object to_tsvector to_tsquery plainto_tsquery phraseto_tsquery "
    "websearch_to_tsquery".split()
)
_OF_UNITS = frozenset(
    "date_trunc date_part datediff date_diff dateadd date_add extract trunc last_day".split()
)
_COUNTING = frozenset(
    "round trunc substr substring left right lpad rpad repeat lag lead split_part nth_value "
    "regexp_substr regexp_instr to_hex width_bucket power mod".split()
)
"""Functions whose numbers, behind the first argument, are places and lengths."""
_NAME_TYPES = ("interval", "regclass", "regtype", "regproc", "regnamespace", "regrole")


def value_places(tokens: list[Token]) -> Roles:
    """The role of every literal and marker."""
    roles: dict[int, Role] = {}
    varies = False
    start = 0
    for index in range(len(tokens) + 1):
        if index == len(tokens) or tokens[index].text == ";":
            found = _roles_of(tokens[start:index])
            roles |= {start + place: role for place, role in found.of.items()}
            varies |= found.varies
            start = index + 1
    return Roles(roles, varies)


def _roles_of(tokens: list[Token]) -> Roles:
    if not tokens:
        return Roles({}, False)
    first = next((token.text.lower() for token in tokens if token.kind == "word"), "")
    values = _Query(tokens).roles()
    if first == "do":
        # MySQL's DO takes expressions.
        code = {place: Role.CODE for place in values if tokens[place].text[0] == "$"}
        return Roles(values | code, False)
    kind = kind_by_first_word(first)
    if kind not in _KEPT_KINDS or first in _HOLD_VALUES or _sets_variable(tokens):
        if any(token.text.lower() == "set_config" for token in tokens):
            secret = secret_places(tokens)
            values |= {place: role for place, role in secret.of.items() if not values[place]}
            return Roles(values, secret.varies)
        return Roles(values, False)
    secret = secret_places(tokens)
    kept = dict.fromkeys(values, Role.KEPT) | secret.of
    if kind == "unload":
        query = next((place for place in kept if tokens[place].kind == "string"), None)
        return Roles(kept | ({} if query is None else {query: Role.CODE}), secret.varies)
    begin = next(
        (place for place in range(1, len(tokens)) if _begins_query(tokens, place, first)), None
    )
    if begin is None:
        return Roles(kept, secret.varies)
    # Behind the query of a COPY follow its options.
    stop = brackets(tokens).get(begin - 1, len(tokens)) if kind == "copy" else len(tokens)
    inside = {place: role for place, role in values.items() if begin <= place < stop}
    return Roles(kept | inside, secret.varies)


def _sets_variable(tokens: list[Token]) -> bool:
    """Whether it is MySQL's SET of a user's variable, whose values are as any others."""
    signs = [token.text for token in tokens[1:3]]
    return signs[:1] == ["@"] and signs != ["@", "@"]


def _begins_query(tokens: list[Token], place: int, first: str) -> bool:
    """Whether a query begins here inside a statement of another kind."""
    word, before = tokens[place].text.lower(), tokens[place - 1].text.lower()
    if tokens[place].kind != "word":
        return False
    if word in _INNER:
        # Not the privilege or the event of that name: GRANT SELECT ON, BEFORE INSERT, ON DELETE.
        return before not in _BEFORE_EVENTS
    return word in ("with", "values", "table") and (
        before in ("as", "explain", "analyze", "analyse", "verbose", "(")
        or (before, first) in (("for", "declare"), (")", "explain"))
    )


@dataclass(slots=True)
class _Frame:
    """An open bracket: whose it is, and where in it we are."""

    owner: str
    opening: int
    argument: int = 0
    clause: str = ""
    """`by` in ORDER BY and GROUP BY, `limit` in LIMIT and OFFSET, else nothing."""


class _Query:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._texts = [
            token.text.lower() if token.kind in ("word", "operator") else "" for token in tokens
        ]
        self._partner = brackets(tokens)

    def roles(self) -> dict[int, Role]:
        found: dict[int, Role] = {}
        frames = [_Frame("", -1)]
        for index, token in enumerate(self._tokens):
            text, frame = self._texts[index], frames[-1]
            if text in ("(", "["):
                frames.append(self._opened(index, frame))
            elif text in (")", "]"):
                if len(frames) > 1:
                    frames.pop()
            elif text == ",":
                frame.argument += 1
            elif text == "by":
                frame.clause = "by" if self._text(index - 1) in ("order", "group") else ""
            elif text in ("limit", "offset"):
                frame.clause = "limit"
            elif text in _CLAUSES:
                frame.clause = ""
            elif token.kind in ("string", "number", "marker"):
                found[index] = self._role(index, token, frame)
        return found

    def _text(self, index: int) -> str:
        return self._texts[index] if 0 <= index < len(self._texts) else ""

    def _opened(self, index: int, frame: _Frame) -> _Frame:
        owner = self._text(index - 1)
        if owner == "sets" or self._texts[index] == "[":
            owner = ""
        before = self._text(index - 1)
        listed = before in ("by", ",", "(", "rollup", "cube", "sets")
        passes = frame.clause == "limit" or (frame.clause == "by" and listed)
        return _Frame(owner, index, clause=frame.clause if passes else "")

    def _role(self, index: int, token: Token, frame: _Frame) -> Role:
        if self._is_structure(index, token, frame) or self._is_argument_kept(index, token, frame):
            return Role.KEPT
        if frame.owner in _OF_UNITS:
            return Role.UNIT
        return Role.PATTERN if self._is_pattern(index, frame) else Role.VALUE

    def _is_structure(self, index: int, token: Token, frame: _Frame) -> bool:
        before, after = self._text(index - 1), self._text(index + 1)
        if before in _COUNTS or frame.clause == "limit" or after in ("preceding", "following"):
            return True
        if token.kind != "string":
            if frame.clause == "by" and before in ("by", ",", "(") and self._ends_item(index + 1):
                return True
            if frame.owner in _TYPES or self._is_subscript(frame):
                return True
        if before in _BEFORE_KEPT or self._is_arrow(index - 1):
            return True
        if before == "as" and token.kind == "string":
            return True
        if before == "(" and self._text(index - 2) == "interval":
            return True
        cast_to = self._text(index + 2) if after in ("::", "as") else ""
        return cast_to in _NAME_TYPES

    def _ends_item(self, index: int) -> bool:
        if index >= len(self._tokens) or self._text(index) in (",", ")", "asc", "desc", "nulls"):
            return True
        return self._tokens[index].kind == "word"

    def _is_subscript(self, frame: _Frame) -> bool:
        if frame.opening < 1 or self._texts[frame.opening] != "[":
            return False
        before = self._tokens[frame.opening - 1]
        return before.text in (")", "]") or (
            before.kind in ("word", "quoted", "marker") and before.text.lower() != "array"
        )

    def _is_arrow(self, index: int) -> bool:
        while index > 0 and self._texts[index] == ">":
            before = self._tokens[index - 1]
            if before.end != self._tokens[index].start:
                return False
            if before.text in ("-", "#"):
                return True
            index -= 1
        return False

    def _is_argument_kept(self, index: int, token: Token, frame: _Frame) -> bool:
        owner = frame.owner
        if not owner:
            return False
        if owner in _COUNTING and frame.argument and token.kind != "string":
            return True
        if owner in ("substring", "overlay") and self._text(index - 1) in ("from", "for"):
            return token.kind != "string"
        if owner.startswith("regexp_") and frame.argument > 1 + (owner == "regexp_replace"):
            return True
        if frame.argument not in _FUNCTIONS.get(owner, ()):
            return False
        return frame.argument > 0 or owner not in _ONLY_OF_SEVERAL or self._has_more(frame)

    def _has_more(self, frame: _Frame) -> bool:
        index, closing = frame.opening + 1, self._partner.get(frame.opening, 0)
        while index < closing:
            if self._texts[index] == ",":
                return True
            index = max(self._partner.get(index, index), index) + 1
        return False

    def _is_pattern(self, index: int, frame: _Frame) -> bool:
        before = self._text(index - 1)
        if before in ("~", "regexp", "rlike") or (before, self._text(index - 2)) in (
            ("*", "~"), ("to", "similar"),
        ):  # fmt: skip
            return True
        if frame.owner == "substring" and before == "from":
            return True
        return frame.owner.startswith("regexp_") and frame.argument > 0
