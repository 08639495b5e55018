"""A scenario to replay: a product and a history of counts, checked field by field.

All mistakes are reported at once, each with its path and a way out, as people write these files by
hand.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from operator import itemgetter
from typing import Any, Final

from pydantic import ValidationError

from sluicegate.api.baseline import Baseline
from sluicegate.api.errors import InvalidProduct
from sluicegate.api.markets import OTHER_MARKET
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.product import DataProduct
from sluicegate.api.slos import MARKET_INDICATORS
from sluicegate.api.versions import FULL_WEIGHT
from sluicegate.errors import InvalidInput, Problem
from sluicegate.policy.model.observed import UpstreamRelease
from sluicegate.simulation.scenario_fields import (
    QUALITY_BY_NAME,
    FieldReader,
    RawCount,
    join_path,
    quoted_value,
)
from sluicegate.slo.blocks import Quality
from sluicegate.slo.by_market import market_series
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.label_ages import AGED_SERIES
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs

UNAVAILABLE_REASONS: Final = (
    Reason.PROMETHEUS_UNAVAILABLE,
    Reason.PROMETHEUS_STALE,
    Reason.BACKFILLING,
)
"""Reasons of an unavailable block."""

CLIENT_ERRORS_FIELD: Final = "clientErrors"
"""Name of the count of requests answered 4xx, of all requests; optional, and no SLO."""


REQUESTS_ARM: Final = "@requests"
USUAL_ARM: Final = "@usual"
"""Names under which a consumer's requests, and all its outcomes, are kept beside those by version."""
MIXED_FIELD: Final = "@mixed"
UNMARKED_FIELD: Final = "@unmarked"
"""Names of counts of requests: bad are those that met both versions, and those without a mark."""


@dataclass(frozen=True, slots=True)
class ReplayBlock:
    """One block of a scenario file.

    Attributes
    ----------
    at : its end, in seconds.
    counts : by version and SLO, client errors under their own name; a quality instead of a count
        that could not be read.
    coverage : share of the expected scrapes; None if not given.
    unavailable : reason why it couldn't be read; None if it could.
    consumers : outcomes of consumers, `namespace/name`, by version of this product and SLO of theirs.
    """

    at: int
    counts: Mapping[str, Mapping[str, RawCount | Quality]] = field(default_factory=dict)
    coverage: float | None = None
    unavailable: Reason | None = None
    consumers: Mapping[str, Mapping[str, Mapping[str, RawCount | Quality]]] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True)
class Retrained:
    """A training ended with a new version."""

    version: str
    evaluation: Mapping[str, Count]
    stable_evaluation: Mapping[str, Count]
    pairs: Mapping[str, Pairs] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RetrainingFailed:
    """A training ended without a version."""

    message: str


@dataclass(frozen=True, slots=True)
class ModelChanged:
    """spec.model was changed to another version."""

    version: str
    evaluation: Mapping[str, Count]


@dataclass(frozen=True, slots=True)
class Promoted:
    """A promotion in the recorded history; a replay makes its own decision instead."""

    version: str


Event = Retrained | RetrainingFailed | ModelChanged | Promoted


@dataclass(frozen=True, slots=True)
class FactsChange:
    """Facts that hold from now on; None keeps the earlier value, initially unknown."""

    upstream_degraded: tuple[str, ...] | None = None
    upstream_degrading: tuple[str, ...] | None = None
    upstream_releases: tuple[UpstreamRelease, ...] | None = None
    pods_unhealthy: bool | None = None
    canary_unhealthy: bool | None = None
    node_busy: bool | None = None
    canary_node_busy: bool | None = None
    cpu_throttled: bool | None = None
    memory_pressure: bool | None = None

    def changed(self, update: "FactsChange") -> "FactsChange":
        """Return these facts, updated by a later change."""
        changes: dict[str, Any] = {
            name: fact_value for name, fact_value in update.items() if fact_value is not None
        }
        return replace(self, **changes)

    def items(self) -> Iterator[tuple[str, tuple[str | UpstreamRelease, ...] | bool | None]]:
        """Yield each fact with its name."""
        for fact_field in fields(self):
            yield fact_field.name, getattr(self, fact_field.name)


