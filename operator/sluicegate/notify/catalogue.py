"""The closed list of messages: each type with its urgency, title and meaning. Pure.

Types are an interface: routes, schemas and receivers match on them. The page
docs/notification-catalogue.md is generated from this list.
"""

import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sluicegate.api.names import ConditionReason
from sluicegate.views.needs import Need, NeedKind

TYPE_PREFIX: Final = "dev.sluicegate."
PRODUCT: Final = "product"
PRODUCTS: Final = "products"


class Urgency(StrEnum):
    """Urgency of a message, the most urgent first."""

    NEEDS_PERSON = "NeedsPerson"
    """The product waits until a person acts."""
    BAD_NEWS = "BadNews"
    """A state became worse, and the operator acts or reports."""
    GOOD_NEWS = "GoodNews"
    """A state became better, or a rollout or training succeeded."""
    INFORMATION = "Information"
    """An intermediate step."""


class Topic(StrEnum):
    """Subject of a transition, such as readiness; a message replaces an earlier one of its topic."""

    HEALTH = "Health"
    MEASUREMENTS = "Measurements"
    DEPENDENCIES = "Dependencies"
    RECONCILING = "Reconciling"
    ROLLOUT = "Rollout"
    RETRAINING = "Retraining"
    REVIEW = "Review"
    PRODUCT = "Product"
    UPSTREAM = "Upstream"


FOLDED_KINDS: Final = frozenset(
    {Topic.HEALTH, Topic.MEASUREMENTS, Topic.DEPENDENCIES, Topic.RECONCILING, Topic.UPSTREAM}
)
"""Topics whose state may flap; of other topics each transition is reported."""


class Kind(StrEnum):
    """The transitions of a product; the value is the last part of the CloudEvents type."""

    DEGRADED = "degraded"
    RECOVERED = "recovered"
    MARKET_MISSED = "market.missed"
    MARKET_MET = "market.met"
    STALLED = "stalled"
    UNSTALLED = "unstalled"
    UNREADY = "unready"
    READY = "ready"
    REQUEST_WAITS = "request.waits"
    METRICS_LOST = "metrics.lost"
    METRICS_RESTORED = "metrics.restored"
    SECRET_UNUSABLE = "secret.unusable"  # noqa: S105 - a type
    SECRET_USABLE = "secret.usable"  # noqa: S105 - a type
    DEPENDENCY_DEGRADED = "dependency.degraded"
    DEPENDENCY_RECOVERED = "dependency.recovered"
    DEPENDENT_DEGRADED = "dependent.degraded"
    DEPENDENT_RECOVERED = "dependent.recovered"
    RETRAINING_STARTED = "retraining.started"
    RETRAINING_FINISHED = "retraining.finished"
    RETRAINING_REJECTED = "retraining.rejected"
    RETRAINING_FAILED = "retraining.failed"
    RETRAINING_REFUSED = "retraining.refused"
    RETRAINING_SUSPENDED = "retraining.suspended"
    ROLLOUT_STARTED = "rollout.started"
    ROLLOUT_ADVANCED = "rollout.advanced"
    ROLLOUT_WAITS = "rollout.waits"
    ROLLOUT_HELD = "rollout.held"
    ROLLOUT_INCONCLUSIVE = "rollout.inconclusive"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_ANSWERED = "approval.answered"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolledback"
    ROLLBACK_FAILED = "rollback.failed"
    REVIEW_DUE = "review.due"
    REVIEW_OVERDUE = "review.overdue"
    REVIEW_SIGNED = "review.signed"
    REVIEW_CLOSED = "review.closed"
    ACTIONS_LATE = "actions.late"
    UPSTREAM_STARTED = "upstream.started"
    UPSTREAM_ADVANCED = "upstream.advanced"
    UPSTREAM_PROMOTED = "upstream.promoted"
    UPSTREAM_ENDED = "upstream.ended"
    UPSTREAM_BREAKS = "upstream.breaks"
    UPSTREAM_DEPRECATES = "upstream.deprecates"
    UPSTREAM_SUSPENDED = "upstream.suspended"
    UPSTREAM_RESUMED = "upstream.resumed"
    UPSTREAM_ASKS = "upstream.asks"
    DELETED = "deleted"

    @property
    def entry(self) -> "CatalogueEntry":
        """Return the entry of the catalogue."""
        return MESSAGE_CATALOGUE[self]

    def event_type(self, scope: str = PRODUCT) -> str:
        """Return the CloudEvents type; `products` is the scope of a message about several products."""
        return f"{TYPE_PREFIX}{scope}.{self}.v1"


