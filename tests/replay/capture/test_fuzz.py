"""Logs with anything done to them: capture ends, and every record is accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.capture.capture import capture
from replay.errors import Unreadable, UsageError
from tests.replay.capture.test_postgres_csv import record

STDERR = "2026-03-01 10:00:0{0}.500 UTC [{0}] ann@ads {1}:  {2}\n"
MESSAGES = (
    ("LOG", "duration: 1.500 ms  statement: SELECT 'secret7'\n\tFROM t"),
    ("LOG", "duration: 0.200 ms  execute S_1: SELECT $1"),
    ("DETAIL", "Parameters: $1 = 'secret7'"),
    ("ERROR", "division by zero"),
    ("STATEMENT", "SELECT 1/0, 'secret7'"),
)
SLOW = (
    "# Time: 2026-03-01T10:00:0{0}.500000Z\n# User@Host: ann[ann] @ app [10.0.0.1]  Id: {0}\n"
    "# Query_time: 0.5  Lock_time: 0.0 Rows_sent: 1  Rows_examined: 1\nuse ads;\n"
    "SET timestamp=1772359200;\nSELECT 'secret7'\nFROM t;\n"
)
SAMPLES = {
    "postgres-csv": "".join(
        record(text, time=f"2026-03-01 10:00:0{second}.500 UTC", severity=severity)
        for second, (severity, text) in enumerate(MESSAGES)
    ),
    "postgres-json": "".join(
        json.dumps(
            {
                "timestamp": f"2026-03-01 10:00:0{second}.500 UTC",
                "session_id": "1.2",
                "error_severity": severity,
                "message": text,
            }
        )
        + "\n"
        for second, (severity, text) in enumerate(MESSAGES)
    ),
    "postgres-stderr": "".join(
        STDERR.format(second, *message) for second, message in enumerate(MESSAGES)
    ),
    "mysql-slow": "".join(SLOW.format(second) for second in range(3)),
    "mysql-general": "".join(
        f"2026-03-01T10:00:0{second}.500000Z\t    {second} Query\tSELECT 'secret7'\nFROM t\n"
        for second in range(4)
    ),
    "redshift-audit": "".join(
        f"'2026-03-01T10:00:0{second}Z UTC [ db=ads user=ann pid=7{second} userid=1 xid={second} ]'"
        f" LOG: SELECT 'secret7'\nFROM t;\n"
        for second in range(4)
    ),
}
BITS = st.sampled_from(
    [b"\n", b"\t", b'"', b"'", b"\x00", b"\xff", b"LOG:  ", b"# ", b"{", b"]' LOG: ", b",,,", b" "]
)
HARM = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 400), BITS | st.binary(max_size=4)),
    max_size=6,
)


@pytest.mark.parametrize("log_format", SAMPLES)
@given(HARM, st.booleans())
@settings(deadline=None, max_examples=20)
def test_whatever_is_done_to_a_log_the_ledger_balances(
    log_format: str,
    tmp_path_factory: pytest.TempPathFactory,
    harm: list[tuple[int, int, bytes]],
    told: bool,
) -> None:
    directory = tmp_path_factory.mktemp("fuzz")
    data = SAMPLES[log_format].encode() * 2
    for at, length, bits in harm:
        at %= len(data) + 1
        data = data[:at] + bits + data[at + length :]
    log = directory / "log"
    log.write_bytes(data)
    try:
        workload = capture([str(log)], directory / "w", log_format=log_format if told else "auto")
    except (Unreadable, UsageError) as error:
        # Nothing in it could be used, or no zone and no prefix can be told any more.
        assert "secret7" not in str(error)
        assert not (directory / "w").exists()
        return
    assert workload.counts.balanced
    assert workload.counts.captured == len(workload.statements())
    quarantine = (Path(workload.path) / "quarantine.jsonl").read_text()
    assert len(quarantine.splitlines()) == workload.counts.quarantined.total()
    assert "secret7" not in quarantine