@dataclass(frozen=True, slots=True)
class ReplayScenario:
    """A product, the version that is stable at time 0, and its history.

    Attributes
    ----------
    accepted : evaluation counts of that version, by SLO.
    baselines : its baselines, if they are known; they have precedence over `accepted`.
    promotion_time : time at which it became stable, in seconds.
    read_seconds : time from the end of a block until it is evaluated.
    facts, events : with the second from which they hold, in time order.
    consumers : products whose outcomes are in the blocks, by `namespace/name`.
    """

    product: DataProduct
    version: str
    accepted: Mapping[str, Count]
    blocks: tuple[ReplayBlock, ...]
    facts: tuple[tuple[int, FactsChange], ...]
    events: tuple[tuple[int, Event], ...]
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    promotion_time: int = 0
    read_seconds: int = 0
    consumers: Mapping[str, DataProduct] = field(default_factory=dict)


def parse_scenario(document: object) -> ReplayScenario:
    """Parse the scenario of a YAML or JSON document. Raises InvalidInput with all mistakes."""
    field_reader = FieldReader()
    scenario = _scenario(field_reader, document)
    if field_reader.problems or scenario is None:
        raise InvalidInput(field_reader.problems)
    return scenario


def _scenario(field_reader: FieldReader, document: object) -> ReplayScenario | None:
    names = (
        "product", "version", "promotionTime", "readSeconds", "accepted", "baselines", "blocks",
        "facts", "events", "consumers",
    )  # fmt: skip
    if not isinstance(document, Mapping):
        field_reader.wrong(
            "", f"a scenario is a mapping with {', '.join(names)}; this is {quoted_value(document)}"
        )
        return None
    top_fields = field_reader.fields(document, "", names, ("product", "version", "blocks"))
    product = _parsed_product(field_reader, top_fields.get("product"), "product")
    consumers = _consumers(field_reader, top_fields.get("consumers"))
    slos = frozenset(slo.name for slo in product.spec.slos) if product else frozenset[str]()
    if product is not None and not slos:
        field_reader.wrong(
            "product.spec.slos", "is empty: set an SLO, or there is nothing to judge"
        )
    version = field_reader.text(top_fields["version"], "version") if "version" in top_fields else ""
    accepted_counts = field_reader.evaluation(top_fields.get("accepted"), "accepted", slos)
    baselines = _baselines(field_reader, top_fields.get("baselines"), slos)
    by_market = set() if product is None else _market_names(product)
    blocks = _replay_blocks(
        field_reader, top_fields.get("blocks"), slos and slos | by_market, consumers
    )
    facts = [
        _facts_change(field_reader, fact_item, path)
        for path, fact_item in field_reader.items(top_fields.get("facts"), "facts")
    ]
    events = [
        entry
        for path, event in field_reader.items(top_fields.get("events"), "events")
        for entry in _events(field_reader, event, path)
    ]
    if product is None:
        return None
    return ReplayScenario(
        product,
        version,
        accepted_counts,
        tuple(blocks),
        tuple(sorted(facts, key=itemgetter(0))),
        tuple(sorted(events, key=itemgetter(0))),
        baselines,
        field_reader.second(top_fields, "", "promotionTime"),
        field_reader.second(top_fields, "", "readSeconds"),
        consumers,
    )


def _market_names(product: DataProduct) -> set[str]:
    """Return the names of counts by market, `accuracy@AT`; none if the product doesn't count them."""
    spec = product.spec
    counted_slos = [slo.name for slo in spec.slos if slo.indicator.kind in MARKET_INDICATORS]
    markets = (*spec.markets, OTHER_MARKET) if spec.serving.market is not None else ()
    return {market_series(slo, market) for slo in counted_slos for market in markets}


def _parsed_product(field_reader: FieldReader, value: object, path: str) -> DataProduct | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        field_reader.wrong(path, f"is {quoted_value(value)}, but must be a whole DataProduct")
        return None
    try:
        return DataProduct.parse(value)
    except InvalidProduct as error:
        field_reader.problems += [
            Problem(join_path(path, problem.path) if problem.path else path, problem.message)
            for problem in error.problems
        ]
        return None


