"""`sluicegate simulate`: rates and durations of promotions, rollbacks and alarms with this policy."""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from math import isfinite
from typing import Any, Final

from sluicegate.api.product import DataProduct
from sluicegate.cli.inputs.product_files import read_products
from sluicegate.cli.printing.terminal import aligned
from sluicegate.errors import InvalidInput, Problem, invalid
from sluicegate.policy.canary.rollout_defaults import describe_steps
from sluicegate.policy.canary.rollout_time import LONGEST_SECONDS
from sluicegate.policy.model.consumers import ConsumerTerms, consumer_names, consumer_terms
from sluicegate.policy.model.terms import Terms, terms_of
from sluicegate.simulation.outlook import outlook_of
from sluicegate.simulation.scenario import (
    Imagined,
    Scenario,
    scenario_of,
    without_gauges,
)
from sluicegate.views.numbers import duration

MAX_RUNS: Final = 1_000_000
HEADINGS: Final = ("promoted", "rolled back", "inconclusive", "median min", "p90 min")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Simulate many canaries of the DataProduct in FILE on assumed traffic. Rates are by SLO"
        " name; one that isn't given is 0. Gauges are left out. Requests count for availability and latency, labels for all other SLOs."
        " Both versions serve all the time: a candidate without data (CanaryNoData) is a matter of `replay`."
        " It needs NumPy: pip install 'sluicegate[simulate]'."
    )
    parser.add_argument("file", metavar="FILE", help="YAML or JSON; - is standard input")
    add = parser.add_argument
    add(
        "--requests-per-minute",
        type=_number,
        required=True,
        metavar="N",
        help="of both arms together",
    )
    add("--labels-per-minute", type=_number, default=0.0, metavar="N", help="of both arms together")
    for arm in ("stable", "candidate"):
        add(
            f"--{arm}-bad",
            type=_pair,
            action="append",
            default=[],
            metavar="SLO=RATIO",
            help=f"{arm}'s true share of bad events; may be repeated",
        )
    add(
        "--burst-correlation",
        type=_share,
        default=0.0,
        metavar="RHO",
        help="of events in one block",
    )
    add(
        "--daily-swing",
        type=_share,
        default=0.0,
        metavar="S",
        help="traffic varies by 1 ± S over a day",
    )
    add(
        "--label-delay-minutes",
        type=_number,
        default=0.0,
        metavar="M",
        help="delay until an outcome is known",
    )
    add(
        "--consumer-outcomes-per-minute",
        type=_number,
        default=0.0,
        metavar="N",
        help="of each consumer whose DataProduct follows in FILE, of both arms together; its SLOs are named"
        " NAMESPACE/NAME/SLO",
    )
    add(
        "--duration-minutes",
        type=_number,
        metavar="M",
        help="instead of rollout.maxDurationSeconds",
    )
    add("--runs", type=_count, default=2000, metavar="N", help="simulated canaries (default: 2000)")
    add("--seed", type=int, default=1, metavar="N", help="same seed, same answer (default: 1)")
    add(
        "--no-degradation",
        action="store_true",
        help="leave out false alarms a year and the delay until a product that turns as bad as the"
        " candidate is found degraded",
    )
    add("--output", "-o", choices=("table", "json"), default="table")


def run(args: argparse.Namespace) -> int:
    """Simulate and print."""
    if find_spec("numpy") is None:
        raise invalid("simulate", "needs NumPy: pip install 'sluicegate[simulate]'")
    product, *other_products = read_products(args.file)
    consumers = tuple(_consumers(product, other_products))
    terms = _terms(product, args)
    scenario = scenario_of(terms, _imagined(product, consumers, args), consumers)
    if not scenario.streams:
        raise invalid("spec.slos", "has no SLO that counts events: add one to simulate")
    answer = _answer(terms, scenario, args)
    if product.spec.rollout.shadow is not None:
        answer["shadowSeconds"] = product.spec.rollout.shadow.interval_seconds
    in_file = {"/".join(other.metadata.key) for other in other_products}
    if left_out := [name for name in consumer_names(product) if name not in in_file]:
        answer["consumersLeftOut"] = left_out
    if args.output == "json":
        print(json.dumps(answer, ensure_ascii=False))
    else:
        _print_table(answer, _duration_advice(product, args))
    return 0


def _duration_advice(product: DataProduct, args: argparse.Namespace) -> str:
    """Return how a duration that is set may be left out; empty where none is."""
    if args.duration_minutes is not None:
        return "leave out --duration-minutes, or "
    if product.spec.rollout.max_duration_seconds is not None:
        return "leave out rollout.maxDurationSeconds, so that the duration follows the labels, or "
    return ""


def _terms(product: DataProduct, args: argparse.Namespace) -> Terms:
    terms = replace(
        without_gauges(terms_of(product)), shadow_seconds=None, mirrored=None
    )  # only the canary
    if args.duration_minutes is None:
        return terms
    if args.duration_minutes <= 0:
        raise invalid("--duration-minutes", "is 0: give at least one block, e.g. 60")
    seconds = round(args.duration_minutes * 60)
    return replace(terms, max_duration_seconds=seconds, is_duration_given=True)


