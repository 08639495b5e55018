"""Free ports on loopback, held while a control plane runs.

Below the range from which the kernel takes ports for outgoing connections, so that none is taken
while its server restarts; a lock file a port keeps two control planes apart.
"""

from __future__ import annotations

import contextlib
import fcntl
import random
import socket
from typing import TYPE_CHECKING

from cluster.cache import lock_folder
from cluster.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST, LAST = 20_000, 30_000


@contextlib.contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Yield `count` free ports that no other holder of this lock takes."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        for port in random.sample(range(FIRST, LAST), LAST - FIRST):
            if len(ports) == count:
                break
            if _claim(port, held):
                ports.append(port)
        if len(ports) < count:
            raise ClusterError(f"no {count} free ports between {FIRST} and {LAST} on loopback")
        yield ports


def _claim(port: int, held: contextlib.ExitStack) -> bool:
    path = lock_folder() / f"port-{port}.lock"
    with contextlib.ExitStack() as attempt:
        lock = attempt.enter_context(path.open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        held.push(attempt.pop_all())
        return True
