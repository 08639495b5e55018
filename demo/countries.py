"""A shift of one country only: the product's SLO shows that it is worse, its markets show where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demo.products import write_market
from demo.samples import PRICING
from demo.telling import Stage
from demo.tries import (
    LATER_DAYS,
    REST_SECONDS,
    failed_requests,
    measured,
    telling_of,
    visitors,
)
from demo.watch import percent
from used_car_market import SHOCKS

if TYPE_CHECKING:
    from cluster.backend import Backend
    from demo.samples import Object
    from demo.terminal import Terminal

SHOCK, COUNTRY = "AustriaTaxesCars", "AT"
SLO = "accuracy"
SEEN_SECONDS = 240


def shift_one_country(backend: Backend, terminal: Terminal) -> int:
    """Shift the market in Austria, wait for the diagnosis, and follow the retraining to its end."""
    telling = telling_of(backend, terminal)
    with visitors(telling):
        assert telling.senders is not None
        telling.until(measured())
        moved = telling.senders.market.with_shock(SHOCK).later(LATER_DAYS)
        write_market(backend, moved)
        telling.senders.market = moved
        telling.note("market", f"{SHOCK}: {SHOCKS[SHOCK].reason}")
        telling.until(
            Stage(
                name="seen",
                expects=f"the diagnosis to say that {COUNTRY} alone is bad",
                seconds=SEEN_SECONDS,
                reached=lambda _: bool(alone(telling.read(PRICING))),
            )
        )
        market_text = alone(telling.read(PRICING))
        for line in markets(telling.read(PRICING)):
            telling.note("pricing", line)
        telling.note("pricing", market_text)
        scene = telling.until(
            Stage(
                name="healed",
                expects="the retraining that it leads to, to be promoted or refused",
                seconds=REST_SECONDS,
                reached=lambda scene: (
                    scene.states[PRICING].rests and scene.states[PRICING].state == "Healthy"
                ),
            )
        )
        failed = failed_requests(scene)
    terminal.say(
        f"\n{market_text}\nNow pricing serves {scene.states[PRICING].stable}; {failed} requests failed."
    )
    return 1 if failed else 0


def alone(product: Object) -> str:
    """Return the diagnosis' text on the one bad market; empty without it."""
    diagnosis = product["status"].get("diagnosis") or {}
    checks = (one for one in diagnosis.get("evidence") or () if one.get("check") == "MarketAlone")
    return next((str(one.get("message", "")) for one in checks), "")


def markets(product: Object) -> list[str]:
    """Return the markets of the accuracy as status has them: the three worst."""
    slos = product["status"].get("slos") or ()
    return [
        f"{SLO} in {one['market']}: {one['state']},"
        f" {percent(float(one['ratio'])) if one.get('ratio') else '–'} (n={one.get('total', 0):,})"
        for slo in slos
        if slo["name"] == SLO
        for one in slo.get("markets") or ()
    ]
