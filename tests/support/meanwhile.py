"""Background tasks of a test, for parts of a cluster without a stand-in."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def meanwhile(act: Callable[[], None], *, every: float) -> Iterator[None]:
    """Call a function at intervals in a thread, for the duration of the block.

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
