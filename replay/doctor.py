"""Whether a run here would be worth its while: each check ok, failed or unknown, with the remedy.

A check that this user may not make is unknown; none ends the others. Nothing is changed anywhere.
Amazon Redshift developer guide, "System tables and views reference"; Amazon Redshift API.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq

from replay.aws import ask
from replay.calibration import calibration_path
from replay.dials import Dials
from replay.errors import FourstepError, Unreachable, UsageError
from replay.inside.clock import read_clock
from replay.inside.views import ConnectedViews
from replay.plan import build_plan
from replay.target.redshift import Described, describe, refuse_unsteady
from replay.target.target import Target, log_in, parse_target
from replay.workload import Workload

_FREE_GB = 5
_CLOCK_US = 1_000_000
_CONNECTIONS = {"dc2.large": 500}
_MOST_CONNECTIONS = 2_000
"""Amazon Redshift management guide, "Quotas and limits"."""
_GRANT = "ask a superuser, or let one ALTER USER … SYSLOG ACCESS UNRESTRICTED"
_LETS_WRITE = """
    SELECT count(*) FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'pg_internal') AND
    has_table_privilege(current_user, quote_ident(schemaname) || '.' || quote_ident(tablename),
                        'insert')
"""

Answer = tuple[bool | None, str]
"""Whether it is well, None where that cannot be told; and what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's."""

    check: str
    state: str
    """`ok`, `fail` or `unknown`."""
    found: str
    remedy: str | None = None
    """Where it is not ok."""


@dataclass(kw_only=True)
class _Patient:
    """What is examined; grows as its checks succeed."""

    url: str
    peak: int | None = None
    target: Target = field(init=False)
    described: Described | None = None
    session: psycopg.Connection = field(init=False)

    @property
    def told(self) -> Described:
        """AWS's word.

        Raises:
            Unreachable: there is none.
        """
        if self.described is None:
            raise Unreachable("AWS was not asked, or does not tell")
        return self.described

    def one(self, sql: str) -> Any:  # noqa: ANN401  SQL's
        """The first value of an answer; None without a row."""
        row = self.session.execute(sql.encode()).fetchone()
        return row and row[0]

    def aws(self, call: str, serverless: str, **asked: Any) -> dict[str, Any]:  # noqa: ANN401
        """A call about the cluster, or the other one about the workgroup with `asked`."""
        facts = self.told.facts
        if "cluster" in facts:
            service, asked = "redshift", {"ClusterIdentifier": facts["cluster"]}
        else:
            service, call = "redshift-serverless", serverless
        return ask(service, call, subject=call, region=facts["region"], **asked)


Look = Callable[[_Patient], Answer]


def examine(url: str | None, *, workload: Path | None, scale: float) -> Iterator[Finding]:
    """This machine and, with a URL, the target; with a workload, whether its sessions fit.

    Raises:
        UsageError: no URL of a target.
        Unreadable: the workload cannot be read.
    """
    patient = _Patient(url=url or "")
    if workload is not None:
        plan = build_plan(Workload(workload), Dials(scale=scale))
        patient.peak = plan.timetable.peak_sessions()
    yield from _look(_MACHINE, patient)
    if url is None:
        return
    reached = list(_look(_REACH, patient))
    yield from reached
    if reached[0].state != "ok" or patient.target.kind == "null":
        return
    with patient.session:
        yield from _look(_SERVER, patient)
        if patient.target.kind == "redshift":
            yield from _look(_REDSHIFT, patient)


def as_text(findings: Sequence[Finding]) -> str:
    """A line for each check, and one for its remedy."""
    lines = []
    for each in findings:
        lines.append(f"{each.state:8} {each.check}: {each.found}")
        if each.remedy:
            lines.append(f"{'':8} hint: {each.remedy}")
    return "\n".join(lines)


def _look(checks: Mapping[str, tuple[Look, str]], patient: _Patient) -> Iterator[Finding]:
    for check, (look, remedy) in checks.items():
        try:
            well, found = look(patient)
        except UsageError:
            raise
        except (psycopg.Error, FourstepError, OSError) as error:
            well, causes = (False if check in _REACH else None), (error, error.__cause__)
            found = "; ".join(str(each).strip().partition("\n")[0] for each in causes if each)
            remedy = getattr(error, "hint", None) or remedy
        state = {True: "ok", False: "fail", None: "unknown"}[well]
        yield Finding(check=check, state=state, found=found, remedy=None if well else remedy)


def _disk(_: _Patient) -> Answer:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    return free_gb > _FREE_GB, f"{free_gb:.0f} GB free here"


def _reached(patient: _Patient) -> Answer:
    patient.target = parse_target(patient.url, statement_timeout_s=60)
    if patient.target.kind == "null":
        return True, "null:"
    address = patient.target.address
    if address and (address.cluster or address.workgroup):
        with suppress(FourstepError):
            patient.described = describe(address)
        if patient.described is not None:
            refuse_unsteady(patient.described.facts)
    patient.session = log_in(patient.target)
    return True, f"{patient.target.host}, as `{patient.session.info.user}`"


def _tls(patient: _Patient) -> Answer:
    verified = "sslmode=verify-full" in patient.target.conninfo
    used = bool(patient.session.pgconn.ssl_in_use)
    return used and verified, f"{'' if used else 'not '}used, {'' if verified else 'not '}verified"


def _read_only(patient: _Patient) -> Answer:
    tables = int(patient.one(_LETS_WRITE))
    return not tables, f"this user may write into {tables:,} tables"


