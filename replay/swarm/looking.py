"""The swarm's look at what the server says of a run: its clock before, everything after."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from replay.errors import FourstepError
from replay.inside.clock import Reading, read_clock
from replay.inside.inside import in_words, look_inside, written_names
from replay.inside.patience import Patience
from replay.inside.views import Views, open_views
from replay.target.target import Target, aws_facts
from replay.waiter import in_thread

logger = logging.getLogger(__name__)


class Look:
    """At one run; nothing that fails here is worth losing the run for."""

    def __init__(self, target: Target, facts: Mapping[str, Any], how: str) -> None:
        self._target, self._facts, self._how = target, facts, how
        self._before: Reading | None = None
        self.wanted = target.kind == "redshift" and how != "none"

    def begin(self) -> None:
        """Read the clock, to know its drift at the end."""
        if self.wanted:
            try:
                self._before = in_thread(self._read_clock)
            except FourstepError as error:
                logger.warning("the server's clock cannot be read: %s", error)

    def end(self, run: Path, patience: Patience) -> list[str]:
        """Read everything into the run; what was written, as names in it."""
        if not self.wanted:
            return []
        logger.info("reading what the server says of the run; Ctrl-C skips that")
        try:
            server = in_thread(
                lambda: look_inside(
                    run,
                    views=self._open,
                    facts=lambda: aws_facts(self._target),
                    patience=patience,
                    before=self._before,
                )
            )
        except Exception as error:
            logger.warning("what the server says was not read: %s", error)
            return []
        for line in in_words(server):
            logger.info("%s", line)
        return written_names(run)

    def _open(self) -> Views:
        return open_views(self._target, self._facts, how=self._how)

    def _read_clock(self) -> Reading:
        with closing(self._open()) as views:
            return read_clock(views)
