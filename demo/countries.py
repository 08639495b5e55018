"""A shock of one country alone: the product as a whole tells that it is worse, its markets where."""

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
    """Let the market move in Austria, wait until that is told, and follow the retraining to its end."""
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
        told = alone(telling.read(PRICING))
        for line in markets(telling.read(PRICING)):
            telling.note("pricing", line)
        telling.note("pricing", told)
        scene = telling.until(
            Stage(
                name="healed",
                expects="the retraining that it leads to, to be promoted or refused",
                seconds=REST_SECONDS,
                reached=lambda scene: (
                    scene.seen[PRICING].rests and scene.seen[PRICING].state == "Healthy"
                ),
            )
        )
        failed = failed_requests(scene)
    terminal.say(
        f"\n{told}\nNow pricing serves {scene.seen[PRICING].stable}; {failed} requests failed."
    )
    return 1 if failed else 0


def alone(product: Object) -> str:
    """What the diagnosis says of one market that alone is bad; empty while it says nothing of it."""
    diagnosis = product["status"].get("diagnosis") or {}
    found = (one for one in diagnosis.get("evidence") or () if one.get("check") == "MarketAlone")
    return next((str(one.get("message", "")) for one in found), "")


def markets(product: Object) -> list[str]:
    """The markets of the accuracy as status has them: the three worst."""
    slos = product["status"].get("slos") or ()
    return [
        f"{SLO} in {one['market']}: {one['state']},"
        f" {percent(float(one['ratio'])) if one.get('ratio') else '–'} (n={one.get('total', 0):,})"
        for slo in slos
        if slo["name"] == SLO
        for one in slo.get("markets") or ()
    ]
