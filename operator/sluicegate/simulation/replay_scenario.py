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
from sluicegate.api.markets import OTHER
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.product import DataProduct
from sluicegate.api.slos import COUNTED_BY_MARKET
from sluicegate.api.versions import FULL
from sluicegate.errors import InvalidInput, Problem
from sluicegate.policy.model.observed import UpstreamRelease
from sluicegate.simulation.scenario_fields import QUALITIES, FieldReader, RawCount, join, shown
from sluicegate.slo.blocks import Quality
from sluicegate.slo.by_market import market_series
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.slo.label_ages import AGED_SERIES
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs

UNAVAILABLE: Final = (Reason.PROMETHEUS_UNAVAILABLE, Reason.PROMETHEUS_STALE, Reason.BACKFILLING)
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
    """One block of the file.

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
    """A version became stable in the history; a replay makes that decision itself."""

    version: str


Event = Retrained | RetrainingFailed | ModelChanged | Promoted


@dataclass(frozen=True, slots=True)
class FactsChange:
    """Facts that hold from now on; None keeps the earlier value, initially unknown."""

    upstream_degraded: tuple[str, ...] | None = None
    upstream_releases: tuple[UpstreamRelease, ...] | None = None
    pods_unhealthy: bool | None = None
    canary_unhealthy: bool | None = None
    node_busy: bool | None = None
    canary_node_busy: bool | None = None
    cpu_throttled: bool | None = None
    memory_pressure: bool | None = None

    def changed(self, update: "FactsChange") -> "FactsChange":
        """Return these facts, updated by later ones."""
        changes: dict[str, Any] = {name: one for name, one in update.items() if one is not None}
        return replace(self, **changes)

    def items(self) -> Iterator[tuple[str, tuple[str | UpstreamRelease, ...] | bool | None]]:
        """Yield each fact with its name."""
        for fact in fields(self):
            yield fact.name, getattr(self, fact.name)


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
    reader = FieldReader()
    scenario = _scenario(reader, document)
    if reader.problems or scenario is None:
        raise InvalidInput(reader.problems)
    return scenario


def _scenario(reader: FieldReader, document: object) -> ReplayScenario | None:
    names = (
        "product", "version", "promotionTime", "readSeconds", "accepted", "baselines", "blocks",
        "facts", "events", "consumers",
    )  # fmt: skip
    if not isinstance(document, Mapping):
        reader.wrong(
            "", f"a scenario is a mapping with {', '.join(names)}; this is {shown(document)}"
        )
        return None
    top = reader.fields(document, "", names, ("product", "version", "blocks"))
    product = _product(reader, top.get("product"), "product")
    consumers = _consumers(reader, top.get("consumers"))
    slos = frozenset(slo.name for slo in product.spec.slos) if product else frozenset[str]()
    if product is not None and not slos:
        reader.wrong("product.spec.slos", "is empty: set an SLO, or there is nothing to judge")
    version = reader.text(top["version"], "version") if "version" in top else ""
    accepted = reader.evaluation(top.get("accepted"), "accepted", slos)
    baselines = _baselines(reader, top.get("baselines"), slos)
    by_market = set() if product is None else _market_names(product)
    blocks = _blocks(reader, top.get("blocks"), slos and slos | by_market, consumers)
    facts = [_fact(reader, fact, path) for path, fact in reader.items(top.get("facts"), "facts")]
    events = [
        entry
        for path, event in reader.items(top.get("events"), "events")
        for entry in _events(reader, event, path)
    ]
    if product is None:
        return None
    return ReplayScenario(
        product,
        version,
        accepted,
        tuple(blocks),
        tuple(sorted(facts, key=itemgetter(0))),
        tuple(sorted(events, key=itemgetter(0))),
        baselines,
        reader.second(top, "", "promotionTime"),
        reader.second(top, "", "readSeconds"),
        consumers,
    )


def _market_names(product: DataProduct) -> set[str]:
    """Return the names of counts by market, `accuracy@AT`; none if the product doesn't count them."""
    spec = product.spec
    counted_slos = [slo.name for slo in spec.slos if slo.indicator.kind in COUNTED_BY_MARKET]
    markets = (*spec.markets, OTHER) if spec.serving.market is not None else ()
    return {market_series(slo, market) for slo in counted_slos for market in markets}


def _product(reader: FieldReader, value: object, path: str) -> DataProduct | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        reader.wrong(path, f"is {shown(value)}, but must be a whole DataProduct")
        return None
    try:
        return DataProduct.parse(value)
    except InvalidProduct as error:
        reader.problems += [
            Problem(join(path, problem.path) if problem.path else path, problem.message)
            for problem in error.problems
        ]
        return None


def _consumers(reader: FieldReader, value: object) -> dict[str, DataProduct]:
    read = [_product(reader, one, path) for path, one in reader.items(value, "consumers")]
    return {"/".join(one.metadata.key): one for one in read if one is not None}