def _consumers(field_reader: FieldReader, value: object) -> dict[str, DataProduct]:
    parsed_products = [
        _parsed_product(field_reader, consumer_document, path)
        for path, consumer_document in field_reader.items(value, "consumers")
    ]
    return {
        "/".join(consumer_document.metadata.key): consumer_document
        for consumer_document in parsed_products
        if consumer_document is not None
    }


def _baselines(
    field_reader: FieldReader, value: object, slos: frozenset[str]
) -> dict[str, Baseline]:
    baselines = {}
    for name, baseline in field_reader.mapping({} if value is None else value, "baselines").items():
        path = f"baselines.{name}"
        if slos and name not in {*slos, CLIENT_ERRORS}:
            field_reader.wrong(path, f"is no SLO of the product: it has {', '.join(sorted(slos))}")
            continue
        try:
            baselines[name] = Baseline.model_validate_json(json.dumps(baseline, default=str))
        except ValidationError as error:
            error_places = (
                (".".join(map(str, validation_error["loc"])), validation_error["msg"])
                for validation_error in error.errors()
            )
            message = "; ".join(f"{error_path}: {message}" for error_path, message in error_places)
            field_reader.wrong(path, f"{message}: write it as status.stable.baseline has it")
    return baselines


def _replay_blocks(
    field_reader: FieldReader,
    value: object,
    slos: frozenset[str] | None,
    consumers: Mapping[str, DataProduct],
) -> list[ReplayBlock]:
    blocks: list[ReplayBlock] = []
    names = ("at", "counts", "coverage", "unavailable", "consumers")
    for path, item in field_reader.items(value, "blocks"):
        fields = field_reader.fields(item, path, names, ("at",))
        block = ReplayBlock(
            field_reader.second(fields, path),
            {
                version: _arm_counts(
                    field_reader, counts, join_path(f"{path}.counts", version), slos
                )
                for version, counts in _versions(field_reader, fields, path)
            },
            _coverage(field_reader, fields, path),
            _unavailable_reason(field_reader, fields, path),
            _outcomes(field_reader, fields.get("consumers"), f"{path}.consumers", consumers),
        )
        if "at" in fields and block.at == 0:
            field_reader.wrong(
                f"{path}.at", "0 is the start: a block's at is its end, so it is above 0"
            )
        if blocks and block.at <= blocks[-1].at:
            message = (
                f"{block.at} is not after the block before it ({blocks[-1].at}): sort blocks by at"
            )
            field_reader.wrong(f"{path}.at", message)
        blocks.append(block)
    return blocks


def _arm_counts(
    field_reader: FieldReader, value: object, path: str, slos: frozenset[str] | None
) -> dict[str, RawCount | Quality]:
    """Return the counts of a version by SLO, with client errors and labels by age if the file has them."""
    counts = field_reader.mapping(value, path)
    reserved_names = {CLIENT_ERRORS_FIELD, *AGED_SERIES.values()}
    slo_counts = {name: count for name, count in counts.items() if name not in reserved_names}
    result = field_reader.block(slo_counts, path, slos)
    age_names = {name: counts[name] for name in AGED_SERIES.values() if name in counts}
    result.update(field_reader.block(age_names, path, None))
    if CLIENT_ERRORS_FIELD in counts:
        errors = {CLIENT_ERRORS_FIELD: counts[CLIENT_ERRORS_FIELD]}
        for count in field_reader.block(errors, path, None).values():
            result[CLIENT_ERRORS] = count
    return result