def _not_superuser(patient: _Patient) -> Answer:
    found = patient.one("SELECT usesuper FROM pg_user WHERE usename = current_user")
    return not found, f"this user is {'' if found else 'not '}a superuser"


def _clock(patient: _Patient) -> Answer:
    with closing(ConnectedViews(patient.target)) as views:
        reading = read_clock(views)
    found = f"{reading.offset_us:+,} us ahead of ours, within {reading.error_us:,} us"
    return abs(reading.offset_us) < _CLOCK_US + reading.error_us, found


def _backend(patient: _Patient) -> Answer:
    ours, theirs = patient.session.info.backend_pid, patient.one("SELECT pg_backend_pid()")
    return ours == theirs, f"{theirs}, and {ours} by the protocol"


def _connections(patient: _Patient) -> Answer:
    if patient.target.kind == "redshift":
        node_type = patient.described and patient.described.facts.get("node_type")
        limit = _CONNECTIONS.get(str(node_type), _MOST_CONNECTIONS)
    else:
        limit = int(patient.one("SHOW max_connections"))
    if patient.peak is None:
        return True, f"at most {limit:,}"
    return patient.peak < limit, f"at most {limit:,}, and the workload wants {patient.peak:,}"


def _views(patient: _Patient) -> Answer:
    for view in ("sys_query_history", "stl_query"):
        with suppress(psycopg.Error):
            patient.one(f"SELECT 1 FROM {view} LIMIT 0")
            return True, view
    return False, "neither sys_query_history nor stl_query may be read"


def _size(patient: _Patient) -> Answer:
    facts = patient.told.facts
    return True, ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)


def _result_cache(patient: _Patient) -> Answer:
    found = str(patient.one("SHOW enable_result_cache_for_session")).strip()
    return found == "off", f"{found} in our sessions"


def _routing(patient: _Patient) -> Answer:
    if patient.target.address and patient.target.address.workgroup:
        return True, "serverless has no queues"
    rows = patient.session.execute(b"SELECT condition FROM stv_wlm_classification_config")
    groups = [each.strip() for (text,) in rows for each in _GROUPS.findall(text)]
    taken = [group for group in groups if fnmatch("fourstep-x", group)]
    return not taken, f"query groups {', '.join(groups) or 'none'}"


def _queues(patient: _Patient) -> Answer:
    rows = patient.session.execute(
        b"SELECT trim(name), num_query_tasks, trim(concurrency_scaling) "
        b"FROM stv_wlm_service_class_config WHERE service_class > 5 ORDER BY service_class"
    ).fetchall()
    told = [f"{name} ({slots} slots, concurrency scaling {mode})" for name, slots, mode in rows]
    return bool(told) or None, "; ".join(told) or "none shown"


def _loaded(patient: _Patient) -> Answer:
    status = patient.told.told.get("RestoreStatus") or {}
    done = status.get("Status", "completed")
    return done == "completed", f"restore from a snapshot: {done}"


def _audit(patient: _Patient) -> Answer:
    namespace = patient.told.told.get("namespaceName")
    found = patient.aws("describe_logging_status", "get_namespace", namespaceName=namespace)
    on = found.get("LoggingEnabled") or (found.get("namespace") or {}).get("logExports")
    return bool(on), "on" if on else "off"


def _limits(patient: _Patient) -> Answer:
    arn = patient.told.told.get("workgroupArn")
    found = patient.aws("describe_usage_limits", "list_usage_limits", resourceArn=arn)
    limits = found.get("UsageLimits") or found.get("usageLimits") or []
    return bool(limits), f"{len(limits)} set"


REACHABLE = "reachable"
_GROUPS = re.compile(r"query group: ([^)]+)")
_MACHINE: dict[str, tuple[Look, str]] = {
    "libpq": (lambda _: (pq.version() >= 170_000, str(pq.version())), "install psycopg[binary]"),
    "disk": (_disk, "runs take about 100 bytes a statement; choose another --run-dir"),
    "calibration": (
        lambda _: (calibration_path().is_file(), f"kept in {calibration_path()}"),
        "run `fourstep calibrate` while this machine is idle",
    ),
}
_REACH: dict[str, tuple[Look, str]] = {
    REACHABLE: (_reached, "check host, port, user, password, security group and region"),
}
_SERVER: dict[str, tuple[Look, str]] = {
    "version": (lambda patient: (True, str(patient.one("SELECT version()"))), ""),
    "TLS": (_tls, "add ?sslmode=verify-full, and sslrootcert=system or a file"),
    "read only": (_read_only, "replay as a user with SELECT alone"),
    "no superuser": (_not_superuser, "replay as an ordinary user, unless for --act-as captured"),
    "backend pid": (_backend, "a proxy in between hides it: connect to the server itself"),
    "clock": (_clock, "synchronise this machine's clock (NTP)"),
    "connections": (_connections, "lower --scale, or replay a shorter window"),
}
_REDSHIFT: dict[str, tuple[Look, str]] = {
    "size": (_size, "name the cluster or workgroup, and allow redshift:DescribeClusters"),
    "system views": (_views, _GRANT),
    "result cache": (_result_cache, "leave --result-cache off"),
    "query group": (_routing, f"our label routes to a queue, or may not be seen; {_GRANT}"),
    "queues": (_queues, f"they may not be seen: {_GRANT}"),
    "snapshot": (_loaded, "wait: blocks still come from the snapshot, and first reads are slow"),
    "audit logging": (_audit, "switch it on, to have a log to capture from this side, too"),
    "usage limits": (_limits, "create-usage-limit stops a test before it costs too much"),
}