def _baselines(reader: FieldReader, value: object, slos: frozenset[str]) -> dict[str, Baseline]:
    baselines = {}
    for name, baseline in reader.mapping({} if value is None else value, "baselines").items():
        path = f"baselines.{name}"
        if slos and name not in {*slos, CLIENT_ERRORS}:
            reader.wrong(path, f"is no SLO of the product: it has {', '.join(sorted(slos))}")
            continue
        try:
            baselines[name] = Baseline.model_validate_json(json.dumps(baseline, default=str))
        except ValidationError as error:
            places = ((".".join(map(str, one["loc"])), one["msg"]) for one in error.errors())
            message = "; ".join(f"{place}: {message}" for place, message in places)
            reader.wrong(path, f"{message}: write it as status.stable.baseline has it")
    return baselines


def _blocks(
    reader: FieldReader,
    value: object,
    slos: frozenset[str] | None,
    consumers: Mapping[str, DataProduct],
) -> list[ReplayBlock]:
    blocks: list[ReplayBlock] = []
    names = ("at", "counts", "coverage", "unavailable", "consumers")
    for path, item in reader.items(value, "blocks"):
        fields = reader.fields(item, path, names, ("at",))
        block = ReplayBlock(
            reader.second(fields, path),
            {
                version: _arm(reader, counts, join(f"{path}.counts", version), slos)
                for version, counts in _versions(reader, fields, path)
            },
            _coverage(reader, fields, path),
            _unavailable(reader, fields, path),
            _outcomes(reader, fields.get("consumers"), f"{path}.consumers", consumers),
        )
        if "at" in fields and block.at == 0:
            reader.wrong(f"{path}.at", "0 is the start: a block's at is its end, so it is above 0")
        if blocks and block.at <= blocks[-1].at:
            message = (
                f"{block.at} is not after the block before it ({blocks[-1].at}): sort blocks by at"
            )
            reader.wrong(f"{path}.at", message)
        blocks.append(block)
    return blocks


def _arm(
    reader: FieldReader, value: object, path: str, slos: frozenset[str] | None
) -> dict[str, RawCount | Quality]:
    """Return the counts of a version by SLO, and if the file has them its client errors and labels by age."""
    counts = reader.mapping(value, path)
    reserved_names = {CLIENT_ERRORS_FIELD, *AGED_SERIES.values()}
    slo_counts = {name: count for name, count in counts.items() if name not in reserved_names}
    result = reader.block(slo_counts, path, slos)
    age_names = {name: counts[name] for name in AGED_SERIES.values() if name in counts}
    result.update(reader.block(age_names, path, None))
    if CLIENT_ERRORS_FIELD in counts:
        errors = {CLIENT_ERRORS_FIELD: counts[CLIENT_ERRORS_FIELD]}
        for count in reader.block(errors, path, None).values():
            result[CLIENT_ERRORS] = count
    return result


def _outcomes(
    reader: FieldReader, value: object, path: str, consumers: Mapping[str, DataProduct]
) -> dict[str, dict[str, dict[str, RawCount | Quality]]]:
    """Return the outcomes of consumers in a block, those by version beside the usual ones and the requests."""
    if value is None:
        return {}
    outcomes = {}
    for name, item in reader.mapping(value, path).items():
        where = join(path, name)
        if name not in consumers:
            names = ", ".join(sorted(consumers)) or "none"
            reader.wrong(where, f"is no product of consumers, which has {names}: add it there")
            continue
        slos = frozenset(slo.name for slo in consumers[name].spec.slos)
        fields = reader.fields(item, where, ("usual", "versions", "requests"))
        versions = reader.mapping(fields.get("versions", {}), f"{where}.versions")
        arms = {
            version: _arm(reader, counts, join(f"{where}.versions", version), slos)
            for version, counts in versions.items()
        }
        if "usual" in fields:
            arms[USUAL_ARM] = _arm(reader, fields["usual"], f"{where}.usual", slos)
        if "requests" in fields:
            arms[REQUESTS_ARM] = _met(reader, fields["requests"], f"{where}.requests")
        outcomes[name] = arms
    return outcomes


def _met(reader: FieldReader, value: object, path: str) -> dict[str, RawCount | Quality]:
    """Return the requests of a consumer that called the product; a word is their quality."""
    if isinstance(value, str) and value in QUALITIES:
        return {MIXED_FIELD: QUALITIES[value]}
    names = ("total", "mixed", "unmarked")
    fields = reader.fields(value, path, names, names)
    total, mixed, unmarked = (
        reader.number(fields.get(name, 0), join(path, name)) for name in names
    )
    return {MIXED_FIELD: (mixed, total), UNMARKED_FIELD: (unmarked, total)}


def _versions(
    reader: FieldReader, fields: Mapping[str, Any], path: str
) -> Iterator[tuple[str, object]]:
    if fields.get("counts") is not None:
        yield from reader.mapping(fields["counts"], f"{path}.counts").items()


def _coverage(reader: FieldReader, fields: Mapping[str, Any], path: str) -> float | None:
    value = fields.get("coverage")
    if value is None:
        return None
    try:
        share = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        share = float("nan")
    if not 0 <= share <= 1:
        reader.wrong(f"{path}.coverage", f'is {shown(value)}, but must be a share from "0" to "1"')
        return None
    return share


