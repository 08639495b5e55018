"""What goes on beside a test: the part of a cluster that nothing here plays."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def meanwhile(act: Callable[[], None], *, every: float) -> Iterator[None]:
    """Act every so many seconds in a thread, for the length of a block.

    Raises
    ------
    Exception
        What `act` raised, at the end of the block: from then on nothing was done any more.
    """
    over = threading.Event()
    failures: list[Exception] = []

    def repeat() -> None:
        while not over.wait(every):
            try:
                act()
            except Exception as error:  # noqa: BLE001 - whatever it is, the test has to know
                failures.append(error)
                return

    thread = threading.Thread(target=repeat, name=act.__qualname__)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]
