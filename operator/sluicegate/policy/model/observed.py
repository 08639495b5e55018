"""Everything that was read before deciding: one frozen value; what is missing is None or empty."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sluicegate.api.engine import TimeInterval
from sluicegate.api.iteration import Iteration
from sluicegate.api.names import DecisionReason
from sluicegate.api.retraining_status import FeatureDifferences
from sluicegate.api.versions import Release
from sluicegate.policy.model.canary_block import NO_VALUES as NO_VALUES  # noqa: PLC0414
from sluicegate.policy.model.canary_block import CanaryBlock as CanaryBlock  # noqa: PLC0414
from sluicegate.policy.model.consumers import ConsumerReading
from sluicegate.slo.blocks import Series
from sluicegate.slo.means import Means
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs
from sluicegate.views.approval_notes import ApprovalNote

SeriesBySlo = Mapping[str, Series]
LOOK_BACK_SECONDS: Final = 3600
"""Stable's time before the rollout that p and φ are taken from; at least thirty blocks."""

NO_TRAFFIC: Final = "without traffic"
"""Words of a message about a release of an upstream that has ended."""


@dataclass(frozen=True, slots=True)
class UpstreamRelease:
    """A new version of an upstream product, in its canary or promoted.

    Attributes
    ----------
    product : `namespace/name`. version : name of the version.
    shares : moments in seconds, and the share of the traffic in percent from then on; oldest first.
    origin : clauses about its training and about what its API changes; empty for a pushed version with
        the API of the one before it.
    """

    product: str
    version: str
    shares: tuple[tuple[int, int], ...]
    origin: str = ""

    @property
    def begin(self) -> int:
        """Return the time of its first traffic, in seconds."""
        return self.shares[0][0]

    @property
    def share(self) -> int:
        """Return its present share of the traffic, in percent."""
        return self.shares[-1][1]

    @property
    def largest(self) -> int:
        """Return its largest traffic share so far, in percent."""
        return max(share for _, share in self.shares)

    @property
    def ended(self) -> int | None:
        """Return the time at which its traffic ended, in seconds; None while it has traffic."""
        time, share = self.shares[-1]
        return None if share else time


@dataclass(frozen=True, slots=True)
class DegradedConsumer:
    """A consumer whose SLO degraded with the release of an upstream.

    Attributes
    ----------
    consumer, product : `namespace/name` of both. version : name of the product's version.
    message : diagnosis of the consumer.
    """

    consumer: str
    product: str
    version: str
    message: str


CLOCK_SECONDS: Final = 60
"""Newest data may be so much younger than now by the clocks of two machines."""