DIGEST_TYPE: Final = f"{TYPE_PREFIX}digest.v1"
TEST_TYPE: Final = f"{TYPE_PREFIX}test.v1"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """Texts and urgency of one kind of transition in the catalogue.

    Attributes
    ----------
    urgency : of a transition that reports no need.
    title : the sentence of a message, with `{product}`, `{version}` and `{upstream}`.
    many : the sentence about several products, with their number `{count}`.
    meaning : the transition of the status, for the reference page.
    needs : kinds of needs that the transition reports. With one of them in the status, the urgency is
        NeedsPerson.
    need_reason : the one reason of the need Stalled that the transition reports; empty for all.
    now : what the operator does now, with `{version}`; empty if the transition has it, or nothing is open.
    request : what a need asks of the owner, with `{version}`; empty for an entry without needs.
    next_step : the command of the plugin that shows the cause, of an entry without needs; or empty.
    """

    urgency: Urgency
    topic: Topic
    title: str
    many: str
    meaning: str
    needs: tuple[NeedKind, ...] = ()
    need_reason: str = ""
    now: str = ""
    request: str = ""
    next_step: str = ""

    def reports(self, need: Need) -> bool:
        """Return whether a transition with this entry is the message about a need."""
        is_stalled = need.kind is NeedKind.STALLED
        return need.kind in self.needs and (not is_stalled or self.need_reason in ("", need.reason))


