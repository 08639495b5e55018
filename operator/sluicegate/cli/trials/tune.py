"""`sluicegate tune`: objectives, drops and margins, with the effect of each on a history."""

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
from sluicegate.simulation.tuning import (
    DAY,
    QUIET_DAYS,
    Margin,
    TunedValue,
    Tuning,
    as_seconds,
    tune_slos,
)
from sluicegate.views.numbers import duration

EPOCH_LIKE = 10**9
"""Seconds above which a history's times count from 1970."""
MAX_ALARM_DAYS = 366


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
        "--alarm-days",
        type=_days,
        default=QUIET_DAYS,
        metavar="N",
        help="propose what alarms at most once in N days; a shorter history has no proposal"
        f" (default: {QUIET_DAYS:g})",
    )
    parser.add_argument(
        "--picture",
        metavar="FILE.svg",
        help="also draw it (needs pip install 'sluicegate[report]')",
    )
    parser.add_argument("--output", "-o", choices=("table", "json"), default="table")


def run(args: argparse.Namespace) -> int:
    """Print the proposals, and draw a picture if one is requested."""
    if args.picture and find_spec("matplotlib") is None:
        raise invalid("--picture", "needs Matplotlib: pip install 'sluicegate[report]'")
    scenario = read_scenario(args.scenario)
    if args.policy:
        scenario = with_policy(scenario, next(iter(read_products(args.policy))))
    tunings = list(tune_slos(scenario, args.drop, args.alarm_days))
    if not tunings:
        problem = "holds no events of an SLO that counts them: record a longer history"
        raise invalid(args.scenario, problem)
    if args.output == "json":
        print(json.dumps({"slos": [_object(tuning) for tuning in tunings]}, ensure_ascii=False))
    else:
        print("\n\n".join("\n".join(_table(tuning)) for tuning in tunings))
    if args.picture:
        from sluicegate.cli.trials.tuning_chart import tuning_chart  # noqa: PLC0415 - Matplotlib is an extra

        Path(args.picture).write_text(tuning_chart(tunings), encoding="utf-8")
    return 0


# ---- JSON ------------------------------------------------------------------------------------
def _object(tuning: Tuning) -> dict[str, Any]:
    return {
        "name": tuning.slo,
        "historySeconds": tuning.seconds,
        "neededSeconds": round(tuning.quiet_days * DAY),
        "bad": tuning.count.bad,
        "total": tuning.count.total,
        "eventsPerMinute": round(tuning.per_minute, 3),
        "drop": tuning.drop,
        "current": _alternative(tuning.now, "objective") | {"objective": tuning.objective},
        "objectives": [_alternative(tuned_value, "objective") for tuned_value in tuning.objectives],
        "maxDrops": [_alternative(tuned_value, "maxDrop") for tuned_value in tuning.drops],
        "maxRegressions": [
            {
                "maxRegression": margin.value,
                "canarySeconds": as_seconds(margin.canary),
                "current": margin.current,
                "proposed": margin.proposed,
            }
            for margin in tuning.margins
        ],
    }


def _alternative(value: TunedValue, name: str) -> dict[str, Any]:
    return {
        name: value.value,
        "alarms": list(value.alarms),
        "retrainings": value.retrainings,
        "detectionSeconds": as_seconds(value.detection),
        "proposed": value.proposed,
    }


# ---- table -----------------------------------------------------------------------------------
def _table(tuning: Tuning) -> Iterator[str]:
    good = 1 - tuning.count.bad / tuning.count.total
    yield (
        f"{tuning.slo}: {100 * good:.4g} % good of {tuning.count.total:,} events, {tuning.per_minute:.4g} a minute"
        " in the last day"
    )
    yield from (f"  {note}" for note in _notes(tuning))
    drop = f"a drop of {100 * tuning.drop:.3g} points is found after".upper()
    heads = ("", "ALARMS", "RETRAININGS", drop, "")
    rows = [heads, ("as it is", *_effect(tuning.now), "")]
    for field, values in (("objective", tuning.objectives), ("maxDrop", tuning.drops)):
        rows += [
            (f'{field}: "{_text(tuned_value.value)}"', *_effect(tuned_value), _mark(tuned_value))
            for tuned_value in values
        ]
    yield from (f"  {line}" for line in aligned(rows))
    canaries = [("", "CANARY OF AN EQUAL VERSION", "")]
    canaries += [
        (f'maxRegression: "{_text(margin.value)}"', _time(margin.canary), _mark(margin))
        for margin in tuning.margins
    ]
    yield from (f"  {line}" for line in aligned(canaries))
    alarm_times = [at for at in tuning.now.alarms if at > EPOCH_LIKE]
    if alarm_times:
        yield f"alarms as it is: {', '.join(map(rfc3339, alarm_times[:10]))}"


def _notes(tuning: Tuning) -> Iterator[str]:
    """Yield notes on the proposals for which the history is too short."""
    length = duration(tuning.seconds)
    if tuning.is_short:
        yield (
            f"history too short for a proposal ({length} of {tuning.quiet_days:g} d): it can't show"
            " which value alarms so rarely; record a longer one, or set --alarm-days"
        )
    if tuning.lacks_a_day:
        yield (
            f"history too short for the traffic of a day ({length} of 1 d): canaries are estimated"
            " at the traffic of this time, and no maxRegression is proposed"
        )


def _effect(value: TunedValue) -> tuple[str, str, str]:
    return str(len(value.alarms)), str(value.retrainings), _time(value.detection)


def _mark(value: TunedValue | Margin) -> str:
    marks = (("proposed", value.proposed), ("as it is", value.current))
    return ", ".join(word for word, applies in marks if applies)


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


def _days(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MAX_ALARM_DAYS:
        raise argparse.ArgumentTypeError(
            f'"{text}" is no number of days: give up to {MAX_ALARM_DAYS}'
        )
    return value


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