@dataclass(frozen=True, slots=True)
class InputReading:
    """The measured value of one input of the product, with the field names of the spec.

    `value`: age of its newest data in seconds where `freshness_seconds` is set, else the number of
    broken rules of its contract; None where nothing was read.
    """

    name: str
    contract: str
    freshness_seconds: int | None
    value: float | None

    @property
    def is_bad(self) -> bool | None:
        """Return whether the input is late or breaks its contract; None if unknown."""
        if self.value is None or self.value < -CLOCK_SECONDS:
            return None
        return self.value > (self.freshness_seconds or 0)


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about the cluster and other products. None means unknown, never good.

    Attributes
    ----------
    upstream_degraded : names of products that this one calls and that are degraded, or were in
        the blocks that are judged as the present.
    upstream_since : since when one of them may be, in seconds; None when that isn't known.
    upstream_degrading : names of products that this one calls and that miss an SLO, which is not
        confirmed yet. upstream_block_seconds : length of their longest blocks.
    upstream_releases : newest versions of the products that this one calls, as far as they have had
        traffic.
    degraded_consumers : products that call this one, and whose degraded SLO follows its release.
    pods_unhealthy : stable's pods aren't ready, restart or were killed for status.
    stable_down : no pod of stable is ready, and none will be before long.
    canary_unhealthy : the candidate's pods fail, and the version is the cause.
    canary_lost : why none of them is ready, where that isn't known to be the candidate's doing;
        empty while one is.
    node_busy, canary_node_busy : a node doesn't give a pod of stable, or of the candidate, the CPU
        that it requests.
    cpu_throttled, memory_pressure : stable's containers are at their limits.
    outage : why the newest block could not be read, in words; empty if it was read.
    secret_missing : pods of stable report that their feedback Secret lacks a key.
    pods : ready pods of stable, over those when the baseline was taken (1.0 = as many).
    split_verified : the route in force has the weight that was last written.
    route_objection : why a Gateway doesn't accept the route with that weight; empty where each does.
    api_changes : what the candidate's API breaks of stable's; None while one of them is unknown.
    api_added, api_deprecated : operations that the candidate adds to stable's API, and deprecates.
    inputs : what was read of the data that the product depends on.
    iteration, stable_iteration : what the labels of the candidate's bento, and of stable's, say was
        tried; None while they aren't known.
    complete : the cluster was read: a cause that isn't among the facts doesn't exist. Without, none ends.
    """

    upstream_degraded: tuple[str, ...] = ()
    upstream_since: int | None = None
    upstream_degrading: tuple[str, ...] = ()
    upstream_block_seconds: int = 0
    upstream_releases: tuple[UpstreamRelease, ...] = ()
    degraded_consumers: tuple[DegradedConsumer, ...] = ()
    pods_unhealthy: bool = False
    stable_down: bool = False
    canary_unhealthy: bool = False
    canary_lost: str = ""
    node_busy: bool = False
    canary_node_busy: bool = False
    cpu_throttled: bool | None = None
    memory_pressure: bool | None = None
    outage: str = ""
    secret_missing: bool = False
    pods: float = 1.0
    split_verified: bool = True
    route_objection: str = ""
    api_changes: tuple[str, ...] | None = None
    api_added: tuple[str, ...] = ()
    api_deprecated: tuple[str, ...] = ()
    inputs: tuple[InputReading, ...] = ()
    iteration: Iteration | None = None
    stable_iteration: Iteration | None = None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """Why pods of a version aren't ready, or why a Job has no result.

    Attributes
    ----------
    reason : INFRASTRUCTURE, or what the version itself did.
    message : the cause in a sentence.
    """

    reason: DecisionReason
    message: str

    @property
    def own(self) -> bool:
        """Return whether the version itself is the cause."""
        return self.reason is not DecisionReason.INFRASTRUCTURE


@dataclass(frozen=True, slots=True)
class RolloutProgress:
    """How far pods and traffic have applied the decision about a candidate.

    Attributes
    ----------
    share : percent of the traffic that its pods are ready for; None while it waits for them, or has it.
    completed : the traffic has followed: the rollout ends.
    uncounted_seconds : for which requests to the pods to be removed couldn't be counted; 0 where
        the traffic was observed to follow.
    frozen : spec.suspend holds it.
    wants_share : it waits for pods for its next share. waited_seconds : for how long, in seconds.
    deadline : for how long it may, in seconds.
    problem : report of its pods. unrecoverable : whether it is.
    attribution : the cause if no pod is ready; None for a version that is restored.
    serves, stable_serves : whether a pod of it, and of stable, is ready.
    given_since : seconds since its share was last changed.
    not_followed : how the traffic differs from that share; empty while it follows, or isn't counted.
    committed : it can't be aborted any more, as the product's own Service selects it.
    """

    share: int | None = None
    completed: bool = False
    uncounted_seconds: int = 0
    frozen: bool = False
    wants_share: bool = False
    waited_seconds: float = 0
    deadline: int = 600
    problem: Failure | None = None
    unrecoverable: bool = False
    attribution: Failure | None = None
    serves: bool = True
    stable_serves: bool = True
    given_since: float = 0
    not_followed: str = ""
    committed: bool = False

    @property
    def is_changing(self) -> bool:
        """Return whether the rollout continues without a decision."""
        return self.completed or self.share is not None


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Facts about other products of the same operator that decisions use.

    Each product of the same namespace counts as one, and so does each other namespace, however
    many products it declares.

    Attributes
    ----------
    products : how many the namespace has.
    degraded_products : how many of them turned bad within three blocks of this one, itself included, or
        may have.
    namespaces : how many others there are.
    degraded_namespaces : in how many of them a product turned bad at the same time.
    namespaces_share : the shares of their products that did, summed.
    silent : share of those whose SLO of this kind has no data any more, by kind of indicator.
    slot : whether this product may train now, by budget and priority; False before its first
        application for a slot.
    training_products : the products of its namespace that have a slot. slots_taken : by all products.
    renewing : number of other products that try another runtime image.
    """

    products: int = 1
    degraded_products: int = 0
    namespaces: int = 0
    degraded_namespaces: int = 0
    namespaces_share: float = 0.0
    silent: Mapping[str, float] = field(default_factory=dict)
    slot: bool = False
    training_products: tuple[str, ...] = ()
    slots_taken: int = 0
    renewing: int = 0


