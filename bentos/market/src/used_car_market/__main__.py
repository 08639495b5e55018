"""`python -m used_car_market market|traffic`: describe a market, send its traffic.

market                  prints the JSON document of a market, for USED_CAR_MARKET
traffic pricing|search  sends requests and labels to a product, prints one JSON line a report
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from used_car_market.exchanges import Sellers, Visitors
from used_car_market.market import FIRST_DAY, Market, MarketError
from used_car_market.shocks import SHOCKS
from used_car_market.traffic import Pace, Target, Traffic

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 2 for a market that can't be read."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "market":
            print(_described(options).dump())  # noqa: T201 - the command's answer
        else:
            asyncio.run(_send(options))
    except MarketError as error:
        print(f"used_car_market: {error}", file=sys.stderr)  # noqa: T201 - the same
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m used_car_market")
    commands = parser.add_subparsers(dest="command", required=True)
    market = commands.add_parser("market", help="print a market's JSON document")
    market.add_argument("--seed", type=int, default=7)
    market.add_argument("--today", type=date.fromisoformat, default=FIRST_DAY)
    market.add_argument("--later", type=int, default=0, help="days from today on")
    market.add_argument(
        "--shock", action="append", default=[], choices=list(SHOCKS), help="begins today"
    )
    traffic = commands.add_parser("traffic", help="send requests and, later, the truth")
    traffic.add_argument("product", choices=("pricing", "search"))
    traffic.add_argument("--url", required=True, help="of the product at the gateway")
    traffic.add_argument("--host", help="Host header, if the gateway routes by it")
    traffic.add_argument("--market", type=Path, help="file with the document; read when it changes")
    traffic.add_argument("--bearer", type=Path, help="file with the token of /feedback")
    traffic.add_argument("--rate", type=float, default=10.0, help="requests a second")
    traffic.add_argument("--truth-delay", type=float, default=1.0, help="seconds")
    traffic.add_argument("--widened", type=int, default=1, help="multiplies the candidates")
    traffic.add_argument("--seconds", type=float, help="then stop; without an end when left out")
    traffic.add_argument("--report-every", type=float, default=5.0, help="seconds")
    traffic.add_argument("--seed", type=int, default=0)
    return parser


def _described(options: argparse.Namespace) -> Market:
    market = Market(seed=options.seed, today=options.today)
    for name in options.shock:
        market = market.with_shock(name)
    return market.later(options.later)


async def _send(options: argparse.Namespace) -> None:
    bearer = options.bearer.read_text().strip() if options.bearer else None
    target = Target(options.url.rstrip("/"), options.host, bearer)
    sells = options.product == "pricing"
    visits = Sellers(options.seed) if sells else Visitors(options.seed, widened=options.widened)
    pace = Pace(rate=options.rate, truth_delay=options.truth_delay)
    loop = asyncio.get_running_loop()
    end = loop.time() + (options.seconds or float("inf"))
    async with Traffic(target, visits, _read(options.market), pace) as traffic:
        while loop.time() < end:
            await asyncio.sleep(min(options.report_every, end - loop.time()))
            traffic.check()
            traffic.market = _read(options.market)
            print(json.dumps(traffic.tally.snapshot()), flush=True)  # noqa: T201 - its output


def _read(path: Path | None) -> Market:
    return Market.parse(path.read_text(encoding="utf-8")) if path else Market()


if __name__ == "__main__":
    sys.exit(main())
