"""What sections stand on: made when first asked for, shared, and gone at the end."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType

from replay.target.embedded import EmbeddedServer
from tests.bench.measure import FOURSTEP
from tests.bench.traces import SETTINGS, run, trace
from tests.bench.wide import write_wide
from tests.wire_server import wire_server

WIDE = 1_000_000


class Ground:
    """A directory and, where a section asks for them, servers, logs and workloads."""

    def __init__(self, *, statements: int, seconds: int, planned: int) -> None:
        self.statements = statements
        self.seconds = seconds
        self.planned = planned
        self.peer = shutil.which("pgreplay")
        self._opened = ExitStack()

    def __enter__(self) -> Ground:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opened.close()

    @cached_property
    def directory(self) -> Path:
        """For everything that is written."""
        return Path(
            self._opened.enter_context(tempfile.TemporaryDirectory(prefix="fourstep-bench-"))
        )

    @cached_property
    def server(self) -> EmbeddedServer:
        """A real PostgreSQL."""
        return self._opened.enter_context(EmbeddedServer("bench", settings=SETTINGS))

    @cached_property
    def wire_url(self) -> str:
        """A server that answers at once."""
        return self._opened.enter_context(wire_server())

    @cached_property
    def logs(self) -> dict[str, Path]:
        """Of pgbench's SELECT, in three forms."""
        return trace(self.server, self.directory, self.statements)

    @cached_property
    def wide(self) -> Path:
        """A million statements of many templates."""
        return write_wide(self.directory / "wide", WIDE)

    @cached_property
    def captured(self) -> Path:
        """The workload of the csvlog."""
        out = self.directory / "captured"
        run([*FOURSTEP, "capture", str(self.logs["csvlog"]), "-o", str(out)])
        return out

    @cached_property
    def parsed(self) -> Path:
        """The same as the peer has it."""
        out = self.directory / "trace.replay"
        assert self.peer is not None
        run([self.peer, "-f", "-c", "-o", str(out), str(self.logs["csvlog"])])
        return out
