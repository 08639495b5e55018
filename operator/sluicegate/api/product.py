"""The DataProduct itself: the root type, its spec, and the border where objects come in."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, StringConstraints, ValidationError

from sluicegate.api.accountability import Compliance, ModelCard
from sluicegate.api.base import ApiModel, Line, Rule, StatusModel, Time
from sluicegate.api.consumers import DRAW_HEADER
from sluicegate.api.errors import InvalidProduct, problem
from sluicegate.api.extent import compact_json, readable_json, without_nulls
from sluicegate.api.inputs import MAX_INPUTS, DataInput
from sluicegate.api.list_types import Keyed, Unique
from sluicegate.api.model import Model
from sluicegate.api.names import LABEL_QUEUE, PREVIEW_HEADER
from sluicegate.api.patterns import described
from sluicegate.api.product_info import (
    PRODUCT_MANAGER,
    BusinessGoal,
    ConsumerEvidence,
    Dependency,
    Description,
    JourneyPlace,
    Lifecycle,
    Link,
    Market,
    Priority,
    SupportChannel,
    Team,
)
from sluicegate.api.retraining import Retraining
from sluicegate.api.review import ReviewCycle
from sluicegate.api.rollout import Capacity, Rollout
from sluicegate.api.route import MAX_REMOVED_HEADERS, ParentRef, Route
from sluicegate.api.serving import DEFAULT_BUCKETS_MILLISECONDS, Serving
from sluicegate.api.slos import MAX_PROMQL_SLOS, Analysis, Slo
from sluicegate.api.status import DataProductStatus
from sluicegate.errors import Problem

_BOUNDS = ", ".join(map(str, DEFAULT_BUCKETS_MILLISECONDS))
MAX_STATUS_BYTES: Final = 256 * 1024
"""Characters of a status that is read. The largest that a step can lead to has some 20 KiB."""
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
SEMVER = described(
    r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$",
    "must be a semantic version of three numbers, without v: write e.g. 1.4.0",
)


class DataProductSpec(ApiModel):
    """Desired state of a product; only owner and model are required."""

    cel_rules: ClassVar = (
        Rule(
            cel="!has(self.businessGoals) || self.businessGoals.all(goal, !has(goal.slo) ||"
            " (has(self.slos) && self.slos.exists(slo, slo.name == goal.slo)))",
            holds=lambda self: self._measured_goals <= {slo.name for slo in self.slos},
            message="businessGoals[].slo must be the name of one of spec.slos",
            field="businessGoals",
        ),
        Rule(
            cel="!has(self.businessGoals) || !has(self.slos) || self.businessGoals.all(goal,"
            " !has(goal.slo) || self.slos.all(slo, slo.name != goal.slo || has(slo.indicator.gauge) ||"
            " (double(goal.target) >= 0.0 && (!has(goal.unit) || goal.unit == 'ratio'"
            " ? double(goal.target) <= 1.0 : goal.unit == '%' && double(goal.target) <= 100.0))))",
            holds=lambda self: all(goal.is_share for goal in self._share_goals),
            message="businessGoals[].target and unit must be those of a share where slo has a share of good"
            ' events: write 95 % as "0.95" with unit ratio, or as "95" with unit "%"; other targets and'
            " units need an SLO with the indicator gauge",
            field="businessGoals",
        ),
        Rule(
            cel="self.lifecycle != 'Production' || (has(self.team) && has(self.team.members) &&"
            " self.team.members.exists(member, member.role == 'DataProductManager'))",
            holds=lambda self: self.lifecycle is not Lifecycle.PRODUCTION or self._has_manager,
            message="team.members needs a member with the role DataProductManager once lifecycle is"
            " Production",
            field="team",
        ),
        Rule(
            cel="self.lifecycle != 'Production' || !has(self.serving) || !has(self.serving.runtimeImage)"
            " || self.serving.runtimeImage.contains('@sha256:')",
            holds=lambda self: (
                self.lifecycle is not Lifecycle.PRODUCTION
                or "@sha256:" in (self.serving.runtime_image or "@sha256:")
            ),
            message="serving.runtimeImage must be named by digest (…@sha256:…) once lifecycle is"
            " Production",
            field="serving",
        ),
        Rule(
            cel="!has(self.slos) || self.slos.filter(slo, has(slo.indicator.promql)).size() <="
            f" {MAX_PROMQL_SLOS}",
            holds=lambda self: (
                sum(slo.indicator.promql is not None for slo in self.slos) <= MAX_PROMQL_SLOS
            ),
            message=f"at most {MAX_PROMQL_SLOS} SLOs may be measured by promql, as each costs a query of"
            " its own: use counters or events for the others",
            field="slos",
        ),
        Rule(
            cel="!has(self.slos) || self.slos.all(slo, !has(slo.indicator.latency) ||"
            " ((has(self.serving) && has(self.serving.latencyBucketsMilliseconds) &&"
            " size(self.serving.latencyBucketsMilliseconds) > 0)"
            " ? slo.indicator.latency.thresholdMilliseconds in self.serving.latencyBucketsMilliseconds"
            f" : slo.indicator.latency.thresholdMilliseconds in [{_BOUNDS}]))",
            holds=lambda self: self._thresholds <= set(self.serving.buckets_milliseconds),
            message="indicator.latency.thresholdMilliseconds must be a bound of the request histogram:"
            f" one of {_BOUNDS}, or one that serving.latencyBucketsMilliseconds lists",
            field="slos",
        ),
        Rule(
            cel="!has(self.slos) || !self.slos.exists(slo, has(slo.markets)) || has(self.serving)"
            " && has(self.serving.market)",
            holds=lambda self: (
                self.serving.market is not None or all(slo.markets is None for slo in self.slos)
            ),
            message="slos[].markets needs events that are counted by market: set serving.market, or"
            " remove markets",
            field="slos",
        ),
        Rule(
            cel="!has(self.model) || !has(self.model.evaluation) || self.model.evaluation.all(name,"
            " has(self.slos) && self.slos.exists(slo, slo.name == name))",
            holds=lambda self: set(self.model.evaluation or ()) <= {slo.name for slo in self.slos},
            message="model.evaluation names an SLO that isn't in slos: correct its name, or remove it",
            field="model",
        ),
        Rule(
            cel="!has(self.rollout) || !has(self.rollout.approvals) || !has(self.rollout.approvals.roles)"
            " || self.rollout.approvals.roles.all(role, has(self.team) && has(self.team.members) &&"
            " self.team.members.exists(member, member.role == role))",
            holds=lambda self: self._approving_roles <= self._team_roles,
            message="rollout.approvals.roles names a role that no member of team.members has: add a"
            " member with this role, or remove the role",
            field="rollout",
        ),
        Rule(
            cel="!has(self.dependsOn) || !self.dependsOn.exists(one, has(one.evidence) &&"
            " one.evidence != 'Ignore') || has(self.slos) && self.slos.exists(slo,"
            " has(slo.indicator.events) || (has(slo.indicator.outcomes) && has(self.serving) &&"
            " has(self.serving.feedback)))",
            holds=lambda self: (
                all(
                    dependency.evidence is ConsumerEvidence.IGNORE for dependency in self.depends_on
                )
                or self._counts_by_upstream
            ),
            message="dependsOn[].evidence needs an SLO that is counted by the version of the other"
            " product: add one with the indicator events, or outcomes with serving.feedback, to slos,"
            " or set evidence to Ignore",
            field="dependsOn",
        ),
        Rule(
            cel="!has(self.rollout) || !has(self.rollout.shadow) || has(self.slos) &&"
            " self.slos.exists(slo, !has(slo.indicator.availability) && !has(slo.indicator.latency)"
            " && !has(slo.indicator.gauge))",
            holds=lambda self: (
                self.rollout.shadow is None or any(slo.measures_quality for slo in self.slos)
            ),
            message="rollout.shadow scores answers: add an SLO about them to slos (outcomes, events,"
            " counters or promql), or remove it",
            field="rollout",
        ),
        Rule(
            cel="!has(self.rollout) || !has(self.rollout.shadow) || !has(self.rollout.shadow.mirror)"
            " || has(self.serving.feedback) && has(self.slos) &&"
            " self.slos.exists(slo, has(slo.indicator.outcomes))",
            holds=lambda self: (
                self.rollout.shadow is None
                or self.rollout.shadow.mirror is None
                or (
                    self.serving.feedback is not None
                    and any(slo.indicator.outcomes for slo in self.slos)
                )
            ),
            message="rollout.shadow.mirror compares the outcomes of signed predictions: set"
            " serving.feedback and add an SLO with the indicator outcomes, or use rollout.shadow.command",
            field="rollout",
        ),
        Rule(
            cel="!has(self.rollout) || !has(self.rollout.consumers) || has(self.route)"
            " && self.rollout.consumers.parentRefs.all(one, self.route.parentRefs.exists(other,"
            " other.name == one.name && (has(other.__namespace__) ? other.__namespace__ : '')"
            " == (has(one.__namespace__) ? one.__namespace__ : '')"
            " && (!has(other.sectionName) || has(one.sectionName) && one.sectionName == other.sectionName)"
            " && (!has(other.port) || has(one.port) && one.port == other.port)))",
            holds=lambda self: (
                self.rollout.consumers is None
                or self._are_listeners_of_route(self.rollout.consumers.parent_refs)
            ),
            message="rollout.consumers.parentRefs must be listeners of the route: set route, and name"
            " in it each of these Gateways, without sectionName or with the same one",
            field="rollout",
        ),
        Rule(
            cel="!has(self.rollout) || !has(self.rollout.consumers) || !has(self.route)"
            " || !has(self.route.rules) || self.route.rules.all(rule, !has(rule.matches)"
            " || rule.matches.all(match, !has(match.headers) || match.headers.all(header,"
            f" !header.name.lowerAscii().startsWith('{DRAW_HEADER}'))))",
            holds=lambda self: (
                self.rollout.consumers is None
                or self.route is None
                or not any(name.startswith(DRAW_HEADER) for name in self.route.matched_headers)
            ),
            message=f"route.rules matches a header {DRAW_HEADER}…, which rollout.consumers needs for"
            " the draws of consumers: match another header, or remove rollout.consumers",
            field="route",
        ),
        Rule(
            cel="!has(self.rollout) || !has(self.rollout.preview) || has(self.route)"
            " && self.rollout.preview.parentRefs.all(one, self.route.parentRefs.exists(other,"
            " other.name == one.name && (has(other.__namespace__) ? other.__namespace__ : '')"
            " == (has(one.__namespace__) ? one.__namespace__ : '')"
            " && (!has(other.sectionName) || has(one.sectionName) && one.sectionName == other.sectionName)"
            " && (!has(other.port) || has(one.port) && one.port == other.port)))",
            holds=lambda self: (
                self.rollout.preview is None
                or self._are_listeners_of_route(self.rollout.preview.parent_refs)
            ),
            message="rollout.preview.parentRefs must be listeners of the route: set route, and name"
            " in it each of these Gateways, without sectionName or with the same one",
            field="rollout",
        ),
        Rule(
            cel="!has(self.rollout) || !has(self.rollout.preview) || !has(self.route)"
            " || !has(self.route.rules) || self.route.rules.all(rule, !has(rule.matches)"
            " || rule.matches.all(match, !has(match.headers) || match.headers.all(header,"
            f" header.name.lowerAscii() != '{PREVIEW_HEADER}')))",
            holds=lambda self: (
                self.rollout.preview is None
                or self.route is None
                or PREVIEW_HEADER not in self.route.matched_headers
            ),
            message=f"route.rules matches the header {PREVIEW_HEADER}, which rollout.preview needs:"
            " match another header, or remove rollout.preview",
            field="route",
        ),
        Rule(
            cel="!has(self.rollout) || !has(self.rollout.preview) || !has(self.route)"
            " || !has(self.route.rules) || self.route.rules.all(rule, !has(rule.filters)"
            " || rule.filters.all(one, !has(one.requestHeaderModifier)"
            " || (!has(one.requestHeaderModifier.set) || one.requestHeaderModifier.set.all(header,"
            f" header.name.lowerAscii() != '{PREVIEW_HEADER}'))"
            " && (!has(one.requestHeaderModifier.add) || one.requestHeaderModifier.add.all(header,"
            f" header.name.lowerAscii() != '{PREVIEW_HEADER}'))"
            " && (!has(one.requestHeaderModifier.remove)"
            f" || one.requestHeaderModifier.remove.size() < {MAX_REMOVED_HEADERS}"
            " && one.requestHeaderModifier.remove.all(header,"
            f" header.lowerAscii() != '{PREVIEW_HEADER}'))))",
            holds=lambda self: (
                self.rollout.preview is None
                or self.route is None
                or not any(
                    PREVIEW_HEADER in modifier.headers
                    or len(modifier.remove) >= MAX_REMOVED_HEADERS
                    for modifier in self.route.request_modifiers
                )
            ),
            message="a requestHeaderModifier of route.rules changes the header"
            f" {PREVIEW_HEADER}, or removes {MAX_REMOVED_HEADERS} headers, and rollout.preview removes that"
            f" header: leave it out, remove at most {MAX_REMOVED_HEADERS - 1}, or remove rollout.preview",
            field="route",
        ),
        Rule(
            cel="!has(self.rollout) || !has(self.rollout.capacity) || self.rollout.capacity != 'Replace'"
            " || has(self.serving) && (has(self.serving.replicas) && self.serving.replicas > 1"
            " || has(self.serving.autoscaling) && self.serving.autoscaling.maxReplicas > 1)",
            holds=lambda self: (
                self.rollout.capacity is not Capacity.REPLACE or self.serving.max_replicas > 1
            ),
            message="rollout.capacity is Replace, which exchanges pods one by one, and of a single pod none"
            " serves meanwhile: set serving.replicas or serving.autoscaling.maxReplicas to 2 or more, or"
            " rollout.capacity to Double",
            field="rollout",
        ),
    )

    display_name: Annotated[str, StringConstraints(min_length=1, max_length=120)] | None = None
    """Name of the product as people read it."""
    description: Description | None = None
    """Purpose, limits and usage of the product."""
    version: Annotated[str, StringConstraints(pattern=SEMVER, max_length=64)] | None = None
    """Semantic version of the product, not of the model."""
    domain: Line | None = None
    """Business domain, e.g. search, pricing, logistics."""
    owner: Annotated[
        str,
        StringConstraints(
            pattern=described(
                r"^([a-z]+:)?([-a-z0-9]+/)?[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$",
                "must be a Backstage entity reference without spaces: write e.g. group:default/catalog",
                at_server=True,
            ),
            max_length=253,
        ),
    ]
    """Accountable team, as a Backstage entity reference, e.g. group:default/catalog."""
    team: Team | None = None
    """People who are responsible for the product."""
    lifecycle: Lifecycle = Lifecycle.DEVELOPMENT
    """Stage in the lifecycle; a Deprecated or Retired product is never retrained and starts no
    rollout."""
    priority: Priority = Priority.MEDIUM
    """Priority of its retraining when training slots are scarce."""
    markets: Annotated[tuple[Market, ...], Field(max_length=64), Unique()] = ()
    """Countries it serves, as ISO 3166-1 alpha-2."""
    depends_on: Annotated[
        tuple[Dependency, ...],
        Field(max_length=32),
        Keyed("namespace", "name"),
    ] = ()
    """Products that this one calls. While one of them is degraded, this product is not
    retrained."""
    inputs: Annotated[tuple[DataInput, ...], Field(max_length=MAX_INPUTS), Keyed("name")] = ()
    """Data that the model is served with and trained on. While one of them is late, or breaks its
    contract, the product is not retrained."""
    journeys: Annotated[tuple[JourneyPlace, ...], Field(max_length=16), Keyed("name")] = ()
    """Customers' journeys in which the product is a step; the portfolio page shows each with all its
    products. They affect no decision."""
    business_goals: Annotated[tuple[BusinessGoal, ...], Field(max_length=16), Keyed("name")] = ()
    """Contribution of the product to the business."""
    support: Annotated[tuple[SupportChannel, ...], Field(max_length=16), Keyed("channel")] = ()
    """Channels on which users get help."""
    links: Annotated[tuple[Link, ...], Field(max_length=32)] = ()
    """Links to pages about the product."""
    model: Model
    """The model that the product serves."""
    serving: Serving = Field(default_factory=Serving, json_schema_extra={"default": {}})
    """Pods that serve the product: replicas, resources, scheduling."""
    route: Route | None = None
    """Route by which requests reach the product. Without one, there is only a Service, and traffic
    splits are approximate."""
    slos: Annotated[tuple[Slo, ...], Field(max_length=16), Keyed("name")] = ()
    """Service level objectives of the product."""
    analysis: Analysis = Field(default_factory=Analysis, json_schema_extra={"default": {}})
    """Division of measurements into blocks of time."""
    retraining: Retraining | None = None
    """Retraining of the model. Without it, the model is never retrained."""
    rollout: Rollout = Field(default_factory=Rollout, json_schema_extra={"default": {}})
    """Rollout of a new version to users."""
    model_card: ModelCard | None = None
    """Statements about the model for the technical file, beyond what is measured."""
    compliance: Compliance | None = None
    """Judgement of the product's risk by a person."""
    review: ReviewCycle | None = None
    """Regular reviews of the product: their period and who signs them. Without it, no ledger is
    kept."""
    suspend: bool = False
    """Whether the operator changes nothing but status. Pods keep serving, and requests by
    annotation still act."""

    @property
    def _measured_goals(self) -> set[str]:
        return {goal.slo for goal in self.business_goals if goal.slo is not None}

    @property
    def _share_goals(self) -> list[BusinessGoal]:
        shares = {slo.name for slo in self.slos if slo.indicator.gauge is None}
        return [goal for goal in self.business_goals if goal.slo in shares]

    @property
    def _has_manager(self) -> bool:
        return (
            any(member.role == PRODUCT_MANAGER for member in self.team.members)
            if self.team
            else False
        )

    @property
    def _approving_roles(self) -> set[str]:
        approvals = self.rollout.approvals
        return set() if approvals is None else set(approvals.roles)

    @property
    def _team_roles(self) -> set[str]:
        return {member.role for member in self.team.members} if self.team else set()

    @property
    def _counts_by_upstream(self) -> bool:
        feedback = self.serving.feedback is not None
        return any(
            slo.indicator.events or (slo.indicator.outcomes and feedback) for slo in self.slos
        )

    def _are_listeners_of_route(self, parent_refs: tuple[ParentRef, ...]) -> bool:
        return self.route is not None and self.route.listeners_among(parent_refs) == parent_refs

    @property
    def _thresholds(self) -> set[int]:
        latencies = (slo.indicator.latency for slo in self.slos)
        return {latency.threshold_milliseconds for latency in latencies if latency}

    def slo(self, name: str) -> Slo:
        """Return the SLO of this name. KeyError when there is none."""
        for slo in self.slos:
            if slo.name == name:
                return slo
        raise KeyError(name)


