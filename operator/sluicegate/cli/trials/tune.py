"""`sluicegate tune`: objectives, drops and margins, with what each would have done to a history."""

import argparse
import json
from collections.abc import Iterator
from importlib.util import find_spec
from math import isinf
from pathlib import Path
from typing import Any

from sluicegate.api.base import rfc3339
from sluicegate.cli.inputs.product_files import read_products
from sluicegate.cli.printing.terminal import aligned
from sluicegate.cli.trials.replay import read_scenario
from sluicegate.errors import invalid
from sluicegate.simulation.other_policy import with_policy
from sluicegate.simulation.tuning import Margin, TunedValue, Tuning, as_seconds, tune

EPOCH_LIKE = 10**9
"""A history whose seconds are above this counts them from 1970."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Propose objectives, drops and margins for each SLO of a recorded history, with the alarms"
        " and the retrainings that each would have led to, the time until a drop is found, and the"
        " time of a canary at today's traffic."
    )
    parser.add_argument(
        "scenario", metavar="SCENARIO", help="as `sluicegate record` writes it; - is standard input"
    )
    parser.add_argument(
        "--with", dest="policy", metavar="FILE", help="start from the policy of this DataProduct"
    )
    parser.add_argument(
        "--drop",
        type=_share,
        metavar="D",
        help="drop of the share of good events to be found, e.g. 0.05 (default: the SLO's maxDrop,"
        " or five times what its objective allows)",
    )
    parser.add_argument(
        "--picture",
        metavar="FILE.svg",
        help="also draw it (needs pip install 'sluicegate[report]')",
    )
    parser.add_argument("--output", "-o", choices=("table", "json"), default="table")


def run(args: argparse.Namespace) -> int:
    """Print the proposals, and draw them where a picture is wanted."""
    if args.picture and find_spec("matplotlib") is None:
        raise invalid("--picture", "needs Matplotlib: pip install 'sluicegate[report]'")
    scenario = read_scenario(args.scenario)
    if args.policy:
        scenario = with_policy(scenario, next(iter(read_products(args.policy))))
    found = list(tune(scenario, args.drop))
    if not found:
        problem = "holds no events of an SLO that counts them: record a longer history"
        raise invalid(args.scenario, problem)
    if args.output == "json":
        print(json.dumps({"slos": [_object(one) for one in found]}, ensure_ascii=False))
    else:
        print("\n\n".join("\n".join(_table(one)) for one in found))
    if args.picture:
        from sluicegate.cli.trials.tuning_chart import tuning_chart  # noqa: PLC0415 - Matplotlib is an extra

        Path(args.picture).write_text(tuning_chart(found), encoding="utf-8")
    return 0


# ---- JSON ------------------------------------------------------------------------------------
def _object(one: Tuning) -> dict[str, Any]:
    return {
        "name": one.slo,
        "bad": one.count.bad,
        "total": one.count.total,
        "eventsPerMinute": round(one.per_minute, 3),
        "drop": one.drop,
        "current": _alternative(one.now, "objective") | {"objective": one.objective},
        "objectives": [_alternative(each, "objective") for each in one.objectives],
        "maxDrops": [_alternative(each, "maxDrop") for each in one.drops],
        "maxRegressions": [
            {
                "maxRegression": each.value,
                "canarySeconds": as_seconds(each.canary),
                "current": each.current,
                "proposed": each.proposed,
            }
            for each in one.margins
        ],
    }


def _alternative(one: TunedValue, name: str) -> dict[str, Any]:
    return {
        name: one.value,
        "alarms": list(one.alarms),
        "retrainings": one.retrainings,
        "detectionSeconds": as_seconds(one.detection),
        "proposed": one.proposed,
    }


# ---- table -----------------------------------------------------------------------------------
def _table(one: Tuning) -> Iterator[str]:
    good = 1 - one.count.bad / one.count.total
    yield (
        f"{one.slo}: {100 * good:.4g} % good of {one.count.total:,} events, {one.per_minute:.4g} a minute"
        " in the last day"
    )
    drop = f"a drop of {100 * one.drop:.3g} points is found after".upper()
    heads = ("", "ALARMS", "RETRAININGS", drop, "")
    rows = [heads, ("as it is", *_effect(one.now), "")]
    for field, found in (("objective", one.objectives), ("maxDrop", one.drops)):
        rows += [(f'{field}: "{_text(each.value)}"', *_effect(each), _mark(each)) for each in found]
    yield from (f"  {line}" for line in aligned(rows))
    canaries = [("", "CANARY OF AN EQUAL VERSION", "")]
    canaries += [
        (f'maxRegression: "{_text(each.value)}"', _time(each.canary), _mark(each))
        for each in one.margins
    ]
    yield from (f"  {line}" for line in aligned(canaries))
    when = [at for at in one.now.alarms if at > EPOCH_LIKE]
    if when:
        yield f"alarms as it is: {', '.join(map(rfc3339, when[:10]))}"


def _effect(one: TunedValue) -> tuple[str, str, str]:
    return str(len(one.alarms)), str(one.retrainings), _time(one.detection)


def _mark(one: TunedValue | Margin) -> str:
    marks = (("proposed", one.proposed), ("as it is", one.current))
    return ", ".join(word for word, holds in marks if holds)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    if isinf(seconds):
        return "never"
    minutes = seconds / 60
    if minutes < 120:  # noqa: PLR2004 - two hours
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h"


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.9f}".rstrip("0")


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f'"{text}" is no drop of a share: write five points as 0.05'
        )
    return value
