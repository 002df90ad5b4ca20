"""A section on ramps: the knee beside the capacity that pgbench finds of the same server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from replay.synthetic import write_synthetic
from tests.bench.ground import Ground
from tests.bench.measure import FOURSTEP, local_ports, say, watched
from tests.bench.traces import host_of
from tests.slots import serve_slots

SLOTS, HELD_S, PER_S, STEP_S = 4, 0.02, 60, 20
_GATES = """
schema = 1
[[gate]]
id = "p95"
metric = "latency.response"
stat = "p95"
max = "500ms"
min_samples = 200
"""


def knee(ground: Ground) -> None:
    """The scale at which a server of four slots breaks, beside what pgbench reaches there."""
    url = serve_slots(ground.server, slots=SLOTS, held_s=HELD_S)
    tool = shutil.which("pgbench")
    if tool is None:
        print("  pgbench is not installed: no capacity to compare with")
        return
    script = ground.directory / "slots.sql"
    script.write_text("SELECT work(1);\n")
    host = ["-h", host_of(ground.server), "-U", "postgres", Path(url.partition("?")[0]).name]
    command = [tool, "-n", "-c", str(SLOTS), "-T", "10", "-f", str(script), *host]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"tps = ([\d.]+)", told.stdout)
    if found is None:
        sys.exit(f"pgbench failed:\n{told.stderr}")
    capacity = float(found[1])
    due_us = np.sort(np.random.default_rng(1).uniform(0, (STEP_S + 5) * 1e6, PER_S * (STEP_S + 5)))
    count = len(due_us)
    workload, gates = ground.directory / "slots", ground.directory / "knee.toml"
    write_synthetic(
        workload,
        due_us=due_us.astype(np.int64),
        session=np.arange(count) % PER_S,
        question="SELECT work({})",
    )
    gates.write_text(_GATES)
    out = ground.directory / "ramp"
    command = [*FOURSTEP, "ramp", "--workload", str(workload), "--host", url, "-o", str(out)]
    command += ["--bisect", "1..8", "--step-time", f"{STEP_S}s", "--cool-down", "2s"]
    watched([*command, "--gates", str(gates), *local_ports()], ground.directory)
    document = json.loads((out / "ramp.json").read_text())
    at = document["knee"]
    say("pgbench, a connection a slot", f"{capacity:.0f}/s")
    say(f"knee {at['value']:.2f}×, between {at['low']:g}× and {at['high']:g}×",
        f"{at['value'] * PER_S:.0f}/s")  # fmt: skip
    apart = at["value"] * PER_S / capacity - 1
    say("  apart", f"{apart:+.1%}", "within 15 %", met=abs(apart) <= 0.15)