NO_OTHER_PRODUCTS: Final = Portfolio(slot=True)
"""What a product without neighbours is given: the slot is its own. Replays judge by it."""


@dataclass(frozen=True, slots=True)
class TrainingSucceeded:
    """The result of a training, as written by its Job.

    Attributes
    ----------
    trigger : name of the training; empty when a person ran it.
    parent : version that it started from.
    release : what it made.
    evaluation, stable_evaluation : hold-out counts by SLO of both versions on the same rows.
    pairs : those rows by which version was right, by SLO; empty if not reported.
    data_end : when the data ended that it was trained on, in seconds; None if unknown.
    hold_out_start : begin of the rows that both were scored on, in seconds; None if not reported.
    feature_differences : of its rows and of requests; None where they weren't compared.
    """

    trigger: str
    parent: Release
    release: Release
    evaluation: Mapping[str, Count]
    stable_evaluation: Mapping[str, Count]
    pairs: Mapping[str, Pairs] = field(default_factory=dict)
    data_end: int | None = None
    hold_out_start: int | None = None
    feature_differences: FeatureDifferences | None = None


@dataclass(frozen=True, slots=True)
class TrainingScored:
    """The result of a training's Job that ended before the fit: the score of the stable version alone.

    `parent` is the version that was scored; the other attributes are those of `TrainingSucceeded`.
    """

    trigger: str
    parent: Release
    stable_evaluation: Mapping[str, Count]
    data_end: int | None = None
    hold_out_start: int | None = None
    feature_differences: FeatureDifferences | None = None


@dataclass(frozen=True, slots=True)
class TrainingFailed:
    """A training without a result.

    `lost`: its Job didn't run for a cause outside the training, such as a quota or a node.
    """

    trigger: str
    reason: DecisionReason
    message: str
    lost: bool = False


TrainingResult = TrainingSucceeded | TrainingScored | TrainingFailed


@dataclass(frozen=True, slots=True)
class ShadowCounted:
    """Rows of an interval of the shadow phase, by SLO.

    Attributes
    ----------
    pairs : empty when there were none. until : end of the interval, in seconds; None for that which
        status names.
    """

    pairs: Mapping[str, Pairs]
    until: int | None = None


ShadowResult = ShadowCounted | Failure