_NEEDS_PERSON, _BAD_NEWS, _GOOD_NEWS, _INFORMATION = Urgency
MESSAGE_CATALOGUE: Final[dict[Kind, CatalogueEntry]] = {
    Kind.DEGRADED: CatalogueEntry(
        _BAD_NEWS, Topic.HEALTH, "{product} is degraded", "{count} products are degraded",
        "The condition Degraded becomes True: an SLO is missed, and the evaluations confirm it.",
        needs=(NeedKind.DEGRADED, NeedKind.TRAINING_BLOCKED, NeedKind.RETRAINING_SUSPENDED),
        request="remove the cause that the message names, start a training, or push a better version"),
    Kind.RECOVERED: CatalogueEntry(
        _GOOD_NEWS, Topic.HEALTH, "{product} has recovered", "{count} products have recovered",
        "The condition Degraded becomes False after it was True."),
    Kind.MARKET_MISSED: CatalogueEntry(
        _BAD_NEWS, Topic.HEALTH, "{product} misses an SLO in a market",
        "{count} products miss an SLO in a market",
        "A market misses an SLO that did not before; the condition MarketsMet is False. While the product as a whole isn't"
        " degraded, a training follows only with slos[].markets.onMissed Retrain.", needs=(NeedKind.MARKET,),
        now="the stable version keeps serving; a training for the market alone starts only if slos[].markets.onMissed is Retrain",
        request="find the cause in the market that the message names, or set slos[].markets.onMissed to Retrain"),
    Kind.MARKET_MET: CatalogueEntry(
        _GOOD_NEWS, Topic.HEALTH, "{product} misses an SLO in no market any more",
        "{count} products miss an SLO in no market any more",
        "The condition MarketsMet is True again, and no market of before misses its SLO any more."),
    Kind.STALLED: CatalogueEntry(
        _NEEDS_PERSON, Topic.RECONCILING, "{product} is stalled", "{count} products are stalled",
        "The condition Stalled becomes True or changes its reason. A rejected model and a changed API"
        " have types of their own.", needs=(NeedKind.STALLED,),
        now="versions that serve keep serving, and the operator continues once the cause is removed",
        request="correct what the message names"),
    Kind.UNSTALLED: CatalogueEntry(
        _INFORMATION, Topic.RECONCILING, "{product} is not stalled any more",
        "{count} products are not stalled any more", "The condition Stalled is removed."),
    Kind.UNREADY: CatalogueEntry(
        _NEEDS_PERSON, Topic.RECONCILING, "{product} is not ready", "{count} products are not ready",
        "The condition Ready becomes False for a reason that no step of the operator removes, or changes"
        " that reason, while the product is not stalled.", needs=(NeedKind.NOT_READY,),
        now="the operator retries; pods that are ready keep serving",
        request="remove the cause that the message names"),
    Kind.READY: CatalogueEntry(
        _INFORMATION, Topic.RECONCILING, "{product} is ready again", "{count} products are ready again",
        "The condition Ready becomes True after `unready`."),
    Kind.REQUEST_WAITS: CatalogueEntry(
        _NEEDS_PERSON, Topic.PRODUCT, "A request for {product} waits", "Requests for {count} products wait",
        "status.pendingRequests has a request that only an edit of the spec lets act.",
        needs=(NeedKind.REQUEST,),
        now="the request stays pending",
        request="edit the spec as the message says, or remove the annotation"),
    Kind.METRICS_LOST: CatalogueEntry(
        _BAD_NEWS, Topic.MEASUREMENTS, "{product} cannot be measured",
        "{count} products cannot be measured",
        "The condition MetricsAvailable becomes False because of Prometheus or of its data. Without"
        " traffic, or while a product starts, it becomes False too, which is not sent.",
        now="the operator promotes, rolls back and retrains nothing by metrics until it can measure the product",
        next_step="explain"),
    Kind.METRICS_RESTORED: CatalogueEntry(
        _INFORMATION, Topic.MEASUREMENTS, "{product} can be measured again",
        "{count} products can be measured again", "MetricsAvailable is True again."),
    Kind.SECRET_UNUSABLE: CatalogueEntry(
        _NEEDS_PERSON, Topic.PRODUCT, "{product} counts no labels: its feedback Secret is not usable",
        "{count} products count no labels: their feedback Secrets are not usable",
        "The condition MetricsAvailable has the reason FeedbackSecretUnusable: pods report that the"
        " Secret lacks a key.", needs=(NeedKind.SECRET,),
        now="predictions are served, and SLOs that need labels are not evaluated",
        request="correct the Secret as the message says"),
    Kind.SECRET_USABLE: CatalogueEntry(
        _INFORMATION, Topic.PRODUCT, "The feedback Secret of {product} is usable again",
        "The feedback Secrets of {count} products are usable again",
        "MetricsAvailable has another reason than FeedbackSecretUnusable again."),
    Kind.DEPENDENCY_DEGRADED: CatalogueEntry(
        _INFORMATION, Topic.DEPENDENCIES, "A dependency of {product} is degraded",
        "Dependencies of {count} products are degraded",
        "The condition DependenciesHealthy becomes False."),
    Kind.DEPENDENCY_RECOVERED: CatalogueEntry(
        _INFORMATION, Topic.DEPENDENCIES, "The dependencies of {product} are healthy",
        "The dependencies of {count} products are healthy",
        "DependenciesHealthy is True again."),
    Kind.DEPENDENT_DEGRADED: CatalogueEntry(
        _BAD_NEWS, Topic.DEPENDENCIES, "A release of {product} degrades a product that depends on it",
        "Releases of {count} products degrade products that depend on them",
        "The condition DegradesDependents becomes True.", needs=(NeedKind.DEPENDENT,),
        now="the release keeps serving, and the dependent product is not retrained",
        request="agree with the owner of the dependent product: roll the release back, or retrain the dependent product"),
    Kind.DEPENDENT_RECOVERED: CatalogueEntry(
        _INFORMATION, Topic.DEPENDENCIES, "A release of {product} degrades no other product any more",
        "Releases of {count} products degrade no other product any more",
        "The condition DegradesDependents is removed."),
    Kind.RETRAINING_STARTED: CatalogueEntry(
        _INFORMATION, Topic.RETRAINING, "A training Job of {product} starts",
        "Training Jobs of {count} products start",
        "status.retraining has a trigger with a new attempt. A training may end before its fit."),
    Kind.RETRAINING_FINISHED: CatalogueEntry(
        _INFORMATION, Topic.RETRAINING, "The retraining of {product} made {version}",
        "The retrainings of {count} products made a version",
        "status.retraining.lastResult is new, and its version is in a rollout."),
    Kind.RETRAINING_REJECTED: CatalogueEntry(
        _BAD_NEWS, Topic.RETRAINING, "The hold-out gate rejected {version} of {product}",
        "The hold-out gate rejected versions of {count} products",
        "status.retraining.lastResult is new, with the outcome Rejected.",
        needs=(NeedKind.TRAINING_BLOCKED, NeedKind.RETRAINING_SUSPENDED),
        now="the stable version keeps serving",
        request="correct the training as the message says, then start another one"),
    Kind.RETRAINING_FAILED: CatalogueEntry(
        _BAD_NEWS, Topic.RETRAINING, "The retraining of {product} failed",
        "The retrainings of {count} products failed",
        "status.retraining.lastResult is new, with the outcome Failed; the message has the tail of"
        " the log.", needs=(NeedKind.DEGRADED, NeedKind.TRAINING_BLOCKED, NeedKind.RETRAINING_SUSPENDED),
        now="the stable version keeps serving",
        request="correct the training as the message says, then start another one"),
    Kind.RETRAINING_REFUSED: CatalogueEntry(
        _NEEDS_PERSON, Topic.RETRAINING, "The training Job of {product} is refused",
        "The training Jobs of {count} products are refused",
        "The condition RetrainingActive has the reason JobRefused.",
        needs=(NeedKind.TRAINING_BLOCKED, NeedKind.RETRAINING_SUSPENDED),
        now="the stable version keeps serving, and no training runs",
        request="correct spec.retraining, the quota or the policy that the message names"),
    Kind.RETRAINING_SUSPENDED: CatalogueEntry(
        _NEEDS_PERSON, Topic.RETRAINING, "The retraining of {product} is suspended",
        "The retrainings of {count} products are suspended",
        "status.retraining.suspended becomes true, after three attempts without a promotion.",
        needs=(NeedKind.RETRAINING_SUSPENDED,),
        now="the stable version keeps serving, and no training starts by itself",
        request="find out why the attempts ended without a promotion, then start one"),
    Kind.ROLLOUT_STARTED: CatalogueEntry(
        _INFORMATION, Topic.ROLLOUT, "{product} starts a rollout of {version}",
        "{count} products start a rollout", "status.candidate names another version."),
    Kind.ROLLOUT_ADVANCED: CatalogueEntry(
        _INFORMATION, Topic.ROLLOUT, "{version} of {product} receives more traffic",
        "The candidates of {count} products receive more traffic",
        "The weight of status.candidate increases."),
    Kind.ROLLOUT_WAITS: CatalogueEntry(
        _INFORMATION, Topic.ROLLOUT, "The rollout of {version} of {product} is retried later",
        "The rollouts of {count} products are retried later",
        "A fault of the cluster or of Prometheus ends a rollout; the operator retries it. Of later retries the"
        " second, fourth, eighth and so on are sent.",
        now="the stable version keeps serving, and the operator retries the rollout"),
    Kind.ROLLOUT_INCONCLUSIVE: CatalogueEntry(
        _BAD_NEWS, Topic.ROLLOUT, "The rollout of {version} of {product} is inconclusive",
        "The rollouts of {count} products are inconclusive",
        "A version enters status.history with the outcome Inconclusive.",
        needs=(NeedKind.STALLED, NeedKind.INCONCLUSIVE), need_reason=ConditionReason.MODEL_REJECTED,
        now="the stable version keeps serving",
        request="roll {version} out again, or push another version"),
    Kind.ROLLOUT_HELD: CatalogueEntry(
        _NEEDS_PERSON, Topic.ROLLOUT, "{version} of {product} is approved and held",
        "Approved candidates of {count} products are held",
        "A candidate whose approval is pending has another check than AwaitingApproval in"
        " status.candidate.hold.", needs=(NeedKind.HELD,),
        now="{version} keeps its share of the traffic until the check passes, or evidence rolls it back",
        request="wait for the check, or abort the rollout"),
    Kind.APPROVAL_REQUESTED: CatalogueEntry(
        _NEEDS_PERSON, Topic.ROLLOUT, "{version} of {product} waits for an approval",
        "Candidates of {count} products wait for an approval",
        "The candidate has the phase AwaitingApproval, or changes the API of the stable version.",
        needs=(NeedKind.APPROVAL,),
        now="{version} keeps its share of the traffic until a person decides, or evidence rolls it back",
        request="approve {version}, or abort its rollout"),
    Kind.APPROVAL_ANSWERED: CatalogueEntry(
        _INFORMATION, Topic.ROLLOUT, "A party has answered to {version} of {product}",
        "Parties have answered to candidates of {count} products",
        "status.candidate.approvals has another answer.",
        now="{version} keeps its share of the traffic until each party has answered"),
    Kind.PROMOTED: CatalogueEntry(
        _GOOD_NEWS, Topic.ROLLOUT, "{product} has promoted {version}",
        "{count} products have promoted a version",
        "status.stable is a version with a new promotionTime that no rollback restored. The first version"
        " of a product is no promotion."),
    Kind.ROLLED_BACK: CatalogueEntry(
        _BAD_NEWS, Topic.ROLLOUT, "{product} has rolled back {version}",
        "{count} products have rolled back a version",
        "A version enters status.history with the outcome RolledBack.",
        needs=(NeedKind.STALLED,), need_reason=ConditionReason.MODEL_REJECTED,
        now="the stable version keeps serving",
        request="push a corrected version, or set the spec to the stable one"),
    Kind.ROLLBACK_FAILED: CatalogueEntry(
        _NEEDS_PERSON, Topic.ROLLOUT, "A rollback of {product} to {version} failed",
        "Rollbacks of {count} products failed",
        "A version enters status.history with the outcome Failed.",
        needs=(NeedKind.ROLLBACK_FAILED,),
        now="the present version keeps serving",
        request="remove the cause that the message names, then request the rollback again"),
    Kind.REVIEW_DUE: CatalogueEntry(
        _NEEDS_PERSON, Topic.REVIEW, "A review of {product} waits for signatures",
        "Reviews of {count} products wait for signatures",
        "A DataProductReview is sealed and has the state ToReview.",
        needs=(NeedKind.REVIEW_DUE,),
        now="the numbers of the review are sealed",
        request="read the review, and sign it"),
    Kind.REVIEW_OVERDUE: CatalogueEntry(
        _NEEDS_PERSON, Topic.REVIEW, "A review of {product} is overdue",
        "Reviews of {count} products are overdue",
        "A DataProductReview has the state Overdue.", needs=(NeedKind.REVIEW_OVERDUE,),
        now="the numbers of the review are sealed",
        request="read the review, and sign it"),
    Kind.REVIEW_SIGNED: CatalogueEntry(
        _INFORMATION, Topic.REVIEW, "A review of {product} has another signature",
        "Reviews of {count} products have another signature",
        "A sealed DataProductReview has more signatures, and others are missing."),
    Kind.REVIEW_CLOSED: CatalogueEntry(
        _INFORMATION, Topic.REVIEW, "A review of {product} is signed",
        "Reviews of {count} products are signed",
        "A DataProductReview has the state Reviewed or Skipped."),
    Kind.ACTIONS_LATE: CatalogueEntry(
        _NEEDS_PERSON, Topic.REVIEW, "Actions that were agreed in reviews of {product} are late",
        "Actions that were agreed in reviews of {count} products are late",
        "The condition ActionsLate becomes True.", needs=(NeedKind.ACTIONS_LATE,),
        now="the product is served as before",
        request="do what was agreed and set done in the review, or agree another due date in a later one"),
    Kind.UPSTREAM_STARTED: CatalogueEntry(
        _INFORMATION, Topic.UPSTREAM, "{upstream}, on which {product} depends, starts a rollout of {version}",
        "Upstreams of {count} products start a rollout",
        "A product of spec.dependsOn has the transition `rollout.started`."),
    Kind.UPSTREAM_ADVANCED: CatalogueEntry(
        _INFORMATION, Topic.UPSTREAM, "{version} of {upstream}, on which {product} depends, receives more traffic",
        "Candidates of upstreams of {count} products receive more traffic",
        "A product of spec.dependsOn has the transition `rollout.advanced`."),
    Kind.UPSTREAM_PROMOTED: CatalogueEntry(
        _INFORMATION, Topic.UPSTREAM, "{upstream}, on which {product} depends, has promoted {version}",
        "Upstreams of {count} products have promoted a version",
        "A product of spec.dependsOn has the transition `promoted`."),
    Kind.UPSTREAM_ENDED: CatalogueEntry(
        _INFORMATION, Topic.UPSTREAM, "{version} of {upstream}, on which {product} depends, receives no traffic any more",
        "Versions of upstreams of {count} products receive no traffic any more",
        "A product of spec.dependsOn has the transition `rolledback` or `rollout.inconclusive`."),
    Kind.UPSTREAM_BREAKS: CatalogueEntry(
        _BAD_NEWS, Topic.UPSTREAM, "{version} of {upstream}, on which {product} depends, changes its API",
        "Candidates of upstreams of {count} products change their API",
        "The candidate of a product of spec.dependsOn removes or changes operations of the stable version.",
        now="{version} receives no traffic until the owner of the upstream decides"),
    Kind.UPSTREAM_DEPRECATES: CatalogueEntry(
        _BAD_NEWS, Topic.UPSTREAM, "{version} of {upstream}, on which {product} depends, deprecates operations",
        "Upstreams of {count} products deprecate operations",
        "A product of spec.dependsOn has promoted a version whose API deprecates operations"
        " (status.stable.apiChanges).",
        now="the operations still answer; a later version may remove them"),
    Kind.UPSTREAM_SUSPENDED: CatalogueEntry(
        _INFORMATION, Topic.UPSTREAM, "{upstream}, on which {product} depends, is suspended",
        "Upstreams of {count} products are suspended",
        "The condition RolloutProgressing of a product of spec.dependsOn has the reason Suspended."),
    Kind.UPSTREAM_RESUMED: CatalogueEntry(
        _INFORMATION, Topic.UPSTREAM, "{upstream}, on which {product} depends, is resumed",
        "Upstreams of {count} products are resumed",
        "RolloutProgressing of a product of spec.dependsOn has another reason than Suspended again."),
    Kind.UPSTREAM_ASKS: CatalogueEntry(
        _NEEDS_PERSON, Topic.UPSTREAM, "{version} of {upstream} waits for the agreement of {product}",
        "Candidates of upstreams wait for the agreement of {count} products",
        "The candidate of a product has passed, and this product is among its parties"
        " (spec.rollout.approvals.consumers). The queue lists the need at the upstream.",
        needs=(NeedKind.APPROVAL,),
        now="{version} keeps its share of the traffic until each party has answered",
        request="agree to {version}, or refuse it"),
    Kind.DELETED: CatalogueEntry(
        _INFORMATION, Topic.PRODUCT, "{product} is deleted", "{count} products are deleted",
        "The DataProduct does not exist any more."),
}  # fmt: skip