def _outcomes(
    field_reader: FieldReader, value: object, path: str, consumers: Mapping[str, DataProduct]
) -> dict[str, dict[str, dict[str, RawCount | Quality]]]:
    """Return the outcomes of consumers in a block, those by version beside the usual ones and the requests."""
    if value is None:
        return {}
    outcomes = {}
    for name, item in field_reader.mapping(value, path).items():
        consumer_path = join_path(path, name)
        if name not in consumers:
            names = ", ".join(sorted(consumers)) or "none"
            field_reader.wrong(
                consumer_path, f"is no product of consumers, which has {names}: add it there"
            )
            continue
        slos = frozenset(slo.name for slo in consumers[name].spec.slos)
        fields = field_reader.fields(item, consumer_path, ("usual", "versions", "requests"))
        versions = field_reader.mapping(fields.get("versions", {}), f"{consumer_path}.versions")
        counts_by_arm = {
            version: _arm_counts(
                field_reader, counts, join_path(f"{consumer_path}.versions", version), slos
            )
            for version, counts in versions.items()
        }
        if "usual" in fields:
            counts_by_arm[USUAL_ARM] = _arm_counts(
                field_reader, fields["usual"], f"{consumer_path}.usual", slos
            )
        if "requests" in fields:
            counts_by_arm[REQUESTS_ARM] = _met_requests(
                field_reader, fields["requests"], f"{consumer_path}.requests"
            )
        outcomes[name] = counts_by_arm
    return outcomes


def _met_requests(
    field_reader: FieldReader, value: object, path: str
) -> dict[str, RawCount | Quality]:
    """Return the requests of a consumer that called the product; a word is their quality."""
    if isinstance(value, str) and value in QUALITY_BY_NAME:
        return {MIXED_FIELD: QUALITY_BY_NAME[value]}
    names = ("total", "mixed", "unmarked")
    fields = field_reader.fields(value, path, names, names)
    total, mixed_requests, unmarked_requests = (
        field_reader.number(fields.get(name, 0), join_path(path, name)) for name in names
    )
    return {MIXED_FIELD: (mixed_requests, total), UNMARKED_FIELD: (unmarked_requests, total)}


def _versions(
    field_reader: FieldReader, fields: Mapping[str, Any], path: str
) -> Iterator[tuple[str, object]]:
    if fields.get("counts") is not None:
        yield from field_reader.mapping(fields["counts"], f"{path}.counts").items()


def _coverage(field_reader: FieldReader, fields: Mapping[str, Any], path: str) -> float | None:
    value = fields.get("coverage")
    if value is None:
        return None
    try:
        coverage_ratio = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        coverage_ratio = float("nan")
    if not 0 <= coverage_ratio <= 1:
        field_reader.wrong(
            f"{path}.coverage", f'is {quoted_value(value)}, but must be a share from "0" to "1"'
        )
        return None
    return coverage_ratio


def _unavailable_reason(
    field_reader: FieldReader, fields: Mapping[str, Any], path: str
) -> Reason | None:
    value = fields.get("unavailable")
    if value is None:
        return None
    if value not in UNAVAILABLE_REASONS:
        field_reader.wrong(
            f"{path}.unavailable",
            f"is {quoted_value(value)}: use one of {', '.join(UNAVAILABLE_REASONS)}",
        )
        return None
    return Reason(value)


_UPSTREAM_STATES: Final = ("upstreamDegraded", "upstreamDegrading")
_FACT_NAMES: Final = {
    "podsUnhealthy": "pods_unhealthy",
    "canaryUnhealthy": "canary_unhealthy",
    "nodeBusy": "node_busy",
    "canaryNodeBusy": "canary_node_busy",
    "cpuThrottled": "cpu_throttled",
    "memoryPressure": "memory_pressure",
}


def _facts_change(field_reader: FieldReader, value: object, path: str) -> tuple[int, FactsChange]:
    allowed_fields = ("at", "upstreamReleases", *_UPSTREAM_STATES, *_FACT_NAMES)
    given_fields = field_reader.fields(value, path, allowed_fields, ("at",))
    upstream_releases, releases = None, given_fields.get("upstreamReleases")
    degraded, degrading = (
        _product_names(field_reader, given_fields.get(name), join_path(path, name))
        for name in _UPSTREAM_STATES
    )
    if releases is not None:
        upstreams = field_reader.items(releases, f"{path}.upstreamReleases")
        read = [
            _upstream_release(field_reader, release, item_path) for item_path, release in upstreams
        ]
        upstream_releases = tuple(release for release in read if release is not None)
    stated_facts = {
        fact_name: _boolean_fact(field_reader, given_fields, path, name=name)
        for name, fact_name in _FACT_NAMES.items()
    }
    return field_reader.second(given_fields, path), FactsChange(
        degraded, degrading, upstream_releases, **stated_facts
    )


