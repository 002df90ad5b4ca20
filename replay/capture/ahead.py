"""Reading ahead: the next items are made in a thread while the last one is worked on.

Arrow's kernels and decompression release the interpreter, so reading a log and assembling sessions
share two cores.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_DEPTH = 2


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, at most two of them made ahead; an exception comes where it would have."""
    made: queue.Queue[Item | _End] = queue.Queue(_DEPTH)
    stopped = threading.Event()

    def put(item: Item | _End) -> None:
        while not stopped.is_set():
            try:
                made.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def make() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    break
        except BaseException as raised:
            error = raised
        put(_End(error))

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    try:
        while not isinstance(item := made.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        maker.join()