class ObjectMeta(StatusModel):
    """Metadata of the object."""

    name: str
    """Name of the product; at most 40 characters, as names are derived from it."""
    namespace: str = "default"
    """Namespace of the product's object."""
    uid: str = ""
    """Unique for as long as the cluster lives."""
    generation: int = 0
    """Counts changes of spec."""
    resource_version: str = ""
    """Changes with every write."""
    creation_timestamp: Time | None = None
    """When it was made."""
    deletion_timestamp: Time | None = None
    """When it was asked to go."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the product's object."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Its annotations; one-shot requests among them."""

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


class DataProduct(ApiModel):
    """An AI model run as a product: its owner, service levels, retraining and rollout."""

    cel_rules: ClassVar = (
        Rule(
            cel="self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"
            " && size(self.metadata.name) <= 40",
            holds=lambda self: bool(_NAME.fullmatch(self.metadata.name)),
            message="metadata.name must start with a letter and have at most 40 characters of a-z, 0-9"
            " and -: other names are derived from it",
            field="metadata",
        ),
        Rule(
            # CEL rules don't see the object's own namespace.
            cel="!has(self.spec.dependsOn) || !self.spec.dependsOn.exists(one,"
            " one.name == self.metadata.name && (!has(one.namespace) || one.namespace == ''))",
            holds=lambda self: not self._depends_on_itself,
            message="spec.dependsOn names the product itself: remove it, or name the product that"
            " this one calls",
            field="spec.dependsOn",
        ),
        Rule(
            cel="!has(self.spec.rollout) || !has(self.spec.rollout.consumers) ||"
            " !(self.metadata.name in self.spec.rollout.consumers.names)",
            holds=lambda self: not self._consumes_itself,
            message="spec.rollout.consumers.names names the product itself: remove it, or name the product"
            " that calls this one",
            field="spec.rollout",
        ),
        Rule(
            cel="!has(self.spec.rollout) || !has(self.spec.rollout.approvals) ||"
            " !has(self.spec.rollout.approvals.consumers) ||"
            " !(self.metadata.name in self.spec.rollout.approvals.consumers)",
            holds=lambda self: not self._approves_itself,
            message="spec.rollout.approvals.consumers names the product itself: remove it, or name the"
            " product that calls this one",
            field="spec.rollout",
        ),
    )

    api_version: Literal["sluicegate.dev/v1alpha1"] = "sluicegate.dev/v1alpha1"
    kind: Literal["DataProduct"] = "DataProduct"
    metadata: ObjectMeta
    """Standard metadata of the object."""
    spec: DataProductSpec
    """Desired state of the product."""
    status: DataProductStatus = Field(
        default_factory=DataProductStatus, json_schema_extra={"default": {"observedGeneration": -1}}
    )
    """Most recently observed state of the product."""

    @property
    def queue(self) -> str:
        """Return the LocalQueue that admits its Jobs: the spec's, or else the label's; empty without one."""
        retraining = self.spec.retraining
        spec_queue = None if retraining is None else retraining.queue
        return spec_queue or self.metadata.labels.get(LABEL_QUEUE, "")

    @property
    def _depends_on_itself(self) -> bool:
        own_namespaces, name = {"", self.metadata.namespace}, self.metadata.name
        return any(
            dependency.name == name and dependency.namespace in own_namespaces
            for dependency in self.spec.depends_on
        )

    @property
    def _consumes_itself(self) -> bool:
        consumers = self.spec.rollout.consumers
        own_names = {self.metadata.name, str(self.metadata.key)}
        return consumers is not None and bool(own_names & set(consumers.names))

    @property
    def _approves_itself(self) -> bool:
        approvals = self.spec.rollout.approvals
        own_names = {self.metadata.name, str(self.metadata.key)}
        return approvals is not None and bool(own_names & set(approvals.consumers))

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """Return the product in a document, as the API server or a file has it.

        A status that can't be read counts as lost, because it can be rebuilt from the
        children; everything else that is wrong is listed.

        Raises
        ------
        InvalidProduct
            With one problem a mistake, its path and the way out.
        """
        _, unreadable_problem = readable_json(document.get("spec") or {})
        if unreadable_problem is not None:
            raise InvalidProduct([unreadable_problem])
        try:
            text = compact_json(without_nulls({**document, "status": None}))
        except RecursionError as error:
            problem_text = (
                "beside spec has a field of more than 64 levels: remove what the schema lacks"
            )
            raise InvalidProduct([Problem("document", problem_text)]) from error
        return cls.parse_json(text, read_status(document.get("status")))

    @classmethod
    def parse_json(cls, document: str, status: DataProductStatus) -> Self:
        """Return the product of JSON text.

        Parameters
        ----------
        document : of the product but its status, without nulls.
        status : its status.

        Raises
        ------
        InvalidProduct
            As `parse` does.
        """
        try:
            product = cls.model_validate_json(document, by_name=False)
        except ValidationError as error:
            raise InvalidProduct(map(problem, error.errors())) from error
        return product.replace(status=status)


