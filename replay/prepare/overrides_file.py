"""Overrides to start from: the SQL of each template that 2.0 cannot be asked, slots in place."""

from __future__ import annotations

import re
from collections.abc import Sequence

from replay.prepare.coverage import TemplateCoverage
from replay.template import FOLDED_LIST

_HEAD = """\
# Templates that 2.0 cannot be asked yet, most time on 1.0 first. Rewrite the SQL of those that
# are worth it, append them to places.toml and prepare again. {1} is the first literal of the
# statement, quotes included; slots may be given names by a line like `slots = ["from", "to"]`.
"""
_SLOT = re.compile(rf'"(?:[^"]|"")*"|{re.escape(FOLDED_LIST)}|\?|[{{}}]')

_CLAUSE = re.compile(
    r" ((?:from|where|group by|having|order by|limit|union|(?:(?:left|right|full|inner|cross) )?"
    r"(?:outer )?join) )"
)


def overrides_file(lacking: Sequence[TemplateCoverage]) -> str:
    """The text of overrides.toml for unsupported templates; holds no literal of a user."""
    return _HEAD + "".join(map(_entry, lacking))


def _entry(each: TemplateCoverage) -> str:
    note = " ".join(str(each.note).split())
    return f"""
# {each.statements:,} statements, {each.total_duration_us / 1e6:.2f} s on 1.0, {each.users} user(s)
# {note}
[[overrides]]
template = "{each.template_id}"
sql = {_multi_line(_with_slots(each.sql))}
"""


def _with_slots(sql: str) -> str:
    count = 0

    def slot(found: re.Match[str]) -> str:
        nonlocal count
        if found[0] in "{}":
            return found[0] * 2
        if found[0].startswith('"'):
            return found[0].replace("{", "{{").replace("}", "}}")
        count += 1
        return f"{{{count}}}"

    return _SLOT.sub(slot, sql)


def _multi_line(sql: str) -> str:
    escaped = _CLAUSE.sub(r"\n\1", sql).replace("\\", "\\\\").replace('"""', '""\\"')
    return f'"""\n{escaped}"""'