_PAGE: Final = """\
# Catalogue of notifications

What `sluicegate notify` sends ([configuration](notifications.md)). The list is closed: a type keeps its
meaning, and a new meaning has a new type. A product's message has the CloudEvents type
`dev.sluicegate.product.TYPE.v1`. A message about several products with the same transition has
`dev.sluicegate.products.TYPE.v1`, a digest `dev.sluicegate.digest.v1`, a test `dev.sluicegate.test.v1`.
This page is generated from the code (`python -m sluicegate.notify.catalogue >
docs/notification-catalogue.md`), and a test compares them.

| urgency | meaning |
|---|---|
| NeedsPerson | Nothing continues until a person acts. |
| BadNews | Something got worse; the operator acts or reports it. |
| GoodNews | Something got better, or ended well. |
| Information | A step of a longer process. |

A message has the urgency NeedsPerson exactly if the page and `kubectl sluicegate get --needs-action` list
the product for what it reports ([when a product needs a person](web.md)); `upstream.asks` is listed at the
upstream. Types with two urgencies have
NeedsPerson in this case, for example `degraded` while no remedy is under way.

The text has what happened with its numbers, *Now*: what the operator does, *Asked of OWNER*: what a person
is to do, which only messages with NeedsPerson have, *Next*: a command for it, the time and one link.
`degraded` says of each remedy that is under way what it is. [Examples](notification-examples.md) shows each
message as it is sent.

| type | urgency | message | transition | now | asked of the owner |
|---|---|---|---|---|---|
"""


def render_page() -> str:
    """Render docs/notification-catalogue.md."""
    return _PAGE + "".join(
        f"| `{kind}` | {_urgency_text(entry)} | {_table_text(entry.title)} | {entry.meaning} |"
        f" {_table_text(entry.now)} | {_table_text(entry.request)} |\n"
        for kind, entry in MESSAGE_CATALOGUE.items()
    )


def _urgency_text(entry: CatalogueEntry) -> str:
    if entry.needs and entry.urgency is not Urgency.NEEDS_PERSON:
        return f"{entry.urgency} or {Urgency.NEEDS_PERSON}"
    return str(entry.urgency)


def _table_text(text: str) -> str:
    return text.format(product="PRODUCT", version="VERSION", upstream="UPSTREAM")


if __name__ == "__main__":
    sys.stdout.write(render_page())
