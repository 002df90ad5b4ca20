"""Driver chatter: what a client says about its session rather than asks of the data.

Kept, put in 2.0's words, or skipped and counted; the list is in docs/prepare.md. Sources: the SQL
commands of PostgreSQL 18, Amazon Redshift's "SQL commands" and "Configuration reference", MySQL
8.4's "Database administration statements".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one statement: kept as it is, or a new text, or the reason to skip it."""

    sql: str | None = None
    skipped: str | None = None


KEPT = Fate()

_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*([A-Za-z]+)", re.DOTALL)
_TRANSACTION = frozenset("begin start commit end rollback abort".split())
_SESSION = frozenset(
    "set reset show use fetch move close listen unlisten notify discard deallocate execute lock "
    "unlock kill flush describe desc savepoint release".split()
)
_TO_SAVEPOINT = re.compile(r"(?:rollback|abort)\s+(?:work\s+|transaction\s+)?to\b", re.IGNORECASE)
_SET = re.compile(
    r"set\s+(?:(?:session|local|global)\s+)?"
    r"(time\s+zone|names|@*[\w.]+)\s*(?:=|:=|\bto\b)?\s*(.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_OFFSET = re.compile(r"'[+-]\d?\d:\d\d'\Z")
_LIFTS_READ_ONLY = re.compile(
    r"\bread\s+write\b|transaction_read_only\s*(?:=|\bto\b)\s*'?(?:off|false|no|0|default)",
    re.IGNORECASE,
)
_SETTINGS_OF_BOTH = frozenset(
    "application_name client_encoding datestyle extra_float_digits intervalstyle search_path "
    "statement_timeout timezone".split()
)
_SETTINGS_OF_REDSHIFT = _SETTINGS_OF_BOTH | frozenset(
    "analyze_threshold_percent enable_case_sensitive_identifier enable_result_cache_for_session "
    "json_serialization_enable max_concurrency_scaling_clusters navigate_super_null_on_error "
    "query_group wlm_query_slot_count".split()
)
_SYSTEM_SCHEMAS = frozenset("pg_catalog information_schema mysql performance_schema sys".split())
_VARIABLE = re.compile(r"select\s+(?:/\*.*?\*/\s*)?@@", re.IGNORECASE | re.DOTALL)


def first_word(sql: str) -> str:
    """The statement's first word in lower case, empty where it begins with none."""
    found = _FIRST_WORD.match(sql)
    return found[1].lower() if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chatter:
    """The list, for one pair of dialects.

    `settings` are those of a places file: the value that SET gives on 2.0, None to skip it.
    `schemas` says what schemas of 1.0 are called on 2.0, by names in lower case.
    """

    read: str
    write: str
    writes: bool = False
    settings: Mapping[str, str | None] = field(default_factory=dict)
    schemas: Mapping[str, str] = field(default_factory=dict)

    def fate(self, sql: str, *, kind: str, tables: Sequence[str] = ()) -> Fate | None:
        """What becomes of a statement of this kind that names these tables; None for a question."""
        found = _FIRST_WORD.match(sql)
        word = found[1].lower() if found else ""
        if found and kind != "select" and (word in _TRANSACTION or word in _SESSION):
            text = sql[found.start(1) :].rstrip("; \t\r\n")
            if ";" in text and self.read != self.write:
                return None
            return self._transaction(text, word) if word in _TRANSACTION else self._session(text)
        if self.write != self.read and (self.read == "mysql" or self.write == "redshift"):
            if tables and all(map(_is_system, tables)):
                return _skipped("catalog probe")
            if word == "select" and _VARIABLE.search(sql):
                return _skipped("session variable")
        return None

    def _transaction(self, sql: str, word: str) -> Fate:
        if _TO_SAVEPOINT.search(sql):
            return self._savepoint()
        if not self.writes and word in ("begin", "start") and _LIFTS_READ_ONLY.search(sql):
            return Fate(sql="BEGIN")
        if self.read == "mysql" and len(sql.split()) > 2:
            # WITH CONSISTENT SNAPSHOT, AND CHAIN, RELEASE: MySQL's alone.
            return Fate(sql={"start": "BEGIN"}.get(word, word.upper()))
        return KEPT

    def _savepoint(self) -> Fate:
        return _skipped("savepoint") if self.write == "redshift" != self.read else KEPT

    def _session(self, sql: str) -> Fate:
        word, *further = sql.lower().split()
        if word == "set":
            return self._set(sql)
        if self.read == self.write:
            return KEPT
        if word in ("savepoint", "release"):
            return self._savepoint()
        if self.read == "mysql":
            if word == "use":
                return self._search_path(sql.split(None, 1)[1])
            return _skipped(word)
        if self.write == "redshift":
            name = further[-1] if further else ""
            if word == "execute" or (word == "deallocate" and name != "all"):
                return KEPT
            if word in ("show", "reset") and (name in _SETTINGS_OF_REDSHIFT or name == "all"):
                return KEPT
            return _skipped(word)
        return KEPT

    def _set(self, sql: str) -> Fate:
        found = _SET.match(sql)
        name, value = (found[1].lower(), found[2].strip()) if found else ("", "")
        name = "timezone" if name.split() == ["time", "zone"] else name.lstrip("@")
        if name in self.settings:
            wanted = self.settings[name]
            return _skipped(f"set {name}") if wanted is None else Fate(f"SET {name} TO {wanted}")
        if not self.writes and _LIFTS_READ_ONLY.search(sql):
            return _skipped("set read write")
        if name == "search_path":
            moves = self.schemas and value.lower() != "default"
            return self._search_path(value) if moves else KEPT
        if self.read == self.write:
            return KEPT
        if self.read == "mysql":
            if name == "max_execution_time" and value.isdecimal():
                return Fate(f"SET statement_timeout TO {value}")
            if name == "time_zone" and value[:1] == "'" and "SYSTEM" not in value.upper():
                return self._time_zone(value)
            return _skipped(f"set {name or 'transaction'}")
        known = _SETTINGS_OF_REDSHIFT if self.write == "redshift" else _SETTINGS_OF_BOTH
        if name not in known:
            return _skipped(f"set {name or 'transaction'}")
        return KEPT

    def _time_zone(self, value: str) -> Fate:
        if not _OFFSET.match(value):
            return Fate(f"SET timezone TO {value}")
        if self.write == "redshift":
            return _skipped("set time_zone")
        # Without INTERVAL the sign would count the other way round, as POSIX has it.
        return Fate(f"SET TIME ZONE INTERVAL {value} HOUR TO MINUTE")

    def _search_path(self, listed: str) -> Fate:
        names = [name.strip(" ;`\"'\n") for name in listed.split(",")]
        moved = (self.schemas.get(name.lower(), name) for name in names)
        quoted = (name if re.fullmatch(r"[a-z_]\w*", name) else f'"{name}"' for name in moved)
        return Fate(f"SET search_path TO {', '.join(quoted)}")


def _skipped(what: str) -> Fate:
    return Fate(skipped=f"chatter: {what}")


def _is_system(table: str) -> bool:
    schema, _, name = table.lower().rpartition(".")
    return schema in _SYSTEM_SCHEMAS or (not schema and name.startswith(("pg_", "svv_", "stv_")))