def _product_names(field_reader: FieldReader, value: object, path: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    items = field_reader.items(value, path)
    return tuple(field_reader.text(name, item_path) for item_path, name in items)


def _upstream_release(
    field_reader: FieldReader, value: object, path: str
) -> UpstreamRelease | None:
    names = ("product", "version", "shares")
    given_fields = field_reader.fields(value, path, (*names, "origin"), names)
    shares = []
    for share_path, share_value in field_reader.items(
        given_fields.get("shares"), join_path(path, "shares")
    ):
        change = field_reader.fields(share_value, share_path, ("at", "weight"), ("at", "weight"))
        weight = field_reader.number(change.get("weight", 0), join_path(share_path, "weight"))
        if weight > FULL_WEIGHT:
            field_reader.wrong(join_path(share_path, "weight"), f"{weight:g} is more than 100 %")
        shares.append((field_reader.second(change, share_path), int(weight)))
    if given_fields and not shares:
        field_reader.wrong(join_path(path, "shares"), "is empty: name a share with at and weight")
    if not shares:
        return None
    return UpstreamRelease(
        field_reader.text(given_fields.get("product"), join_path(path, "product")),
        field_reader.text(given_fields.get("version"), join_path(path, "version")),
        tuple(shares),
        field_reader.text(given_fields["origin"], join_path(path, "origin"))
        if "origin" in given_fields
        else "",
    )


def _boolean_fact(
    field_reader: FieldReader, fields: Mapping[str, object], path: str, *, name: str
) -> bool | None:
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return value
    field_reader.wrong(f"{path}.{name}", f"is {quoted_value(value)}, but must be true or false")
    return None


def _events(field_reader: FieldReader, value: object, path: str) -> list[tuple[int, Event]]:
    names = ("at", *_EVENTS)
    fields = field_reader.fields(value, path, names, ("at",))
    kinds = [kind for kind in _EVENTS if kind in fields]
    if fields and len(kinds) != 1:
        field_reader.wrong(path, f"must hold exactly one of {', '.join(_EVENTS)}")
    event_time = field_reader.second(fields, path)
    return [
        (event_time, _EVENTS[kind](field_reader, fields[kind], join_path(path, kind)))
        for kind in kinds
    ]


def _retrained_event(field_reader: FieldReader, value: object, path: str) -> Event:
    names = ("version", "evaluation", "stableEvaluation", "pairs")
    fields = field_reader.fields(value, path, names, ("version",))
    return Retrained(
        field_reader.text(fields["version"], f"{path}.version") if "version" in fields else "",
        field_reader.evaluation(fields.get("evaluation"), f"{path}.evaluation"),
        field_reader.evaluation(fields.get("stableEvaluation"), f"{path}.stableEvaluation"),
        field_reader.pairs(fields.get("pairs"), f"{path}.pairs"),
    )


def _retraining_failed_event(field_reader: FieldReader, value: object, path: str) -> Event:
    fields = field_reader.fields(value or {}, path, ("message",))
    message = fields.get("message")
    return RetrainingFailed("" if message is None else str(message))


def _model_changed_event(field_reader: FieldReader, value: object, path: str) -> Event:
    fields = field_reader.fields(value, path, ("version", "evaluation"), ("version",))
    return ModelChanged(
        field_reader.text(fields["version"], f"{path}.version") if "version" in fields else "",
        field_reader.evaluation(fields.get("evaluation"), f"{path}.evaluation"),
    )


def _promoted_event(field_reader: FieldReader, value: object, path: str) -> Event:
    fields = field_reader.fields(value, path, ("version",), ("version",))
    return Promoted(
        field_reader.text(fields["version"], f"{path}.version") if "version" in fields else ""
    )


_EVENTS: Final[Mapping[str, Callable[[FieldReader, object, str], Event]]] = {
    "retrained": _retrained_event,
    "retrainingFailed": _retraining_failed_event,
    "modelChanged": _model_changed_event,
    "promoted": _promoted_event,
}
