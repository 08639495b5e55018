"""Targets and readings: the measurements of each product, and the answers of one fetch for all.

The queries between the two don't depend on single products.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from sys import intern
from typing import Final, NamedTuple, TypeVar

from sluicegate.api.slos import Indicator
from sluicegate.slo.blocks import Block, Quality
from sluicegate.slo.queries import QueryKind

REQUESTS: Final = ""
"""SLO name under which a version's requests are kept if no SLO of its own counts them."""
PAIRED_SERIES: Final = {"correct": "@stable-right", "wrong": "@stable-wrong"}
"""Names under which pairs are kept, by the outcome of stable's answer: the candidate's outcomes for
the same requests. No SLO has such a name."""


def identity(version: str, revision: str = "") -> str:
    """Return the version label of series: name and revision, as on the pods.

    A name alone isn't unique, as the same bento may run in another runtime. Pods that are scraped
    without their revision have the name alone.
    """
    return intern(f"{version}/{revision}") if revision else version


class ProductKey(NamedTuple):
    """Identity of a product."""

    namespace: str
    product: str


class VersionKey(NamedTuple):
    """Identity of a version of a product."""

    namespace: str
    product: str
    version: str


class SeriesKey(NamedTuple):
    """Identity of a series: SLO, version and product; `REQUESTS` for the version's traffic."""

    namespace: str
    product: str
    version: str
    slo: str


AKey = TypeVar("AKey", SeriesKey, VersionKey)
AValue = TypeVar("AValue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The series and queries that a product needs.

    Parameters
    ----------
    versions
        Live versions, by their identity in series; other versions in Prometheus are ignored.
    slos
        Indicators by SLO name.
    service
        Name of the bento's entry service. Calls between the services of one bento are counted
        under the same metric, so without it a request can count twice.
    renamed
        Versions whose entry service has another name, and that name.
    canary_from
        Start of the canary blocks, in seconds since 1970: an hour before the rollout, for the bad ratio
        of stable before it. None without a candidate.
    evidence_from
        Start of the evidence about the stable version, in seconds since 1970.
    client_errors
        Whether the share of client errors is needed: while versions are compared.
    counts_pods
        Whether the number of its pods is needed by block: if an autoscaler changes it.
    markets
        Markets by which events are counted, including `other`; empty if they aren't.
    paired
        Whether pairs of outcomes are needed: while requests are mirrored to a candidate.
    inputs
        Expressions of PromQL for the product's inputs, with their names.
    consumers
        Products whose outcomes are needed by the version of this one: while it has a candidate.
    callers
        Names under which its pods count requests by caller, including `other`; empty if they don't.
    unaccepted
        Versions that were never accepted, whose pods receive no labels: what they count for the
        predictions of other versions is ignored.
    """

    key: ProductKey
    versions: tuple[str, ...]
    slos: Mapping[str, Indicator]
    block_seconds: int = 300
    service: str = ""
    renamed: tuple[tuple[str, str], ...] = ()
    canary_from: int | None = None
    evidence_from: int = 0
    client_errors: bool = False
    counts_pods: bool = False
    markets: tuple[str, ...] = ()
    paired: bool = False
    inputs: tuple[tuple[str, str], ...] = ()
    consumers: tuple[ProductKey, ...] = ()
    callers: tuple[str, ...] = ()
    unaccepted: tuple[str, ...] = ()

    def service_of(self, version: str) -> str:
        """Return the name of a version's entry service."""
        return next(
            (name for known_version, name in self.renamed if known_version == version), self.service
        )

    @property
    def requests(self) -> str:
        """Return the SLO that counts all requests, for the traffic and the observed share."""
        own_names = (name for name, indicator in self.slos.items() if indicator.availability)
        return next(own_names, REQUESTS)


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of a gauge in one block."""

    index: int
    quality: Quality
    value: float


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """Facts of a version other than its SLOs, at the newest block.

    Attributes
    ----------
    coverage
        Share of the expected scrapes that succeeded; None without any target.
    scraped
        Whether any of its pods was scraped successfully.
    stale
        Whether the newest scrape is older than two scrape intervals.
    duplicated
        Pods that are scraped by more than one target, so that their events count twice.
    secretless
        Pods whose feedback Secret lacks a key, so that they take no label.
    cpu_throttled
        Share of CPU periods in which its containers were throttled; None when unknown.
    cpu_waited
        Share of time in which a container of a pod could run and had no CPU; of the pod that waited
        most. None if unknown.
    cpus_used
        CPUs that its busiest pod used; None if unknown.
    memory_used
        Highest share of its memory limit a container reached; None when unknown.
    inputs
        Values of the product's inputs at the end of the block, by name; without those that are
        unknown.
    """

    coverage: float | None = None
    scraped: bool = False
    stale: bool = False
    duplicated: int = 0
    cpu_throttled: float | None = None
    cpu_waited: float | None = None
    cpus_used: float | None = None
    memory_used: float | None = None
    secretless: int = 0
    inputs: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """The blocks first … last of one length, for all products of a fetch.

    Attributes
    ----------
    canary
        Whether these are canary blocks, which are stored separately.
    scraped
        Blocks in which pods of a version answered a scrape; of canary blocks only.
    gateway
        Requests by backend and block, as the gateway counted them; of canary blocks only. None
        if no gateway was queried, or it didn't answer.
    failed
        Kinds of queries without an answer, for all products.
    complete
        Whether every count was read; missing ones are UNAVAILABLE blocks.
    problem
        Reason why a part couldn't be read, facts about infrastructure included.
    unreadable
        Reason why the newest block of a single product couldn't be read, by kind of query: Prometheus
        refuses the query, or its answer is unusable. These are UNAVAILABLE blocks too, but don't change
        `complete`: they aren't requested again. They may include a product that doesn't need the query,
        but whose pods make it fail.
    released
        Products with missing blocks that can be read now.
    """

    block_seconds: int
    canary: bool
    first: int
    last: int
    blocks: Mapping[SeriesKey, Sequence[Block]] = field(default_factory=dict)
    means: Mapping[SeriesKey, Sequence[Mean]] = field(default_factory=dict)
    facts: Mapping[VersionKey, TargetFacts] = field(default_factory=dict)
    scraped: Mapping[VersionKey, frozenset[int]] = field(default_factory=dict)
    gateway: Mapping[str, Mapping[int, float]] | None = None
    failed: frozenset[QueryKind] = frozenset()
    complete: bool = True
    problem: str = ""
    unreadable: Mapping[ProductKey, Mapping[QueryKind, str]] = field(default_factory=dict)
    released: frozenset[ProductKey] = frozenset()

    def only(self, products: AbstractSet[ProductKey]) -> "Readings":
        """Return the same readings without the blocks of other products."""
        return replace(
            self,
            blocks=select_products(self.blocks, products.__contains__),
            means=select_products(self.means, products.__contains__),
            facts=select_products(self.facts, products.__contains__),
            scraped=select_products(self.scraped, products.__contains__),
        )


@dataclass(frozen=True, slots=True)
class Past:
    """Result of a backfill for some products: single blocks, and sums of twelve before them."""

    targets: tuple[Target, ...]
    singles: Readings
    hours: Readings


def select_products(
    values_by_key: Mapping[AKey, AValue], is_chosen: Callable[[ProductKey], bool]
) -> dict[AKey, AValue]:
    """Select the readings of the chosen products."""
    return {
        key: value
        for key, value in values_by_key.items()
        if is_chosen(ProductKey(key.namespace, key.product))
    }