def _consumers(product: DataProduct, consumers: Iterable[DataProduct]) -> Iterator[ConsumerTerms]:
    """Yield the conditions that the product's consumers set for its canaries."""
    named = consumer_names(product)
    for other in consumers:
        terms = consumer_terms(other, product.metadata.key)
        if terms is not None and terms.name in named:
            yield terms


def _imagined(
    product: DataProduct, consumers: Iterable[ConsumerTerms], args: argparse.Namespace
) -> Imagined:
    slos = [slo.name for slo in product.spec.slos]
    slos += [case.terms.name for consumer in consumers for case in consumer.cases]
    problems = [
        Problem(
            option,
            f'names "{name}", which is no SLO of this product: use one of {", ".join(slos)}',
        )
        for option, pairs in (
            ("--stable-bad", args.stable_bad),
            ("--candidate-bad", args.candidate_bad),
        )
        for name, _ in pairs
        if name not in slos
    ]
    if problems:
        raise InvalidInput(problems)
    return Imagined(
        args.requests_per_minute,
        args.labels_per_minute,
        dict(args.stable_bad),
        dict(args.candidate_bad),
        args.burst_correlation,
        args.daily_swing,
        args.label_delay_minutes,
        args.consumer_outcomes_per_minute,
    )


def _answer(terms: Terms, scenario: Scenario, args: argparse.Namespace) -> dict[str, Any]:
    from sluicegate.simulation.degradation import degradation  # noqa: PLC0415 - NumPy is an extra
    from sluicegate.simulation.vectorized_canary import simulate  # noqa: PLC0415 - the same

    summary = simulate(scenario, args.runs, args.seed)
    answer: dict[str, Any] = summary.to_json()
    answer["slos"] = {one.slo: one.to_json() for one in outlook_of(scenario)}
    answer["steps"] = list(scenario.steps)
    answer["maxDurationSeconds"] = scenario.blocks * scenario.block_seconds
    answer["leavesOutSilence"] = scenario.waits
    if not args.no_degradation:
        results = degradation(terms, scenario, args.seed)
        answer["degradation"] = {result.slo: result.to_json() for result in results}
    return answer


def _print_table(answer: dict[str, Any], duration_advice: str) -> None:
    print("\n".join(aligned([HEADINGS, _cells(answer)])))
    longest = duration(answer["maxDurationSeconds"])
    if answer["leavesOutSilence"] and answer["maxDurationSeconds"] < LONGEST_SECONDS:
        longest += (
            f" at most without time in which no request comes, {duration(LONGEST_SECONDS)} with it"
        )
    else:
        longest += " at most"
    print(
        f"{answer['runs']} runs; ± is one standard error; a rollout has steps of"
        f" {describe_steps(answer['steps'])} and lasts {longest}"
    )
    if "shadowSeconds" in answer:
        print(
            f"rollout.shadow, by intervals of {duration(answer['shadowSeconds'])}, isn't simulated: the"
            " canary decides here by its own labels, which take several times as many"
        )
    for name in answer.get("consumersLeftOut", ()):
        print(
            f"SLOs of {name} aren't simulated: add its DataProduct to the file, after the product"
        )
    for name, slo in answer["slos"].items():
        if not slo["mustSpeak"]:
            print(
                f"{name} is not required for a promotion at this traffic: a candidate that is worse in"
                f" it may be promoted; {duration_advice}set canaryEvidence: Required, or a wider"
                " maxRegression"
            )
        elif _is_too_slow(slo, answer):
            minutes = slo["expectedMinutes"]
            has = (
                "never has enough evidence of it"
                if minutes is None
                else f"has enough evidence of it after {duration(60 * minutes)} on average"
            )
            print(
                f"{name} is required for a promotion, and an equal candidate {has}, so most end as"
                f" inconclusive; {duration_advice}set canaryEvidence: PostPromotion, or a wider"
                " maxRegression"
            )
    if "degradation" in answer:
        print()
        headings = ("slo", "false alarms a year", "found degraded", "median min", "p90 min")
        results = answer["degradation"].items()
        keys = ("falseAlarmsPerYear", "detected", "medianMinutes", "p90Minutes")
        cells = [(name, *(_shown(result[key]) for key in keys)) for name, result in results]
        print("\n".join(aligned([headings, *cells])))


def _is_too_slow(slo: dict[str, Any], answer: dict[str, Any]) -> bool:
    minutes = slo["expectedMinutes"]
    return minutes is None or 60 * minutes > answer["maxDurationSeconds"]


def _cells(answer: dict[str, Any]) -> tuple[str, ...]:
    shares = (
        f"{answer[key]:.3f} ± {answer['standardErrors'][key]:.3f}"
        for key in ("promoted", "rolledBack", "inconclusive")
    )
    return (*shares, f"{answer['medianMinutes']:g}", f"{answer['p90Minutes']:g}")


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


# ---- one option -------------------------------------------------------------------------------
def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of at least 0: write e.g. 0.01')
    return value


def _share(text: str) -> float:
    value = _number(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f'"{text}" is above 1: give a share, 0.01 for 1 %')
    return value


def _pair(text: str) -> tuple[str, float]:
    name, equals, ratio = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f'"{text}" is no pair: write SLO=RATIO, e.g. accuracy=0.1')
    return name, _share(ratio)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_RUNS:
        raise argparse.ArgumentTypeError(f'"{text}" is no count: give 1 to {MAX_RUNS:,}')
    return int(text)
