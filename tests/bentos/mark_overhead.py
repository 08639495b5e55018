"""The cost of marks and draws: microseconds of an answer that is marked, and of a call with a draw.

python -m tests.bentos.mark_overhead --repeats 100000
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING, Any

from sluicegate_service.upstream_outcomes import UpstreamOutcomes
from sluicegate_service.upstreams import Calls, CountedCalls, Upstream, current_calls
from sluicegate_service.version_marks import UpstreamVersion, VersionMarks

if TYPE_CHECKING:
    from collections.abc import Callable

VERSIONS = tuple(UpstreamVersion("local/pricing", f"v{n}", "1a2b3c4d5e" + str(n)) for n in (1, 2))
HEADERS = [(f"x-header-{number}".encode(), b"value") for number in range(12)]
ROUNDS = 7


def main() -> None:
    """Measure, and print the microseconds of each, the least of some rounds."""
    parser = argparse.ArgumentParser(prog="tests.bentos.mark_overhead", description=__doc__)
    parser.add_argument("--repeats", type=int, default=20_000)
    for name, value in measured(parser.parse_args().repeats).items():
        print(f"{name}: {value:.2f} us")


def measured(repeats: int) -> dict[str, float]:
    """Return the microseconds of each, the least of some rounds."""
    outcomes = UpstreamOutcomes(frozenset({"local/pricing"}))
    for version in VERSIONS:
        outcomes.meet(version)
    plain = _answers(_plain, repeats)
    marking = VersionMarks(_plain, VERSIONS[0], frozenset({"local/ranking"}))
    counting = CountedCalls(_plain, frozenset({"/"}), outcomes)
    found = {
        "added to an answer with a mark": _answers(marking, repeats) - plain,
        "added to an answer to another caller": _answers(marking, repeats, b"shop/x") - plain,
        "added to a request whose calls are counted": _answers(counting, repeats) - plain,
    }
    upstream = Upstream("pricing")
    answer = {"sluicegate-version": str(VERSIONS[1])}

    def call() -> None:
        upstream.headers()
        upstream.answered(answer)

    def first_call() -> None:
        current_calls.set(Calls(outcomes))
        call()

    token = current_calls.set(Calls(outcomes))
    try:
        found["each other call of a request"] = _each(call, repeats)
        found["the first call of a request"] = _each(first_call, repeats)
    finally:
        current_calls.reset(token)
    return found


def _each(function: Callable[[], None], repeats: int) -> float:
    """Return the microseconds of a call."""
    least = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(repeats):
            function()
        least = min(least, time.perf_counter() - begin)
    return least / repeats * 1e6


def _answers(application: Any, repeats: int, consumer: bytes = b"local/ranking") -> float:
    """Return the microseconds of a request to an ASGI application."""
    scope = {"type": "http", "path": "/", "headers": [*HEADERS, (b"sluicegate-consumer", consumer)]}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        pass

    async def ask() -> float:
        least = float("inf")
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            for _ in range(repeats):
                await application(scope, receive, send)
            least = min(least, time.perf_counter() - begin)
        return least

    return asyncio.run(ask()) / repeats * 1e6


async def _plain(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
    await send({"type": "http.response.body", "body": b"{}"})


if __name__ == "__main__":
    main()
