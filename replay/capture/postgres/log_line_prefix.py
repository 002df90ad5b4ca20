"""PostgreSQL's `log_line_prefix`: what stands before each message of a stderr log.

Escapes: PostgreSQL manual, 19.8.2. A prefix is given, or found among those in use by trying them on
a log's first lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from replay.capture.postgres.message import SEVERITIES
from replay.errors import UsageError

PARTS = ("DETAIL", "HINT", "QUERY", "CONTEXT", "LOCATION", "STATEMENT", "BACKTRACE")
"""What a message's further lines begin with; each has the prefix again."""

USUAL = (
    "%m [%p] ",  # the default since 10
    "%m [%p] %q%u@%d ",  # Debian
    "%t [%p-%l] %q%u@%d ",  # Debian up to 9.6
    "%m [%p] %q%u@%d/%a %c ",
    "%t:%r:%u@%d:[%p]:",  # RDS and Aurora
    "%m [%p]: [%l-%c] db=%d,user=%u ",  # Cloud SQL
    "%m [%p]: [%l-1] db=%d,user=%u ",
    "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",  # what pgBadger's manual asks for
    "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: db=%d,user=%u,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u,db=%d ",
    "%t [%p]: [%l-1] db=%d,user=%u ",
    "%m [%p] user=%u,db=%d,app=%a,client=%h ",
    "%m [%p] user=%u,db=%d,app=%a ",
    "%m [%p] user=%u,db=%d ",
    "%m [%p] [%u@%d] [%a] [%h] ",
    "%m|%u|%d|%c|",  # what pgreplay's manual asks for
    "%m [%p] %u@%d ",
    "%t [%p]: [%l-1] %u@%d ",
    "%t [%p]: [%l-1] ",
    "%m [%p]: [%l-1] ",
    "%t-%c-",  # Azure
    "%t [%p] ",
    "%t [%p]: ",
    "%m %p %u@%d ",
    "%m:%r:%u@%d:[%p]:",
    "%m [%p]: ",
)
"""Prefixes in use, for logs whose prefix is not given; of those that fit all lines the one that
tells most is taken."""

_STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_ZONE = r"[A-Za-z0-9+:-]+"
_ESCAPES = {
    "a": "(?P<application>.*?)",
    "u": "(?P<user>.*?)",
    "d": "(?P<database>.*?)",
    "r": r"(?P<client>\S*?)",
    "h": r"(?P<client>\S*?)",
    "L": r"\S*?",
    "b": ".*?",
    "p": r"(?P<pid>\d+)",
    "P": r"\d*",
    "t": f"(?P<stamp>{_STAMP}) (?P<zone>{_ZONE})",
    "m": rf"(?P<stamp>{_STAMP}\.\d{{3}}) (?P<zone>{_ZONE})",
    "n": r"(?P<epoch>\d+\.\d{3})",
    "i": ".*?",
    "e": r"(?P<sqlstate>[0-9A-Z]{5})",
    "c": r"(?P<session>[0-9a-f]+\.[0-9a-f]+)",
    "l": r"\d+",
    "s": f"{_STAMP} {_ZONE}",
    "v": r"[\d/]*",
    "x": r"\d+",
    "Q": r"-?\d+",
    "%": "%",
}
_ESCAPE = re.compile(r"%(-?\d*)(.)")
_SQLSTATE = "[0-9][0-9A-Z]{4}|[A-Z][0-9][0-9A-Z]{3}|[A-Z]{2}[0-9]{3}"
# CloudWatch's export puts its own stamp before each event.
_EXPORT = r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z )?"


@dataclass(frozen=True, slots=True)
class LogLinePrefix:
    """A prefix and the RE2 pattern of the lines that begin with it."""

    text: str
    head: str
    """Matches a line that begins a message or a part of one."""
    main: str
    """Matches a line that begins a message."""
    record: str
    """Takes a whole record apart: names of escapes, `severity`, `message`."""
    names: frozenset[str]

    @classmethod
    def of(cls, text: str) -> LogLinePrefix:
        """The prefix as the setting gives it.

        Raises:
            UsageError: it has an unknown escape, or tells neither time nor session.
        """
        pattern, names = _pattern(text)
        if not names & {"stamp", "epoch"} or not names & {"pid", "session"}:
            raise UsageError(
                f"log_line_prefix `{text}` tells "
                + ("no time" if not names & {"stamp", "epoch"} else "no session"),
                hint="it needs %m (or %t, %n) and %c (or %p)",
            )
        main, parts = "|".join(SEVERITIES), "|".join(PARTS)
        begins = f"^{_EXPORT}{pattern}"
        return cls(
            text=text,
            head=f"{begins}(?:{main}|{parts}):  ",
            main=f"{begins}(?:{main}):  ",
            record=f"(?s){begins}(?P<severity>{main}|{parts}):  "
            rf"(?:(?P<verbose>{_SQLSTATE}): )?(?P<message>.*)$",
            names=frozenset(names),
        )

    @property
    def resolution_us(self) -> int:
        """How fine its stamps are."""
        return 1_000 if "%m" in self.text or "%n" in self.text else 1_000_000


def _pattern(text: str) -> tuple[str, set[str]]:
    names: set[str] = set()
    parts, at, optional = [], 0, 0
    for found in _ESCAPE.finditer(text):
        parts.append(re.escape(text[at : found.start()]))
        at = found.end()
        padding, escape = found.groups()
        if escape == "q":
            # Processes without a session print nothing from here on.
            parts.append("(?:")
            optional += 1
            continue
        if escape not in _ESCAPES:
            raise UsageError(
                f"log_line_prefix `{text}` has `{found[0]}`, which no PostgreSQL knows",
                hint="give it as SHOW log_line_prefix prints it",
            )
        pattern = _ESCAPES[escape]
        for name in re.findall(r"\(\?P<(\w+)>", pattern):
            if name in names:
                pattern = pattern.replace(f"(?P<{name}>", "(?:")
            names.add(name)
        parts.append(f" *{pattern} *" if padding else pattern)
    parts.append(re.escape(text[at:]))
    return "".join(parts) + ")?" * optional, names


def find_prefix(lines: list[str]) -> LogLinePrefix | None:
    """The usual prefix that fits the most lines; of several, the one that tells most of them."""
    best: tuple[int, int] = (0, 0)
    found = None
    for text in USUAL:
        prefix = LogLinePrefix.of(text)
        # Names may hold anything, but a guess that needs a space in one is a bad guess.
        head = re.compile(
            prefix.head.replace("P<user>.*?", "P<user>[^ ]*?").replace(
                "P<database>.*?", "P<database>[^ ]*?"
            )
        )
        fits = [match for line in lines if (match := head.match(line))]
        told = {name for match in fits for name, value in match.groupdict().items() if value}
        if fits and (len(fits), len(told)) > best:
            best, found = (len(fits), len(told)), prefix
    return found