@dataclass(frozen=True, slots=True)
class ManualRequest:
    """A one-shot request of a person.

    Attributes
    ----------
    annotation : which one.
    value : `<token>` or `<version>/<token>`, as written.
    user, reason : who asks, and why; empty without a note.
    """

    annotation: str
    value: str
    user: str = ""
    reason: str = ""

    @property
    def note(self) -> str:
        """Return the requester and the reason, in words; empty without a note."""
        return f"{self.user}: {self.reason}" if self.user or self.reason else ""

    @property
    def version(self) -> str:
        """Return the version that the request names; empty if it names none."""
        return self.value.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class PartyAnswer:
    """The answer of a party to a candidate; `party` is a role, or `namespace/name` of a consumer."""

    party: str
    note: ApprovalNote


@dataclass(frozen=True, slots=True)
class Observed:
    """The input of one product's decision.

    Attributes
    ----------
    block : index of the newest complete block; evaluations are at its end.
    problem : why the newest block couldn't be read; None if it was read.
    problems : why it couldn't be read for single SLOs, by name.
    series : blocks by version and SLO.
    markets : blocks of the stable version by SLO and market, where they are counted so.
    pod_seconds : how long pods of the stable version answered, summed, by block; None where no
        autoscaler changes their number.
    gauges : block means by version and SLO, where an SLO is a gauge.
    canary_blocks : both arms, oldest first, from an hour before the rollout on; empty without one.
    canary_block_seconds : their length.
    desired : spec.model; None in a product that isn't parsed.
    withheld : the mistake in the spec for which that can't begin; empty while it can.
    desired_evaluation : its hold-out counts by SLO.
    training : the result of a training that isn't taken up yet.
    shadow : the result of the shadow Job that status names, once it has ended; with mirrored
        requests, the rows of an interval that is over.
    facts : about the cluster and other products.
    rollout : how a candidate's pods and traffic follow; None without one.
    portfolio : facts about other products.
    requests : one-shot requests, handled or not.
    answers : answers of parties to candidates, whichever rollout they name.
    consumers : `namespace/name` of the products that depend on this one.
    absent_consumers : of those that spec.rollout.approvals.consumers names and that don't exist.
    consumer_readings : of the consumers whose outcomes count in a canary of this product.
    absences : intervals in which this process knows that no operator looked. term : since when this
        replica leads, in seconds; 0 where that isn't known.
    """

    block: int
    problem: DecisionReason | None = None
    problems: Mapping[str, DecisionReason] = field(default_factory=dict)
    series: Mapping[str, SeriesBySlo] = field(default_factory=dict)
    gauges: Mapping[str, Mapping[str, Means]] = field(default_factory=dict)
    markets: Mapping[str, SeriesBySlo] = field(default_factory=dict)
    pod_seconds: Series | None = None
    canary_blocks: tuple[CanaryBlock, ...] = ()
    canary_block_seconds: int = 60
    desired: Release | None = None
    withheld: str = ""
    desired_evaluation: Mapping[str, Count] = field(default_factory=dict)
    training: TrainingResult | None = None
    shadow: ShadowResult | None = None
    facts: Facts = field(default_factory=Facts)
    rollout: RolloutProgress | None = None
    portfolio: Portfolio = field(default_factory=Portfolio)
    requests: tuple[ManualRequest, ...] = ()
    answers: tuple[PartyAnswer, ...] = ()
    consumers: tuple[str, ...] = ()
    absent_consumers: tuple[str, ...] = ()
    consumer_readings: tuple[ConsumerReading, ...] = ()
    absences: tuple[TimeInterval, ...] = ()
    term: int = 0

    def counts(self, version: str, slo: str) -> Series | None:
        """Return the blocks of an SLO of a version; None if they weren't counted."""
        return self.series.get(version, {}).get(slo)

    def means(self, version: str, slo: str) -> Means:
        """Return the block means of a gauge of a version; empty if they weren't read."""
        return self.gauges.get(version, {}).get(slo, Means())

    def had_data(self, version: str, slo: str) -> bool:
        """Return whether any stored block of a version has data of an SLO."""
        series = self.counts(version, slo)
        means = self.gauges.get(version, {}).get(slo)
        return (series is not None and series.had_events) or (means is not None and means.known)