def status_text(status: object) -> str:
    """Return a status as JSON; an empty object for no status, or for one beyond the readable size."""
    try:
        text = compact_json(status or {})
    except RecursionError:
        return "{}"
    return text if isinstance(status, Mapping) and len(text) <= MAX_STATUS_BYTES else "{}"


def read_status(document: object) -> DataProductStatus:
    """Return the status in a document; an empty one if it is absent or unreadable."""
    return read_status_json(status_text(document))


def read_status_json(text: str) -> DataProductStatus:
    """Return the status in JSON text; an empty one if it is unreadable.

    A part that can't be read, say with a word that a newer operator wrote, counts as absent, and
    the rest holds. Without the versions that live nothing may be touched by what is left of them:
    they are rebuilt together from the Deployments.
    """
    try:
        return DataProductStatus.model_validate_json(text, by_name=False)
    except ValidationError as error:
        return _readable_status(text, error)


def is_readable(status: str) -> bool:
    """Return whether this operator can read all of a status, as JSON text."""
    try:
        DataProductStatus.model_validate_json(status, by_name=False)
    except ValidationError:
        return False
    return True


_SERVING_FIELDS: Final = frozenset({"stable", "candidate", "traffic"})
"""Fields of status that say together which versions live, and with which share."""


def _readable_status(text: str, error: ValidationError) -> DataProductStatus:
    try:
        document = json.loads(text)
    except ValueError:
        return DataProductStatus()
    if not isinstance(document, dict):
        return DataProductStatus()
    locations = {problem_details["loc"][:2] for problem_details in error.errors()}
    broken_fields = {str(location[0]) for location in locations if location}
    for field in broken_fields | (_SERVING_FIELDS if broken_fields & _SERVING_FIELDS else set()):
        unreadable_keys = {
            location[1] for location in locations if len(location) > 1 and location[0] == field
        }
        field_value = document.get(field)
        if (
            isinstance(field_value, list)
            and field not in _SERVING_FIELDS
            and all(isinstance(problem_details, int) for problem_details in unreadable_keys)
        ):
            document[field] = [
                item for number, item in enumerate(field_value) if number not in unreadable_keys
            ]
        elif field == "engine" and isinstance(field_value, dict) and unreadable_keys:
            document[field] = {
                name: problem_details
                for name, problem_details in field_value.items()
                if name not in unreadable_keys
            }
        else:
            document.pop(field, None)
    try:
        return DataProductStatus.model_validate_json(compact_json(document), by_name=False)
    except ValidationError:
        return DataProductStatus()
