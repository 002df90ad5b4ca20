"""The entries of a places file by kind, and the mistakes found in them, with their lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from replay.prepare.names import nearest

KeyPath = tuple[str, ...]

_MAPS = ("schemas", "databases", "users", "settings", "constants")
_KEYS: Mapping[str, Mapping[str, type]] = {
    "file": {
        "default_schema": str,
        "tables": dict,
        "overrides": list,
        **dict.fromkeys(_MAPS, dict),
    },
    "table": {"to": str, "columns": dict, "joins": dict, "others": str},
    "join": {"table": str, "on": str, "kind": str},
    "override": dict.fromkeys(("template", "source", "sql", "note"), str)
    | {"slots": list, "unused": list},
}
_REQUIRED = frozenset({"table", "on", "sql"})
_WANTED: Mapping[type, str] = {str: "a string that is not empty", dict: "a table", list: "a list"}
_KEY = re.compile(r"""\s*(?:\[\[?(?=[^\[])|(?=[\w"'-][^=]*=))((?:"[^"]*"|'[^']*'|[^]="'])+)""")
_KEY_PART = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([^."'\s]+))""")


@dataclass(kw_only=True)
class Entries:
    """Checks entries, and keeps `(line, message)` of what is wrong with them."""

    lines: Mapping[KeyPath, int]
    problems: list[tuple[int, str]] = field(default_factory=list)

    def texts(self, top: Mapping[str, Any], section: str) -> dict[str, str]:
        """A section of texts alone; false, where a setting may be it, is empty."""
        found = {}
        for name, value in top[section].items():
            if section == "settings" and value is False:
                found[name] = ""
            elif isinstance(value, str) and value:
                found[name] = value
            else:
                also = " or false" if section == "settings" else ""
                self.problem((section, name), f"must be {_WANTED[str]}{also}")
        return found

    def checked(self, entry: object, what: str, path: KeyPath) -> dict[str, Any]:
        """Every key that an entry of this kind may have; what is missing or misfits is empty."""
        keys = _KEYS[what]
        checked = {key: kind() for key, kind in keys.items()}
        if not isinstance(entry, dict):
            self.problem(path, "must be a table")
            return checked
        for key, value in entry.items():
            if key not in keys:
                self.problem((*path, key), f"unknown key `{key}`{nearest(key, keys)}")
            elif not isinstance(value, keys[key]) or value == "":
                self.problem((*path, key), f"must be {_WANTED[keys[key]]}")
            else:
                checked[key] = value
        for key in sorted(_REQUIRED & keys.keys() - entry.keys()):
            self.problem(path, f"`{key}` is missing")
        return checked

    def problem(self, path: KeyPath, message: str) -> None:
        """Note a mistake."""
        line = self.line(path)
        self.problems.append((line, f"  line {line}: {'.'.join(path)}: {message}"))

    def line(self, path: KeyPath) -> int:
        """Where a key stands, or the table that it would be in."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line of each key by its path, `overrides` by number, as far as the text tells."""
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    overrides = 0
    within = ""
    for number, line in enumerate(text.splitlines(), start=1):
        key = None if within else _KEY.match(line)
        for quotes in re.findall(r"\"{3}|'{3}", line):
            within = "" if within == quotes else within or quotes
        if key is None:
            continue
        header = line.lstrip().startswith("[")
        path = tuple("".join(part) for part in _KEY_PART.findall(key[1]))
        if path == ("overrides",) and header:
            overrides += 1
            path = ("overrides", f"#{overrides}")
        table = path if header else table
        found.setdefault(path if header else (*table, *path), number)
    return found
