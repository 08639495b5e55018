"""Operators in network namespaces of their own, each on a wire to the API server that can be cut.

The wires are veth pairs that end in a bridge of the host, which has the address at which the API
server listens. A cut wire loses what is sent: no connection is refused or reset.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from cluster.commands import run
from cluster.errors import ClusterError
from cluster.network import NAMESPACES, blocks_in_use
from cluster.prerequisites import require_linux_root
from tests.support.failures.replicas import Replica, ready_in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from cluster.controlplane import ControlPlane

BLOCKS = range(200, 256)
"""Second bytes of 10.x.0.0/24 to try: clusters on this machine take those below."""
DEVICE = "eth0"
FETCH = """\
import http.client, json, sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=15) as answer:
        print(json.dumps([answer.status, answer.read().decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, error.read().decode()]))
except (OSError, http.client.HTTPException) as error:
    print(json.dumps([0, repr(error)]))
"""


@dataclass(frozen=True, slots=True)
class Wire:
    """The way of one namespace to the host."""

    namespace: str
    device: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """Goes before a command to run it at the far end."""
        return ("nsenter", f"--net={NAMESPACES / self.namespace}", "--")

    def cut(self) -> None:
        """Drop all packets in both directions from now on."""
        run("ip", "link", "set", self.device, "down")

    def restore(self) -> None:
        """Deliver packets again, with those that the kernel still retransmits."""
        run("ip", "link", "set", self.device, "up")


@dataclass(frozen=True, slots=True)
class Switch:
    """The host's end of all wires."""

    bridge: str
    block: int

    @property
    def address(self) -> str:
        """Where the host is reached from the other ends."""
        return f"10.{self.block}.0.1"

    @contextlib.contextmanager
    def wire(self, number: int) -> Iterator[Wire]:
        """Yield a network namespace with one link to the host."""
        wire = Wire(f"{self.bridge}-{number}", f"{self.bridge}-{number}")
        run("ip", "netns", "add", wire.namespace)
        try:
            run(
                *("ip", "link", "add", wire.device, "type", "veth"),
                *("peer", "name", DEVICE, "netns", wire.namespace),
            )
            run("ip", "link", "set", wire.device, "master", self.bridge, "up")
            inside = (*wire.prefix, "ip")
            run(*inside, "link", "set", "lo", "up")
            run(*inside, "address", "add", f"10.{self.block}.0.{number + 2}/24", "dev", DEVICE)
            run(*inside, "link", "set", DEVICE, "up")
            yield wire
        finally:
            with contextlib.suppress(ClusterError):  # it may not have come so far
                run("ip", "link", "delete", wire.device)
            run("ip", "netns", "delete", wire.namespace)


@contextlib.contextmanager
def switch() -> Iterator[Switch]:
    """Yield a bridge with an address that nothing else on this machine has."""
    require_linux_root()
    used_blocks = blocks_in_use()
    block = next(block for block in BLOCKS if block not in used_blocks)
    bridge = Switch(f"wire{os.getpid() % 10_000_000}", block)
    run("ip", "link", "add", bridge.bridge, "type", "bridge")
    try:
        run("ip", "address", "add", f"{bridge.address}/24", "dev", bridge.bridge)
        run("ip", "link", "set", bridge.bridge, "up")
        yield bridge
    finally:
        run("ip", "link", "delete", bridge.bridge)


class WiredReplica(Replica):
    """An operator in a network namespace; its HTTP server is queried from there."""

    def __init__(
        self,
        plane: ControlPlane,
        name: str,
        folder: Path,
        *,
        wire: Wire,
        extra: Mapping[str, str],
    ) -> None:
        self.wire = wire
        super().__init__(plane, name, folder, extra=extra, prefix=wire.prefix)

    @override
    def get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.port}{path}"
        answer = run(*self.wire.prefix, sys.executable, "-c", FETCH, url)
        status, text = json.loads(answer)
        return status, text


@contextlib.contextmanager
def wired_replicas(
    plane: ControlPlane,
    bridge: Switch,
    folder: Path,
    *names: str,
    extra: Mapping[str, str],
) -> Iterator[list[WiredReplica]]:
    """Yield operators, each with its own network link, for the duration of the block."""
    with contextlib.ExitStack() as wires:
        starting = (
            WiredReplica(
                plane,
                name,
                folder,
                wire=wires.enter_context(bridge.wire(number)),
                extra=extra,
            )
            for number, name in enumerate(names)
        )
        with ready_in_turn(starting) as started:
            yield started
