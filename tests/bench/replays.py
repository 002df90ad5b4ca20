"""Sections on the replay: how fast, how punctual, how much of memory."""

from __future__ import annotations

import os

import numpy as np

from replay.synthetic import write_synthetic
from tests.bench.ground import Ground
from tests.bench.measure import lag_ms, rate_of, replay, say, timed
from tests.bench.traces import host_of
from tests.replay.planned import write_workload

FLAT = 1_000_000
RATE, AT_ONCE = 2_000, 100
SESSIONS, OPENING_S, HELD_S = 5_000, 10, 30
ROWS, COLUMNS, SMALL_PER_S, QUIET_S, BESIDE_S = 10_000_000, 10, 20, 5, 25


def flat(ground: Ground) -> None:
    """Flat out on pgbench's SELECT, one worker, every sample kept, beside pgreplay."""
    workload, url = ground.captured, ground.server.url()
    samples, _ = replay(ground.directory / "flat", workload, url, "--speed", "1000000")
    ours = rate_of(samples)
    say("flat out on PostgreSQL, one worker", f"{ours:,.0f}/s")
    if not ground.peer:
        print("  pgreplay is not installed: no ratio")
        return
    host, parsed = host_of(ground.server), str(ground.parsed)
    theirs_s = timed([ground.peer, "-r", "-j", "-s", "1000000", "-h", host, parsed])
    theirs = ground.statements / theirs_s
    say("  of pgreplay, process and all", f"{ours / theirs:.2f} of {theirs:,.0f}/s")


def workers(ground: Ground) -> None:
    """Two workers beside one, on a target that answers at once."""
    number = np.arange(FLAT)
    workload = ground.directory / "even"
    write_synthetic(workload, due_us=number * 0, session=number % 200, question="SELECT {}")
    rates = [
        rate_of(replay(ground.directory / f"by-{count}", workload, "null:", *options)[0])
        for count, options in ((1, ()), (2, ("--processes", "2")))
    ]
    for count, rate in enumerate(rates, start=1):
        say(f"flat out on null:, {count} worker{'s' * (count > 1)}", f"{rate:,.0f}/s")
    ratio = rates[1] / rates[0]
    busy = f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} a minute before the end"
    say(f"  two beside one ({busy})", f"{ratio:.2f}", "1.5 with 2 idle CPUs", met=ratio >= 1.5)


def punctual(ground: Ground) -> None:
    """A steady rate against a real PostgreSQL."""
    number = np.arange(RATE * ground.seconds)
    workload = ground.directory / "steady"
    write_synthetic(
        workload,
        due_us=number * 1_000_000 // RATE,
        session=number % AT_ONCE,
        question="SELECT relname FROM pg_class WHERE oid = {}",
    )
    samples, _ = replay(ground.directory / "punctual", workload, ground.server.url())
    logging_in = samples["due_us"].to_numpy() < 1_000_000
    first, lags = lag_ms(samples.filter(logging_in)), lag_ms(samples.filter(~logging_in))
    about = f"{RATE:,} statements/s for {ground.seconds} s in {AT_ONCE} sessions, PostgreSQL"
    print(f"  {about}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    say("at most in the first second, when all log in", f"{first.max():.1f} ms")
    for name, p, bar_ms in (("p50", 0.5, 0.7), ("p99", 0.99, 2.0)):
        lag = float(np.quantile(lags, p))
        say(f"tool lag {name}", f"{lag:.2f} ms", f"{bar_ms} ms", met=lag <= bar_ms)
    say("tool lag at most", f"{lags.max():.1f} ms")


def sessions(ground: Ground) -> None:
    """Thousands of open sessions on one worker, each asking once a second."""
    held_s = min(HELD_S, ground.seconds)
    first_us = np.arange(SESSIONS) * (OPENING_S * 1_000_000) // SESSIONS
    due_us = first_us[:, None] + np.arange(OPENING_S + held_s) * 1_000_000
    session = np.repeat(np.arange(SESSIONS), due_us.shape[1])
    workload = ground.directory / "open"
    write_synthetic(workload, due_us=due_us.ravel(), session=session, question="SELECT {}")
    samples, found = replay(ground.directory / "sessions", workload, ground.wire_url)
    due = samples["due_us"].to_numpy()
    beyond = (due >= OPENING_S * 1_000_000) & (due < (OPENING_S + held_s) * 1_000_000)
    lags = lag_ms(samples.filter(beyond))
    failed = len(samples) - samples["status"].to_pylist().count("ok")
    print(f"  {SESSIONS:,} sessions, 1 statement/s each, for {held_s} s; {failed} failed")
    p99, most = float(np.quantile(lags, 0.99)), float(lags.max())
    say("tool lag p99", f"{p99:.2f} ms", "50 ms", met=p99 <= 50)
    say("tool lag at most", f"{most:.1f} ms", "50 ms", met=most <= 50)
    files, rss_kb = np.array(found.files), np.array(found.rss_kb)
    full = int(np.argmax(files >= files.max() - 10))
    # The last look before the first logins: what was loaded is there, and no session.
    before = int(np.flatnonzero(files[:full] < files[:full].min() + 20)[-1])
    each_kb = (rss_kb[full] - rss_kb[before]) / (files[full] - files[before])
    say("memory of this process for each open session", f"{each_kb:.1f} KB")


def answer(ground: Ground) -> None:
    """An answer of millions of rows in one session, small statements in another."""
    said = [(n / SMALL_PER_S, "small", f"SELECT {n}") for n in range(SMALL_PER_S * BESIDE_S)]
    said.append((QUIET_S, "large", f"SELECT 1 -- rows {ROWS} -- columns {COLUMNS}"))
    workload = write_workload(ground.directory / "beside", sorted(said), kind="select").path
    samples, found = replay(ground.directory / "answer", workload, ground.wire_url)
    large = samples.filter(np.array(samples["rows"].to_pylist()) == ROWS).to_pylist()[0]
    small = samples.filter(np.array(samples["session_id"].to_pylist()) == "small")
    due_us, done_us = (small[name].to_numpy() for name in ("due_us", "done_us"))
    during = (done_us >= large["sent_us"]) & (due_us <= large["done_us"])
    delay_ms = (done_us - due_us) / 1e3
    added_ms = float(delay_ms[during].max() - np.median(delay_ms[~during]))
    took_s = (large["done_us"] - large["sent_us"]) / 1e6
    size = f"{ROWS:,} rows of {COLUMNS} columns"
    print(f"  {size} in {took_s:.1f} s beside {SMALL_PER_S} small statements/s")
    say(
        f"largest delay added, of {during.sum()}", f"{added_ms:.1f} ms", "20 ms", met=added_ms <= 20
    )
    peak = max(found.peak_mb.values())
    say("peak memory of the worker", f"{peak:.0f} MB", "250 MB", met=peak <= 250)
