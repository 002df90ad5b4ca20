"""What the user may turn."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from replay.errors import UsageError
from replay.moment import moment_of

MODES = ("open", "pool")
PACES = ("captured", "think")
DRAWS = ("sessions", "statements")
VARIATIONS = ("literals", "none")
CACHES = ("off", "on")
USERS = ("login", "captured")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dials:
    """What the user may turn; every one is recorded in run.json."""

    mode: str = "open"
    """`open`: statements are sent when they are due. `pool`: by `users` connections, each as soon
    as it has its answer."""
    pace: str = "captured"
    """What a statement after its session's first is due by: the `captured` offset, or the end of
    the one before and the time its user then took to `think`."""
    users: int = 1
    """Connections of a pool."""
    ramp_per_s: float | None = None
    """How many of them are added in a second; None: all at once."""
    draw: str = "sessions"
    """What a pool's connections take in turn: whole `sessions`, or `statements` by themselves."""
    endless: bool = False
    """Whether a pool draws until the run is ended, rather than everything once."""
    scale: float = 1.0
    """Copies of every session; the part below one is a seeded sample of whole sessions."""
    speed: float = 1.0
    """Divides captured offsets: a stress mode, it distorts bursts."""
    seed: int = 1
    jitter_s: float = 10.0
    """Clones are shifted by up to this much, or by a tenth of the window if that is less."""
    statement_timeout_s: float = 300.0
    lag_budget_ms: float = 250.0
    writes: bool = False
    since: str | None = None
    until: str | None = None
    """ISO 8601: only what 1.0 began from `since` on and before `until`."""
    think: float = 1.0
    """Multiplies the time between an answer of 1.0 and its user's next statement."""
    max_idle_s: float | None = None
    """Stretches in which 1.0 answered nobody are cut to this."""
    loop_s: float = 0.0
    """Begin again until this long after zero."""
    roll_s: float = 0.0
    """Samples go to a file of their own each time this long; zero: one file a worker."""
    vary: str = "literals"
    """Whether clones draw `literals` from other statements of their template, or `none`."""
    digest: bool = False
    """Whether a digest of each answer is recorded."""
    result_cache: str = "off"
    """Whether Redshift may answer from its result cache."""
    search_path: str | None = None
    """Every session's, where it is not the target's own."""
    warm_up: bool | None = None
    """Whether each template is sent once before the run; None: on Redshift."""
    act_as: str = "login"
    """Whose rights sessions have: the `login` user's, or the `captured` user's, which a superuser
    may take on."""

    def __post_init__(self) -> None:
        for name in ("scale", "speed", "statement_timeout_s", "lag_budget_ms"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise UsageError(f"`--{name.replace('_', '-')}` must be a positive number")
        for name in ("think", "max_idle_s", "loop_s", "roll_s"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value >= 0):
                option = name.removesuffix("_s").replace("_", "-")
                raise UsageError(f"`--{option}` must be a number that is not negative")
        if self.seed < 0:
            raise UsageError("`--seed` must not be negative")
        for option, moment in (("--from", self.since), ("--to", self.until)):
            if moment is not None:
                moment_of(moment, option=option)
        if self.users < 1:
            raise UsageError("`--users` must be at least one")
        for option, known in (
            ("mode", MODES),
            ("pace", PACES),
            ("draw", DRAWS),
            ("vary", VARIATIONS),
            ("result_cache", CACHES),
            ("act_as", USERS),
        ):
            if getattr(self, option) not in known:
                spelled = option.replace("_", "-")
                raise UsageError(f"`--{spelled}` must be {' or '.join(known)}")
        if self.mode == "pool" and (self.pace != "captured" or self.loop_s):
            raise UsageError(
                "`--mode pool` has no use for `--pace` and `--loop`: its connections never wait",
                hint="say how long with -t; the workload begins again and again",
            )

        if self.act_as == "captured" and self.draw == "statements":
            raise UsageError(
                "`--act-as captured` is of whole sessions", hint="leave out --draw statements"
            )

    def users_of(self, shard: int, shards: int) -> range:
        """The pool's connections that one of several workers has."""
        return range(shard, self.users, shards)

    def as_json(self) -> dict[str, Any]:
        """The `dials` object of run.json."""
        return asdict(self)
