"""`make fuzz-inputs`: random objects, archives and requests, COUNT of each kind from SEED on.

Each server gets a tenth of COUNT. An input follows from its number alone. The run ends at the first
input that breaks a rule, with its number.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from ipaddress import IPv4Network
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.support.fuzz.archives import check_archive
from tests.support.fuzz.objects import check_object
from tests.support.fuzz.requests import check_requests
from tests.support.fuzz.servers import operator_server, page_server

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> int:
    """Run all, and print a line a kind."""
    count, seed = (int(os.environ.get(name, default)) for name, default in (("COUNT", "100000"), ("SEED", "0")))  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "archive"
        place.mkdir()
        _run("objects", count, seed, check_object)
        _run("archives", count, seed, lambda random: check_archive(random, place))
        asyncio.run(_servers(count // 10, seed, Path(folder)))
    return 0


def _run(title: str, count: int, seed: int, check: Callable[[Random], bool]) -> None:
    began, accepted = time.monotonic(), 0
    for number in range(seed, seed + count):
        try:
            accepted += check(Random(number))
        except Exception:
            print(f"{title}: number {number} fails (SEED={number} COUNT=1)")
            raise
    seconds = time.monotonic() - began
    print(f"{title}: {count:,}, of which {accepted:,} are accepted, in {seconds:.0f} s", flush=True)


async def _servers(count: int, seed: int, folder: Path) -> None:
    secret = folder / "secret"
    secret.write_text("between us\n")
    servers = {
        "operator": operator_server(),
        "page": page_server((IPv4Network("127.0.0.0/8"),), secret),
    }
    for name, server in servers.items():
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(server)
            answered = await check_requests(port, Random(seed), count)
        print(f"requests to the server of the {name}: {count:,}, {answered:,} answered", flush=True)


if __name__ == "__main__":
    sys.exit(main())