def _unavailable(reader: FieldReader, fields: Mapping[str, Any], path: str) -> Reason | None:
    value = fields.get("unavailable")
    if value is None:
        return None
    if value not in UNAVAILABLE:
        reader.wrong(
            f"{path}.unavailable", f"is {shown(value)}: use one of {', '.join(UNAVAILABLE)}"
        )
        return None
    return Reason(value)


_TRUTHS: Final = {
    "podsUnhealthy": "pods_unhealthy",
    "canaryUnhealthy": "canary_unhealthy",
    "nodeBusy": "node_busy",
    "canaryNodeBusy": "canary_node_busy",
    "cpuThrottled": "cpu_throttled",
    "memoryPressure": "memory_pressure",
}


def _fact(reader: FieldReader, value: object, path: str) -> tuple[int, FactsChange]:
    allowed = ("at", "upstreamDegraded", "upstreamReleases", *_TRUTHS)
    given_fields = reader.fields(value, path, allowed, ("at",))
    upstream, releases = given_fields.get("upstreamDegraded"), given_fields.get("upstreamReleases")
    names = None
    if upstream is not None:
        upstreams = reader.items(upstream, f"{path}.upstreamDegraded")
        names = tuple(reader.text(name, item_path) for item_path, name in upstreams)
    upstream_releases = None
    if releases is not None:
        upstreams = reader.items(releases, f"{path}.upstreamReleases")
        read = [_release(reader, release, item_path) for item_path, release in upstreams]
        upstream_releases = tuple(release for release in read if release is not None)
    stated = {
        fact_name: _truth(reader, given_fields, path, name=name)
        for name, fact_name in _TRUTHS.items()
    }
    return reader.second(given_fields, path), FactsChange(names, upstream_releases, **stated)


def _release(reader: FieldReader, value: object, path: str) -> UpstreamRelease | None:
    names = ("product", "version", "shares")
    given_fields = reader.fields(value, path, names, names)
    shares = []
    for share_path, share in reader.items(given_fields.get("shares"), join(path, "shares")):
        change = reader.fields(share, share_path, ("at", "weight"), ("at", "weight"))
        weight = reader.number(change.get("weight", 0), join(share_path, "weight"))
        if weight > FULL:
            reader.wrong(join(share_path, "weight"), f"{weight:g} is more than 100 %")
        shares.append((reader.second(change, share_path), int(weight)))
    if given_fields and not shares:
        reader.wrong(join(path, "shares"), "is empty: name a share with at and weight")
    if not shares:
        return None
    return UpstreamRelease(
        reader.text(given_fields.get("product"), join(path, "product")),
        reader.text(given_fields.get("version"), join(path, "version")),
        tuple(shares),
    )


def _truth(
    reader: FieldReader, fields: Mapping[str, object], path: str, *, name: str
) -> bool | None:
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return value
    reader.wrong(f"{path}.{name}", f"is {shown(value)}, but must be true or false")
    return None


def _events(reader: FieldReader, value: object, path: str) -> list[tuple[int, Event]]:
    names = ("at", *_EVENTS)
    fields = reader.fields(value, path, names, ("at",))
    kinds = [kind for kind in _EVENTS if kind in fields]
    if fields and len(kinds) != 1:
        reader.wrong(path, f"must hold exactly one of {', '.join(_EVENTS)}")
    at = reader.second(fields, path)
    return [(at, _EVENTS[kind](reader, fields[kind], join(path, kind))) for kind in kinds]


def _retrained(reader: FieldReader, value: object, path: str) -> Event:
    names = ("version", "evaluation", "stableEvaluation", "pairs")
    fields = reader.fields(value, path, names, ("version",))
    return Retrained(
        reader.text(fields["version"], f"{path}.version") if "version" in fields else "",
        reader.evaluation(fields.get("evaluation"), f"{path}.evaluation"),
        reader.evaluation(fields.get("stableEvaluation"), f"{path}.stableEvaluation"),
        reader.pairs(fields.get("pairs"), f"{path}.pairs"),
    )


def _retraining_failed(reader: FieldReader, value: object, path: str) -> Event:
    fields = reader.fields(value or {}, path, ("message",))
    message = fields.get("message")
    return RetrainingFailed("" if message is None else str(message))


def _model_changed(reader: FieldReader, value: object, path: str) -> Event:
    fields = reader.fields(value, path, ("version", "evaluation"), ("version",))
    return ModelChanged(
        reader.text(fields["version"], f"{path}.version") if "version" in fields else "",
        reader.evaluation(fields.get("evaluation"), f"{path}.evaluation"),
    )


def _promoted(reader: FieldReader, value: object, path: str) -> Event:
    fields = reader.fields(value, path, ("version",), ("version",))
    return Promoted(
        reader.text(fields["version"], f"{path}.version") if "version" in fields else ""
    )


_EVENTS: Final[Mapping[str, Callable[[FieldReader, object, str], Event]]] = {
    "retrained": _retrained,
    "retrainingFailed": _retraining_failed,
    "modelChanged": _model_changed,
    "promoted": _promoted,
}
